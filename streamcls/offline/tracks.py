"""Label tracks: what is true of a recording and when. CSV, JSON and WebVTT are read.

    video,label,start_s,end_s          one CSV for all videos; `video` is a path from the CSV's
    yard/monday.mp4,covered,12.5,19    folder, or the file's name where that tells it apart;
    yard/sunday.mp4,,,                 a row without a label says that nothing happens

    [{"label": "covered", "start_s": 12.5, "end_s": 19}, ...]     monday.json beside monday.mp4

    00:12.500 --> 00:19.000            monday.vtt beside monday.mp4; a cue's text is its label
    covered

Times are seconds from the recording's first frame.
"""

import csv
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from streamcls.errors import DataError

_COLUMNS = ("video", "label", "start_s", "end_s")
_CUE_TIMES = re.compile(r"((?:\d+:)?\d\d:\d\d\.\d{3})\s+-->\s+((?:\d+:)?\d\d:\d\d\.\d{3})")


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """A stretch of a recording for which a label holds, seconds from its first frame."""

    start_s: float
    end_s: float
    label: str


Track = tuple[Segment, ...]
"""A recording's segments by start; those of one label neither overlap nor touch."""


def track_of(segments: Iterable[Segment]) -> Track:
    """Bring segments in order; those of one label that touch are one, as their event would be."""
    joined: dict[str, list[Segment]] = defaultdict(list)
    for segment in sorted(segments):
        mine = joined[segment.label]
        if mine and segment.start_s <= mine[-1].end_s:
            mine[-1] = replace(mine[-1], end_s=max(mine[-1].end_s, segment.end_s))
        else:
            mine.append(segment)
    return tuple(sorted(segment for mine in joined.values() for segment in mine))


def read_tracks(
    source: Path | None, videos: Sequence[Path], labels: Sequence[str]
) -> dict[Path, Track]:
    """Each video's track.

    Args:
        source: a CSV file for all videos, a JSON or WebVTT file for a single one, a folder of
            files named as the videos; None: such files beside the videos.
        labels: those the model knows.

    Raises:
        DataError: a file is missing or malformed, a label is unknown, a video has no track.
    """
    if source is not None and source.suffix.lower() == ".csv":
        tracks = _read_csv(source, videos)
    else:
        tracks = {video: _read_one(_file_for(video, source, videos)) for video in videos}
    known = set(labels)
    for video, track in tracks.items():
        for segment in track:
            if segment.label not in known:
                raise DataError(
                    f"{video} is labelled {segment.label!r}, which the model does not know; it"
                    f" has {', '.join(labels)}"
                )
    return tracks


def _file_for(video: Path, source: Path | None, videos: Sequence[Path]) -> Path:
    if source is not None and source.is_file():
        if len(videos) > 1:
            raise DataError(
                f"{source} tells of one video and there are {len(videos)}; use a CSV, or a folder"
                " with a file for each"
            )
        return source
    if source is not None and not source.exists():
        raise DataError(f"{source} does not exist; name a CSV of label tracks, or a folder of them")
    folder = video.parent if source is None else source
    for suffix in (".json", ".vtt"):
        path = folder / f"{video.stem}{suffix}"
        if path.is_file():
            return path
    raise DataError(f"{video} has no label track; write {folder / video.stem}.json or .vtt")


def _read_csv(path: Path, videos: Sequence[Path]) -> dict[Path, Track]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns, rows = reader.fieldnames or (), list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    if not set(_COLUMNS) <= set(columns):
        raise DataError(f"{path} needs the columns {', '.join(_COLUMNS)}")
    names = {row["video"] or "" for row in rows}
    named = {name: _video_named(name, path, videos) for name in names}
    segments: dict[Path, list[Segment]] = {video: [] for video in videos if video in named.values()}
    for number, row in enumerate(rows, start=2):
        video = named[row["video"] or ""]
        if video is not None and row["label"]:
            segments[video].append(_segment(row, f"{path}, line {number}"))
    for video in videos:
        if video not in segments:
            raise DataError(f"{path} has no row for {video}")
    return {video: track_of(mine) for video, mine in segments.items()}


def _video_named(name: str, table: Path, videos: Sequence[Path]) -> Path | None:
    """The video that a row means; None where it is not among them."""
    meant = (table.parent / name).resolve()
    exact = [video for video in videos if video.resolve() == meant]
    alike = exact or [video for video in videos if video.name == Path(name).name]
    if len(alike) > 1:
        raise DataError(f"{table}: {name!r} may be {alike[0]} or {alike[1]}; write its path")
    return alike[0] if alike else None


def _read_one(path: Path) -> Track:
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = list(_cues(text)) if path.suffix.lower() == ".vtt" else json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path} is no label track; write a list of label, start_s and end_s")
    return track_of(_segment(row, f"{path}, segment {n}") for n, row in enumerate(rows, start=1))


def _segment(row: Mapping[str, Any], where: str) -> Segment:
    try:
        start_s, end_s, label = float(row["start_s"]), float(row["end_s"]), str(row["label"])
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{where} needs a label, and start_s and end_s in seconds") from None
    if not label or not 0 <= start_s < end_s < math.inf:
        raise DataError(f"{where}: {label!r} from {start_s:g} to {end_s:g} s cannot be")
    return Segment(start_s, end_s, label)


def _cues(text: str) -> Iterable[dict[str, Any]]:
    """The cues of a WebVTT file (https://www.w3.org/TR/webvtt1/), without styles and settings."""
    if not text.startswith("WEBVTT"):
        raise ValueError("it does not begin with WEBVTT")
    for block in re.split(r"\r?\n(?:\r?\n)+", text):
        lines = block.splitlines()
        for number, line in enumerate(lines):
            if times := _CUE_TIMES.match(line):
                label = " ".join(lines[number + 1 :]).strip()
                yield {
                    "label": label,
                    "start_s": _seconds(times[1]),
                    "end_s": _seconds(times[2]),
                }
                break


def _seconds(clock: str) -> float:
    """01:02:03.500 or 02:03.500 as seconds."""
    total = 0.0
    for part in clock.split(":"):
        total = 60 * total + float(part)
    return total
