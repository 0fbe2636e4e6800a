"""A recording's scores, kept: so that it is read once however often it is decided upon."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamcls.offline.recordings import LabelEvent, Recording, replay
from streamcls.pipeline.decisions import Change, Decider, Policy


@dataclass(frozen=True, slots=True)
class ScoredRecording:
    """All windows of one recording, without their pixels.

    Attributes:
        name: the file's path.
        first_s: media time of the first frame, seconds.
        length_s: recorded seconds.
        centres_s, ends_s: media time of each window's centre and end, seconds, shape (windows,).
        stream_epochs: of each window, shape (windows,).
        scores: float32, shape (windows, labels).
        events: those decided by the policies in force when it was read.
    """

    name: Path
    first_s: float
    length_s: float
    centres_s: npt.NDArray[np.float64]
    ends_s: npt.NDArray[np.float64]
    stream_epochs: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]
    events: tuple[LabelEvent, ...]


def score_recording(recording: Recording) -> ScoredRecording:
    """Replay a recording and keep what came of each window.

    Raises:
        SourceError: as `Recording.windows`.
    """
    centres_s: list[float] = []
    ends_s: list[float] = []
    epochs: list[int] = []
    scores: list[npt.NDArray[np.float32]] = []
    events: list[LabelEvent] = []
    for prediction, ended in replay(recording):
        window = prediction.window
        centres_s.append(float(window.start_s + window.end_s) / 2)
        ends_s.append(float(window.end_s))
        epochs.append(window.stream_epoch)
        scores.append(prediction.scores)
        events += ended
    labels = len(recording.settings.engine.model.labels)
    return ScoredRecording(
        name=recording.name,
        first_s=float(recording.first_s),
        length_s=float(recording.length_s),
        centres_s=np.array(centres_s),
        ends_s=np.array(ends_s),
        stream_epochs=np.array(epochs, np.int64),
        scores=np.array(scores, np.float32).reshape(-1, labels),
        events=tuple(events),
    )


def decide(
    scored: ScoredRecording, policies: Sequence[Policy | None], labels: Sequence[str]
) -> tuple[LabelEvent, ...]:
    """The events of a recording by other policies than it was read with; in order of their ends."""
    decider, events = Decider(policies), _Events(scored.first_s, labels)
    for row, centre_s, end_s, epoch in zip(
        scored.scores,
        scored.centres_s.tolist(),
        scored.ends_s.tolist(),
        scored.stream_epochs.tolist(),
        strict=True,
    ):
        changes = decider.push(row, stream_epoch=epoch, time_s=centre_s, utc_s=centre_s)
        events.take(changes, end_s)
    events.take(decider.end_all(), 0.0)
    return tuple(events.over)


def decided_again(
    scored: Sequence[ScoredRecording], policies: Sequence[Policy | None], labels: Sequence[str]
) -> list[ScoredRecording]:
    """The recordings with the events that other policies give."""
    return [replace(one, events=decide(one, policies, labels)) for one in scored]


class _Events:
    """Changes in, events that are over out."""

    def __init__(self, first_s: float, labels: Sequence[str]) -> None:
        self.over: list[LabelEvent] = []
        self._first_s = first_s
        self._labels = labels
        self._decided_s: dict[int, float] = {}

    def take(self, changes: Sequence[Change], end_s: float) -> None:
        """Take one window's changes; it ends at media time `end_s`."""
        for change in changes:
            span = change.span
            if change.transition == "start":
                self._decided_s[span.index] = end_s
            elif change.transition == "end":
                self.over.append(
                    LabelEvent(
                        label=self._labels[span.index],
                        start_s=self._since_first(span.start_s),
                        end_s=self._since_first(span.held_s),
                        decided_s=self._since_first(self._decided_s.pop(span.index)),
                        peak_score=round(span.peak, 5),
                        mean_score=round(span.mean, 5),
                    )
                )

    def _since_first(self, media_s: float) -> float:
        return round(round(media_s, 6) - self._first_s, 6)
