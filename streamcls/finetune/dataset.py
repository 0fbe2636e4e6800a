"""A folder of videos as clips: `train/<class>/*.mp4` and `val/<class>/*.mp4`.

A training epoch takes one clip of each video, from a random place. Validation takes clips that
cover each video evenly, always the same, at places where the daemon's own grid could start one. A
video shorter than a clip gives one clip, whose last frame shows on.
"""

import logging
import math
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import torch
from torch import Tensor
from torch.utils.data import Dataset

from streamcls.errors import DataError, UnusableSource
from streamcls.finetune.augment import Augment
from streamcls.finetune.reader import VideoInfo, probe, read_clip
from streamcls.frames import RgbClip
from streamcls.transforms import ClipSpec

VIDEO_SUFFIXES = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm"}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Video:
    """One usable file and the index of its class."""

    info: VideoInfo
    label: int


@dataclass(frozen=True, slots=True)
class VideoFolder:
    """A data folder whose splits agree on their classes.

    Attributes:
        labels: class names, sorted; their order is the order of the network's outputs.
        skipped: what was wrong with each file that cannot be used, naming it.
    """

    root: Path
    labels: tuple[str, ...]
    train: tuple[Video, ...]
    val: tuple[Video, ...]
    skipped: tuple[str, ...]

    def counts(self) -> dict[str, dict[str, int]]:
        """Usable videos by split and class."""
        return {
            split: dict(Counter(self.labels[video.label] for video in videos))
            for split, videos in (("train", self.train), ("val", self.val))
        }


@dataclass(frozen=True, slots=True)
class Sample:
    """One clip for training or validation.

    Attributes:
        clip: uint8 tensor, shape (time, height, width, 3), after the frame half.
        video: index of its video within the split.
    """

    clip: Tensor
    label: int
    video: int


def scan_folder(root: Path) -> VideoFolder:
    """Find and probe a data folder's videos; unusable ones are logged and left out.

    Raises:
        DataError: a split is missing, the splits' classes differ or are fewer than two, or a
            class has no usable video in a split.
    """
    names = {split: _class_names(root, split) for split in ("train", "val")}
    if names["train"] != names["val"]:
        odd = sorted(set(names["train"]) ^ set(names["val"]))
        raise DataError(f"{root}: train and val have different classes: {', '.join(odd)}")
    labels = tuple(names["train"])
    if len(labels) < 2:
        raise DataError(f"{root / 'train'} has {len(labels)} class folders; at least 2 are needed")
    skipped: list[str] = []
    train, val = (_scan_split(root / split, labels, skipped) for split in ("train", "val"))
    for problem in skipped:
        _log.warning("skipped: %s", problem)
    return VideoFolder(root, labels, train, val, tuple(skipped))


def clip_starts(length_s: Fraction, spec: ClipSpec, max_clips: int) -> list[Fraction]:
    """Where clips that cover a video evenly start, in seconds from its first frame.

    As few as leave no gap, at most `max_clips`; whole frame intervals, so that the daemon's grid
    has the same instants.
    """
    interval_s = spec.frame_interval_s
    last_start = max(0, math.floor((length_s - spec.span_s) / interval_s))
    count = min(max_clips, 1 + math.ceil(last_start / spec.num_frames))
    if count == 1:
        return [last_start // 2 * interval_s]
    return [last_start * n // (count - 1) * interval_s for n in range(count)]


class TrainingClips(Dataset[Sample]):
    """One augmented clip of each video, from a random place at every visit."""

    def __init__(self, videos: Sequence[Video], spec: ClipSpec, augment: Augment | None) -> None:
        self._videos = videos
        self._spec = spec
        self._augment = augment

    def __len__(self) -> int:
        return len(self._videos)

    def __getitem__(self, index: int) -> Sample:
        video = self._videos[index]
        room_s = max(Fraction(0), video.info.length_s - self._spec.span_s)
        start_s = room_s * int(torch.randint(1001, ())) / 1000
        clip, label = _read(video, start_s, self._spec), video.label
        if self._augment is not None:
            clip, label = self._augment(clip, label)
        return Sample(torch.from_numpy(clip), label, index)


class ValidationClips(Dataset[Sample]):
    """Every video's evenly spread clips, in order and without chance."""

    def __init__(self, videos: Sequence[Video], spec: ClipSpec, *, max_clips: int) -> None:
        self._videos = videos
        self._spec = spec
        self._clips = [
            (index, start_s)
            for index, video in enumerate(videos)
            for start_s in clip_starts(video.info.length_s, spec, max_clips)
        ]

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: int) -> Sample:
        video_index, start_s = self._clips[index]
        video = self._videos[video_index]
        clip = _read(video, start_s, self._spec)
        return Sample(torch.from_numpy(clip), video.label, video_index)


def init_worker(_worker: int) -> None:
    """Run first in each loader process: OpenCV's threads do not survive the fork."""
    cv2.setNumThreads(0)


def _read(video: Video, start_s: Fraction, spec: ClipSpec) -> RgbClip:
    try:
        return read_clip(video.info.path, start_s, spec, first_s=video.info.first_s)
    except UnusableSource as error:
        raise DataError(f"{error}; remove it and start again") from None


def _class_names(root: Path, split: str) -> list[str]:
    folder = root / split
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; lay videos out as {split}/<class>/<video>.mp4")
    return sorted(entry.name for entry in folder.iterdir() if _is_visible_folder(entry))


def _is_visible_folder(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")


def _scan_split(folder: Path, labels: Sequence[str], skipped: list[str]) -> tuple[Video, ...]:
    """The split's usable videos by class and name; what was wrong with others is appended."""
    found = [
        (path, index)
        for index, label in enumerate(labels)
        for path in sorted((folder / label).rglob("*"))
        if path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".")
    ]
    with ThreadPoolExecutor(max_workers=4) as pool:
        probed = list(pool.map(_try_probe, [path for path, _ in found]))
    videos: list[Video] = []
    for result, (_, index) in zip(probed, found, strict=True):
        if isinstance(result, VideoInfo):
            videos.append(Video(result, index))
        else:
            skipped.append(result)
    for index, label in enumerate(labels):
        if not any(video.label == index for video in videos):
            problems = [result for result in probed if isinstance(result, str)]
            why = f"; {len(problems)} skipped, as {problems[0]}" if problems else ""
            raise DataError(f"{folder / label} has no usable video{why}")
    return tuple(videos)


def _try_probe(path: Path) -> VideoInfo | str:
    try:
        return probe(path)
    except UnusableSource as error:
        return str(error)
