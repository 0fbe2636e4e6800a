"""Checked videos as clips for training and validation, decoded in worker processes.

Every clip that training draws depends on the seed, the epoch and its place in the list alone, so
runs that are resumed, or that load with other numbers of workers, see the same clips.

A file that could be opened and cannot be read now does not end the run: training takes the next
video's clip, validation leaves the clip out, and the sample names it.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from streamcls.errors import DataError, UnusableSource
from streamcls.finetune.clips.cache import FrameCache
from streamcls.finetune.clips.reader import read_clip
from streamcls.finetune.clips.samplers import ClipSampler
from streamcls.finetune.data.checking import Video
from streamcls.frames import ClipArray
from streamcls.transforms import ClipSpec, scaled_size

ClipAugment = Callable[[ClipArray, Tensor], tuple[ClipArray, Tensor]]
"""Changes a clip between the halves of the transforms, and its target if need be."""

Visit = tuple[int, int]
"""An epoch, and a video's place in the list."""

_OTHERS_TRIED = 5  # videos in a row that break: then it is the disk, not the files


@dataclass(frozen=True, slots=True)
class Sample:
    """One clip for training or validation.

    Attributes:
        clip: uint8 tensor, shape (time, height, width, 3), after the frame half.
        target: float32, shape (classes,): 1 for each label that holds.
        number: of the clip within the validation split; of the video in training.
        broken: what was wrong with the videos that could not be read in its place.
        is_void: there is no clip: what should have been here is broken.
    """

    clip: Tensor
    target: Tensor
    number: int
    broken: tuple[str, ...] = ()
    is_void: bool = False


class TrainingClips(Dataset[list[Sample]]):
    """Augmented clips of one video at every visit, as the sampler places them."""

    def __init__(
        self,
        videos: Sequence[Video],
        spec: ClipSpec,
        *,
        classes: int,
        sampler: ClipSampler,
        augment: ClipAugment | None,
        seed: int,
        cache: FrameCache | None = None,
    ) -> None:
        self._videos = videos
        self._spec = spec
        self._classes = classes
        self._sampler = sampler
        self._augment = augment
        self._seed = seed
        self._cache = cache

    def __len__(self) -> int:
        return len(self._videos)

    def __getitem__(self, visit: Visit) -> list[Sample]:
        epoch, place = visit
        broken: list[str] = []
        for index in range(place, place + _OTHERS_TRIED):
            video = self._videos[index % len(self._videos)]
            try:
                with _seeded(self._seed, epoch, place):
                    return self._clips(video, index % len(self._videos), tuple(broken))
            except UnusableSource as error:
                broken.append(str(error))
        raise DataError(f"{len(broken)} videos in a row cannot be read, the first: {broken[0]}")

    def _clips(self, video: Video, number: int, broken: tuple[str, ...]) -> list[Sample]:
        samples: list[Sample] = []
        chance = torch.Generator().manual_seed(int(torch.randint(2**31, ())))
        for start_s in self._sampler(video.length_s, self._spec, chance):
            clip = read_video(video, start_s, self._spec, self._cache)
            target = one_hot(video, self._classes)
            if self._augment is not None:
                clip, target = self._augment(clip, target)
            samples.append(Sample(torch.from_numpy(clip), target, number, broken))
        return samples


class ValidationClips(Dataset[list[Sample]]):
    """Every video's clips as the sampler places them, in order and without chance.

    Attributes:
        clips: of each clip, its video's index and where it starts, seconds from the stretch's
            beginning.
    """

    def __init__(
        self,
        videos: Sequence[Video],
        spec: ClipSpec,
        *,
        classes: int,
        sampler: ClipSampler,
        cache: FrameCache | None = None,
    ) -> None:
        self._videos = videos
        self._spec = spec
        self._classes = classes
        self._cache = cache
        self.clips = [
            (index, start_s)
            for index, video in enumerate(videos)
            for start_s in sampler(video.length_s, spec, None)
        ]

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, number: int) -> list[Sample]:
        index, start_s = self.clips[number]
        video = self._videos[index]
        target = one_hot(video, self._classes)
        try:
            clip = torch.from_numpy(read_video(video, start_s, self._spec, self._cache))
        except UnusableSource as error:
            side = self._spec.short_side
            nothing = torch.zeros(self._spec.num_frames, side, side, 3, dtype=torch.uint8)
            return [Sample(nothing, target, number, (str(error),), is_void=True)]
        return [Sample(clip, target, number)]


class Visits(Sampler[Visit]):
    """Turns an order of places into visits, which also say which epoch it is."""

    def __init__(self, order: Sampler[int]) -> None:
        self.order = order
        self.epoch = 0

    def __len__(self) -> int:
        assert isinstance(self.order, Sized)
        return len(self.order)

    def __iter__(self) -> Iterator[Visit]:
        return ((self.epoch, place) for place in self.order)

    def set_epoch(self, epoch: int) -> None:
        """What the next round of visits is; the training loop calls this."""
        self.epoch = epoch
        if hasattr(self.order, "set_epoch"):
            self.order.set_epoch(epoch)


def read_video(
    video: Video, start_s: Fraction, spec: ClipSpec, cache: FrameCache | None = None
) -> ClipArray:
    """The clip that begins so many seconds into a video's stretch, uint8 (time, height, width, 3).

    Raises:
        UnusableSource: the file cannot be read there.
    """
    if video.info is not None:
        begin_s = video.start_s + start_s
        read = read_clip if cache is None else cache.read_clip
        return read(video.record.path, begin_s, spec, first_s=video.info.first_s)
    clip = video.record.clip
    assert clip is not None
    if len(clip) != spec.num_frames:
        raise UnusableSource(
            f"{video.record.path} has {len(clip)} frames; the network takes {spec.num_frames}"
        )
    size = scaled_size(clip.shape[2], clip.shape[1], spec.short_side)
    if size == (clip.shape[2], clip.shape[1]):
        return clip
    shrinking = min(clip.shape[1:3]) >= spec.short_side
    filter_ = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    return np.stack([cv2.resize(one, size, interpolation=filter_) for one in clip]).astype(np.uint8)


def one_hot(video: Video, classes: int) -> Tensor:
    """float32, shape (classes,): 1 for each label of the video, else 0."""
    target = torch.zeros(classes)
    target[list(video.targets)] = 1
    return target


def flatten(visits: Sequence[Sequence[Sample]]) -> list[Sample]:
    """A batch of visits as one list of samples."""
    return [sample for samples in visits for sample in samples]


def init_worker(_worker: int) -> None:
    """Run first in each loader process: OpenCV's threads do not survive the fork."""
    cv2.setNumThreads(0)


def mixed_seed(*parts: int) -> int:
    """One seed of several numbers: other numbers, another seed."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=7).digest()
    return int.from_bytes(digest)


@contextmanager
def _seeded(*parts: int) -> Iterator[None]:
    """Torch's chance within depends on these numbers alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mixed_seed(*parts))
        yield
