"""A clip that any machine can draw exactly, and the scores a sound model file gives it.

The clip is integer arithmetic, so the file stores no pixels. At frame t, row y, column x,
channel c, with the triangle wave tri(v) = |v mod 64 - 32| (0..32):

    value = 3 tri(x + 5 t) + 2 tri(y - 3 t + 16 c) + 40 ((x // 8 + y // 8 + t) mod 2)    (0..200)

A pattern sliding left and down under a flickering board: wrong weights, a wrong normalisation,
swapped channels, axes or frame order, each moves the scores.
"""

import itertools
from collections import deque
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from streamcls.errors import ModelError
from streamcls.frames import ClipArray, RgbImage
from streamcls.models.manifest import Activation
from streamcls.models.scoring import probabilities_of
from streamcls.transforms.spec import ClipSpec

GOLDEN_TOLERANCE = 2e-3
"""Greatest difference of one probability. Float32 on two CPUs differs by about 1e-6, TF32 on a GPU
by about 1e-3; one wrong layer by far more."""


def golden_clip(spec: ClipSpec) -> ClipArray:
    """The pattern above, uint8, shape (num_frames, crop, crop, 3)."""
    return _pattern(0, spec.num_frames, spec.crop)


def golden_windows(spec: ClipSpec, stride: int) -> Iterator[tuple[RgbImage, ...]]:
    """Windows of the pattern going on for ever, `stride` of its frames apart.

    As those of a stream they share their pictures, which nobody can write to.
    """
    window: deque[RgbImage] = deque(maxlen=spec.num_frames)
    for t in itertools.count():
        picture = _pattern(t, t + 1, spec.crop)[0].copy()
        picture.flags.writeable = False
        window.append(picture)
        first = t + 1 - spec.num_frames
        if first >= 0 and first % stride == 0:
            yield tuple(window)


def golden_scores(
    network: nn.Module, spec: ClipSpec, device: torch.device, activation: Activation
) -> tuple[float, ...]:
    """Probabilities of the golden clip by a network in evaluation mode, in label order."""
    scores = probabilities_of(network, [golden_clip(spec)], spec, device, activation)
    return tuple(float(score) for score in scores[0].cpu())


def check_golden(expected: tuple[float, ...], actual: tuple[float, ...], file: str) -> None:
    """Refuse a model whose golden scores are not those its file promises.

    Raises:
        ModelError: a score differs by more than `GOLDEN_TOLERANCE`, or is not a number.
    """
    if len(expected) != len(actual):
        raise ModelError(f"{file} holds {len(expected)} golden scores for {len(actual)} labels")
    worst = float(np.max(np.abs(np.subtract(expected, actual))))
    # Written so that a NaN, which compares false with everything, is refused too.
    if not worst <= GOLDEN_TOLERANCE:
        raise ModelError(
            f"{file} does not score its golden clip as it did when written: off by {worst:.4f},"
            f" allowed {GOLDEN_TOLERANCE}; the weights or this machine's arithmetic are wrong"
        )


def _pattern(first: int, end: int, crop: int) -> ClipArray:
    t, y, x, c = np.ogrid[first:end, :crop, :crop, :3]
    slide = 3 * _triangle(x + 5 * t) + 2 * _triangle(y - 3 * t + 16 * c)
    board = 40 * ((x // 8 + y // 8 + t) % 2)
    return np.asarray(slide + board, np.uint8)


def _triangle(
    values: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.abs(values % 64 - 32)
