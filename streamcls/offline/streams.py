"""Labelled clips one after another, as one camera might have seen them: streams to tune on.

Whoever has only clips has no long recording to choose thresholds on. Played one after another in
a shuffled order, with a cut between them, clips are a stream whose label track is known.
"""

from collections import defaultdict
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Protocol

from streamcls.errors import SourceError
from streamcls.frames import Frame
from streamcls.lane import LaneSettings
from streamcls.offline.recordings import Recording, frames_of
from streamcls.offline.scored import ScoredRecording, score_recording
from streamcls.offline.tracks import Segment, Track, track_of

_FIRST_INTERVAL_S = Fraction(1, 25)  # after a clip of a single frame


class Labelled(Protocol):
    """A labelled stretch of one video; the whole of it where start and end are None."""

    @property
    def path(self) -> Path:
        """The video file."""

    @property
    def labels(self) -> tuple[str, ...]:
        """All that hold in it."""

    @property
    def start_s(self) -> float | None:
        """Seconds from the file's first frame."""

    @property
    def end_s(self) -> float | None:
        """Likewise; not part of the stretch."""


class ClipStream:
    """Clips of one picture size, played one after another; one is decoded at a time.

    Attributes:
        name: what the stream is called, in place of a file's path.
        failed: what was wrong with each clip that could not be read to its end; by the last pass.
    """

    def __init__(self, name: Path, clips: Sequence[Labelled]) -> None:
        self.name = name
        self.failed: list[str] = []
        self._clips = clips
        self._segments: list[Segment] = []

    @property
    def track(self) -> Track:
        """The labels of what the last pass over `frames` has played."""
        return track_of(self._segments)

    def frames(self) -> Generator[Frame, None, None]:
        """Every clip's frames on one timeline that begins at 0 and has no gaps."""
        self._segments, self.failed = [], []
        start_s = Fraction(0)
        for clip in self._clips:
            last_s, interval_s = None, _FIRST_INTERVAL_S
            try:
                for frame, since_s in _stretch(clip):
                    if last_s is not None:
                        interval_s = since_s - last_s
                    last_s = since_s
                    yield replace(frame, media_s=start_s + since_s)
            except SourceError as error:
                self.failed.append(str(error))
            if last_s is not None:
                end_s = start_s + last_s + interval_s
                times_s = float(start_s), float(end_s)
                self._segments += [Segment(*times_s, label) for label in clip.labels]
                start_s = end_s


def streams_of(clips: Iterable[Labelled], *, seed: int = 0) -> tuple[list[ClipStream], list[str]]:
    """Put clips together into streams, one for each picture size, in an order drawn by `seed`.

    Nothing is copied or written: a stream opens one file after another while it is played.

    Returns:
        The streams, the largest picture first, and what was wrong with clips that have no frame.
    """
    by_size: dict[tuple[int, int], list[Labelled]] = defaultdict(list)
    failed: list[str] = []
    ordered = sorted(clips, key=lambda clip: (str(clip.path), clip.start_s or 0.0))
    Random(seed).shuffle(ordered)
    for clip in ordered:
        try:
            by_size[_picture_size(clip.path)].append(clip)
        except SourceError as error:
            failed.append(str(error))
    sizes = sorted(by_size, reverse=True)
    return [
        ClipStream(Path(f"clips of {width}x{height}"), by_size[width, height])
        for width, height in sizes
    ], failed


def score_clips(
    settings: LaneSettings, clips: Iterable[Labelled], *, seed: int = 0
) -> tuple[list[ScoredRecording], dict[Path, Track], list[str]]:
    """Play clips as streams and keep their scores: what `tuned` and `judge` take.

    Returns:
        The scored streams, their tracks, and what was wrong with clips that could not be read.
    """
    streams, failed = streams_of(clips, seed=seed)
    scored: list[ScoredRecording] = []
    for stream in streams:
        scored.append(score_recording(Recording(stream.name, settings, frames=stream.frames)))
        failed += stream.failed
    return scored, {stream.name: stream.track for stream in streams}, failed


def _stretch(clip: Labelled) -> Generator[tuple[Frame, Fraction], None, None]:
    """The clip's frames, each later than the last, with their seconds since its first one."""
    first_s: Fraction | None = None
    begin_s: Fraction | None = None
    last_s = Fraction(-1)
    with closing(frames_of(clip.path)) as frames:
        for frame in frames:
            assert frame.media_s is not None  # a file's frames always have a time
            first_s = frame.media_s if first_s is None else first_s
            in_file_s = frame.media_s - first_s
            if clip.end_s is not None and in_file_s >= clip.end_s:
                return
            if in_file_s < (clip.start_s or 0) or in_file_s <= last_s:
                continue
            begin_s = in_file_s if begin_s is None else begin_s
            last_s = in_file_s
            yield frame, in_file_s - begin_s


def _picture_size(path: Path) -> tuple[int, int]:
    with closing(frames_of(path)) as frames:
        image = next(frames).image
    return image.width, image.height
