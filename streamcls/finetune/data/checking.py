"""Records into videos that can be read; what cannot is named and left out."""

import logging
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from streamcls.errors import DataError, UnusableSource
from streamcls.finetune.clips.reader import VideoInfo, probe
from streamcls.finetune.data.records import Record
from streamcls.finetune.data.video_data import VideoData

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Video:
    """A record whose file can be read.

    Attributes:
        info: what the file holds; None for a clip in memory.
        start_s: where the stretch begins, seconds from the file's first frame.
        length_s: of the stretch, no longer than the file goes on.
        targets: indices of its labels.
    """

    record: Record
    info: VideoInfo | None
    start_s: Fraction
    length_s: Fraction
    targets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CheckedData:
    """Data whose every file was opened.

    Attributes:
        skipped: what was wrong with each record that cannot be used, naming it.
    """

    data: VideoData
    train: tuple[Video, ...]
    val: tuple[Video, ...]
    test: tuple[Video, ...]
    skipped: tuple[str, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """In the order of the network's outputs."""
        return self.data.labels

    def counts(self) -> dict[str, dict[str, int]]:
        """Usable videos by split and class."""
        splits = {"train": self.train, "val": self.val, "test": self.test}
        return {
            split: dict(Counter(self.labels[index] for one in videos for index in one.targets))
            for split, videos in splits.items()
            if videos
        }


def check(data: VideoData) -> CheckedData:
    """Open every file once; those that cannot be used are logged and left out.

    Raises:
        DataError: a class has no usable video left in a split.
    """
    for warning in data.warnings:
        _log.warning("%s", warning)
    skipped: list[str] = []
    splits = {
        name: _usable(records, data.labels, skipped)
        for name, records in (("train", data.train), ("val", data.val), ("test", data.test))
    }
    for problem in skipped:
        _log.warning("skipped: %s", problem)
    for name in ("train", "val"):
        _check_classes(data, name, splits[name], skipped)
    return CheckedData(data, splits["train"], splits["val"], splits["test"], tuple(skipped))


def _usable(
    records: Sequence[Record], labels: tuple[str, ...], skipped: list[str]
) -> tuple[Video, ...]:
    """What can be read of some records, in order; what is wrong with the others is appended."""
    paths = list(dict.fromkeys(record.path for record in records if record.clip is None))
    with ThreadPoolExecutor(max_workers=4) as pool:
        probed = dict(zip(paths, pool.map(_try_probe, paths), strict=True))
    problems = [result for result in probed.values() if isinstance(result, str)]
    videos: list[Video] = []
    for record in records:
        targets = tuple(sorted(labels.index(label) for label in record.labels))
        if record.clip is not None:
            videos.append(Video(record, None, Fraction(0), Fraction(0), targets))
            continue
        info = probed[record.path]
        if isinstance(info, str):
            continue
        start_s = Fraction(record.start_s or 0).limit_denominator(1_000_000)
        if start_s > info.length_s:
            problems.append(f"{record.name} begins after the video's {float(info.length_s):g} s")
            continue
        length_s = info.length_s - start_s
        if record.end_s is not None:
            end_s = Fraction(record.end_s).limit_denominator(1_000_000)
            length_s = min(length_s, end_s - start_s)
        videos.append(Video(record, info, start_s, length_s, targets))
    skipped += problems
    return tuple(videos)


def _try_probe(path: Path) -> VideoInfo | str:
    try:
        return probe(path)
    except UnusableSource as error:
        return str(error)


def _check_classes(
    data: VideoData, split: str, videos: Sequence[Video], skipped: Sequence[str]
) -> None:
    usable = {index for video in videos for index in video.targets}
    for index, label in enumerate(data.labels):
        if index in usable:
            continue
        lost = {r.name: r for r in getattr(data, split) if label in r.labels}
        reasons = [
            why for why in skipped if any(why.startswith(str(r.path)) for r in lost.values())
        ]
        why = f"; {len(reasons)} skipped, as {reasons[0]}" if reasons else ""
        raise DataError(f"{data.described}: {split} has no usable video of {label!r}{why}")
