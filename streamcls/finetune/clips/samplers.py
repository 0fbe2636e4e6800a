"""Where in a video clips begin. Pure and exact.

A sampler is given a stretch's length and the clip spec, and returns starts in seconds from the
stretch's beginning. A stretch shorter than a clip gives one clip, at 0, whose last frame shows on.

Clips always span what the spec says: a clip drawn out over another duration would show the network
motion at a rate at which no camera will ever show it.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import torch

from streamcls.errors import DataError
from streamcls.transforms import ClipSpec

_PLACES = 1_000_000  # that random starts are drawn from


class ClipSampler(Protocol):
    """Places clips in a stretch of video."""

    def __call__(
        self, length_s: Fraction, spec: ClipSpec, chance: torch.Generator | None, /
    ) -> list[Fraction]:
        """Starts in seconds from the stretch's beginning, at least one.

        Args:
            length_s: from the stretch's first frame to its last.
            chance: what random samplers draw from; others do not look at it.
        """


@dataclass(frozen=True, slots=True)
class Uniform:
    """Clips that cover the stretch: as few as leave no gap, at most `max_clips`, spread evenly.

    Starts are whole frame intervals, so that the daemon's grid has the same instants.
    """

    max_clips: int = 10

    def __call__(
        self, length_s: Fraction, spec: ClipSpec, _chance: torch.Generator | None = None, /
    ) -> list[Fraction]:
        """As `ClipSampler`; always the same."""
        last = _last_start(length_s, spec)
        return _spread(min(self.max_clips, 1 + math.ceil(last / spec.num_frames)), last, spec)


@dataclass(frozen=True, slots=True)
class ConstantPerVideo:
    """So many clips of every video, spread evenly; of short ones some are alike.

    As pytorchvideo's `ConstantClipsPerVideoSampler`, on whole frame intervals.
    """

    clips: int

    def __call__(
        self, length_s: Fraction, spec: ClipSpec, _chance: torch.Generator | None = None, /
    ) -> list[Fraction]:
        """As `ClipSampler`; always the same."""
        return _spread(self.clips, _last_start(length_s, spec), spec)


@dataclass(frozen=True, slots=True)
class RandomMulti:
    """So many clips, each from a random place; with one, pytorchvideo's `RandomClipSampler`."""

    clips: int = 1

    def __call__(
        self, length_s: Fraction, spec: ClipSpec, chance: torch.Generator | None = None, /
    ) -> list[Fraction]:
        """As `ClipSampler`."""
        room_s = max(Fraction(0), length_s - spec.span_s)
        draws = torch.randint(_PLACES + 1, (self.clips,), generator=chance).tolist()
        return [room_s * draw / _PLACES for draw in draws]


def clip_sampler(name: str, *, clips: int = 1, max_clips: int = 10) -> ClipSampler:
    """A sampler by name: `uniform`, `random`, `constant_per_video` or `random_multi`.

    Raises:
        DataError: no such sampler.
    """
    match name:
        case "uniform":
            return Uniform(max_clips)
        case "random":
            return RandomMulti(1)
        case "constant_per_video":
            return ConstantPerVideo(clips)
        case "random_multi":
            return RandomMulti(clips)
    raise DataError(
        f"unknown clip sampler {name!r}; use uniform, random, constant_per_video or random_multi"
    )


def _last_start(length_s: Fraction, spec: ClipSpec) -> int:
    """Where the last whole clip begins, in frame intervals."""
    return max(0, math.floor((length_s - spec.span_s) / spec.frame_interval_s))


def _spread(count: int, last: int, spec: ClipSpec) -> list[Fraction]:
    if count == 1:
        return [last // 2 * spec.frame_interval_s]
    return [last * n // (count - 1) * spec.frame_interval_s for n in range(count)]
