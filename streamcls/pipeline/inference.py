"""The one inference worker: windows of all streams in a batch, predictions out."""

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from streamcls.clock import Clock
from streamcls.frames import Prediction, RgbClip, Window


class Scorer(Protocol):
    """What classifies clips; a model's backend is one."""

    def scores(self, clips: Sequence[RgbClip]) -> npt.NDArray[np.float32]:
        """Probabilities, float32, shape (len(clips), labels)."""


class Takes(Protocol):
    """Where windows wait, and notes to be called in their turn."""

    def take(self, max_items: int, timeout_s: float) -> list[Window | Callable[[], None]] | None:
        """Items, an empty list after the timeout, or None when there will be no more."""


class InferenceWorker:
    """Classifies what waits until the backlog is closed and empty.

    Attributes:
        error: the exception that ended the thread, if one did.
        beat_monotonic_s: when the loop last came round, whether or not there was work.
        max_batch: the most windows in one batch; may be set at any time.
    """

    def __init__(
        self,
        *,
        scorer_of: Callable[[Window], Scorer],
        backlog: Takes,
        max_batch: int,
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
        try:
            while (items := self._backlog.take(self.max_batch, timeout_s=1.0)) is not None:
                self.beat_monotonic_s = self._clock.monotonic_s()
                by_scorer: dict[Scorer, list[Window]] = {}
                for item in items:
                    if isinstance(item, Window):
                        by_scorer.setdefault(self._scorer_of(item), []).append(item)
                for scorer, windows in by_scorer.items():
                    self._classify(scorer, windows)
                for item in items:
                    if not isinstance(item, Window):
                        item()
        except Exception as error:  # kept for the daemon, which ends the run with it
            self.error = error
        self._on_end(self.error)

    def _classify(self, scorer: Scorer, windows: list[Window]) -> None:
        batched = self._clock.monotonic_s()
        scores = scorer.scores([window.clip for window in windows])
        scored = self._clock.monotonic_s()
        self._on_batch(len(windows), scored - batched)
        for window, row in zip(windows, scores, strict=True):
            self._on_prediction(Prediction(window, row, batched, scored))
