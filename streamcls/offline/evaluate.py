"""A model file against labelled recordings, played through the daemon's own stages.

clip accuracy      of windows whose centre lies in a segment: top-1 is a label that holds there
precision, recall  of events and segments, matched one to one by label and overlap in time
detection delay    from a segment's start until its event was decided, as a daemon would tell
false alarms       events that match no segment, per recorded hour
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamcls.errors import SourceError
from streamcls.lane import LaneSettings
from streamcls.offline.recordings import Recording
from streamcls.offline.scored import ScoredRecording, score_recording
from streamcls.offline.scoring import Matching, match, median_and_90th, together
from streamcls.offline.tracks import Track


@dataclass(frozen=True, slots=True)
class Figures:
    """How well one label, or all of them, did. None: there was nothing to measure it by.

    Attributes:
        windows, correct: labelled windows, and those of them that top-1 got right.
        segments, events: labelled stretches, and events told; of `events`, `false_alarms` match
            no segment.
        delay_median_s, delay_90th_s: of the matched events, seconds; the 90th percentile by
            nearest rank.
    """

    label: str
    windows: int
    correct: int
    accuracy: float | None
    segments: int
    events: int
    precision: float | None
    recall: float | None
    f1: float | None
    delay_median_s: float | None
    delay_90th_s: float | None
    false_alarms: int
    false_alarms_per_hour: float | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came of it all.

    Attributes:
        hours: recorded, in the recordings that could be read.
        without_window: recordings too short for a single clip.
        failed: what was wrong with each recording that could not be read, naming it.
    """

    model: str
    model_hash: str
    stride_s: float
    recordings: int
    hours: float
    total: Figures
    classes: tuple[Figures, ...]
    without_window: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


def evaluate(
    settings: LaneSettings,
    tracks: Mapping[Path, Track],
    *,
    on_recording: Callable[[Path], None] = lambda _path: None,
) -> Evaluation:
    """Replay recordings and compare what the daemon would tell with what is true of them.

    Two runs give the same numbers. Every window is scored alone: on a CPU that gives the very
    scores, to the last bit, of a daemon that keeps up with one stream at as many threads.

    Args:
        settings: as `recordings.reading` makes them.
        on_recording: told of each recording once it is over.
    """
    scored, failed = score_all(settings, tracks, on_recording=on_recording)
    return judge(settings, scored, tracks, failed)


def score_all(
    settings: LaneSettings,
    videos: Iterable[Path],
    *,
    on_recording: Callable[[Path], None] = lambda _path: None,
) -> tuple[list[ScoredRecording], list[str]]:
    """Read recordings one after another; what was wrong with those that cannot be read."""
    scored: list[ScoredRecording] = []
    failed: list[str] = []
    for video in videos:
        try:
            scored.append(score_recording(Recording(video, settings)))
        except SourceError as error:
            failed.append(str(error))
        on_recording(video)
    return scored, failed


def judge(
    settings: LaneSettings,
    scored: Sequence[ScoredRecording],
    tracks: Mapping[Path, Track],
    failed: Sequence[str] = (),
) -> Evaluation:
    """Compare scored recordings with their tracks. Pure."""
    model = settings.engine.model
    background = next(
        (
            label
            for label, policy in zip(model.labels, settings.policies, strict=True)
            if policy is None
        ),
        None,
    )
    matching = together(
        [match(one.events, tracks[one.name], background=background) for one in scored]
    )
    hours = sum(one.length_s for one in scored) / 3600
    windows = [pair for one in scored for pair in _labelled(one, tracks[one.name], model.labels)]
    classes = tuple(
        _figures(
            label,
            [top == label for holding, top in windows if label in holding],
            matching.of(label),
            hours,
        )
        for label in model.labels
    )
    return Evaluation(
        model=model.manifest.name,
        model_hash=model.file_hash,
        stride_s=float(settings.plan.stride_s),
        recordings=len(scored),
        hours=round(hours, 6),
        total=_figures("total", [top in holding for holding, top in windows], matching, hours),
        classes=classes,
        without_window=tuple(str(one.name) for one in scored if not len(one.scores)),
        failed=tuple(failed),
    )


def _labelled(
    one: ScoredRecording, track: Track, labels: Sequence[str]
) -> Iterator[tuple[set[str], str]]:
    """For each window whose centre lies in a segment: the labels that hold there, and top-1."""
    for centre_s, best in zip(one.centres_s - one.first_s, one.scores.argmax(axis=1), strict=True):
        holding = {part.label for part in track if part.start_s <= centre_s < part.end_s}
        if holding:
            yield holding, labels[best]


def _figures(label: str, right: Sequence[bool], matching: Matching, hours: float) -> Figures:
    middle_s, late_s = median_and_90th(matching.delays_s)
    false_alarms = len(matching.false)
    return Figures(
        label=label,
        windows=len(right),
        correct=sum(right),
        accuracy=_rounded(sum(right) / len(right) if right else None),
        segments=len(matching.matched) + len(matching.missed),
        events=len(matching.matched) + false_alarms,
        precision=_rounded(matching.precision),
        recall=_rounded(matching.recall),
        f1=_rounded(matching.f1),
        delay_median_s=_rounded(middle_s),
        delay_90th_s=_rounded(late_s),
        false_alarms=false_alarms,
        false_alarms_per_hour=_rounded(false_alarms / hours if hours else None),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
