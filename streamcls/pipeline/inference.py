"""The one inference worker: windows of all streams in a batch, predictions out."""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from streamcls.clock import Clock
from streamcls.frames import Prediction, RgbClip, Window
from streamcls.threads import name_thread

Item: TypeAlias = Window | Callable[[], None]
"""What waits: a window, or a note to be called when those before it are reported."""


class Scorer(Protocol):
    """What classifies clips; a model's backend is one."""

    def scores(self, clips: Sequence[RgbClip]) -> npt.NDArray[np.float32]:
        """Probabilities, float32, shape (len(clips), labels)."""


@runtime_checkable
class Ahead(Scorer, Protocol):
    """A scorer beside the host: it can be given a batch before the last one's scores are there.

    For such a one larger batches are worth a short wait.
    """

    def begin(self, clips: Sequence[RgbClip]) -> Callable[[], npt.NDArray[np.float32]]:
        """Start on a batch; what is returned waits for its scores."""


class Takes(Protocol):
    """Where windows wait, and notes to be called in their turn."""

    def take(self, max_items: int, timeout_s: float) -> list[Item] | None:
        """Items, an empty list after the timeout, or None when there will be no more."""


class InferenceWorker:
    """Classifies what waits until the backlog is closed and empty.

    Attributes:
        error: the exception that ended the thread, if one did.
        beat_monotonic_s: when the loop last came round, whether or not there was work.
        max_batch: the most windows in one batch; may be set at any time.
        max_wait_s: how long after its closing a window may wait for others to share a batch of a
            scorer beside the host; where the host computes nothing ever waits. Set at any time.
    """

    def __init__(
        self,
        *,
        scorer_of: Callable[[Window], Scorer],
        backlog: Takes,
        max_batch: int,
        max_wait_s: float = 0.0,
        clock: Clock,
        on_prediction: Callable[[Prediction], None],
        on_batch: Callable[[int, float], None],
        on_end: Callable[[BaseException | None], None],
    ) -> None:
        """Store the parts.

        Args:
            scorer_of: says what is to classify a window; windows of one scorer share a batch.
            on_batch: told each batch's size and its seconds in the model.
            on_end: told once when the thread ends, with the error that ended it or None.
        """
        self.error: BaseException | None = None
        self.beat_monotonic_s = clock.monotonic_s()
        self.max_batch = max_batch
        self.max_wait_s = max_wait_s
        self._scorer_of = scorer_of
        self._backlog = backlog
        self._clock = clock
        self._on_prediction = on_prediction
        self._on_batch = on_batch
        self._on_end = on_end
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)

    def start(self) -> None:
        """Start the worker's thread."""
        self.beat_monotonic_s = self._clock.monotonic_s()
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end, which follows the backlog's; True if it came in time."""
        if self._thread.ident:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        name_thread("inference")
        begun: list[Callable[[], None]] = []  # what finishes the batch that is under way
        try:
            while (items := self._take(idle=not begun)) is not None or begun:
                self.beat_monotonic_s = self._clock.monotonic_s()
                begun = self._work(items or [], begun)
        except Exception as error:  # kept for the daemon, which ends the run with it
            self.error = error
        self._on_end(self.error)

    def _take(self, *, idle: bool) -> list[Item] | None:
        """As the backlog's; where nothing is under way, with those that come in a moment."""
        items = self._backlog.take(self.max_batch, timeout_s=1.0 if idle else 0.0)
        while idle and items and len(items) < self.max_batch:
            left_s = self._patience_s(items)
            more = self._backlog.take(self.max_batch - len(items), left_s) if left_s > 0 else None
            if not more:
                break
            items += more
        return items

    def _patience_s(self, items: Sequence[Item]) -> float:
        """How long these may wait for others; nothing waits that a note stands for."""
        windows = [item for item in items if isinstance(item, Window)]
        if len(windows) < len(items):
            return 0.0
        if not all(isinstance(self._scorer_of(window), Ahead) for window in windows):
            return 0.0
        closed_s = min(window.closed_monotonic_s for window in windows)
        return closed_s + self.max_wait_s - self._clock.monotonic_s()

    def _work(
        self, items: Sequence[Item], begun: Sequence[Callable[[], None]]
    ) -> list[Callable[[], None]]:
        """Begin a batch, and finish the one begun before; returns what finishes the new one."""
        by_scorer: dict[Scorer, list[Window]] = {}
        for item in items:
            if isinstance(item, Window):
                by_scorer.setdefault(self._scorer_of(item), []).append(item)
        finish: list[Callable[[], None]] = []
        for scorer, windows in by_scorer.items():
            batched_s = self._clock.monotonic_s()
            clips = [window.clip for window in windows]
            wait = (
                scorer.begin(clips) if isinstance(scorer, Ahead) else partial(scorer.scores, clips)
            )
            finish.append(partial(self._report, windows, batched_s, wait))
        finish += [item for item in items if not isinstance(item, Window)]
        for each in begun:
            each()
        if any(isinstance(scorer, Ahead) for scorer in by_scorer):
            return finish
        for each in finish:
            each()
        return []

    def _report(
        self,
        windows: Sequence[Window],
        batched_s: float,
        wait: Callable[[], npt.NDArray[np.float32]],
    ) -> None:
        scores = wait()
        scored_s = self._clock.monotonic_s()
        self._on_batch(len(windows), scored_s - batched_s)
        for window, row in zip(windows, scores, strict=True):
            self._on_prediction(Prediction(window, row, batched_s, scored_s))
