"""Random scale, place and mirror image of a clip, in the process that decodes it."""

from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from streamcls.errors import DataError
from streamcls.frames import ClipArray
from streamcls.transforms import ClipSpec


class SampleAugment:
    """Random short side scale, crop and mirror image, the same for all frames of a clip.

    A square of 1 / `max_scale` to all of the crop's side is cut at a random place and scaled to
    the crop, so a picture already at the crop's size is jittered too: the same pictures as scaling
    the short side to between the crop and `max_scale` times the crop and cutting the crop out, but
    of one small resize. Uses torch's random state, which the data set sets for each clip.

    Args:
        max_scale: greatest enlargement, 1 or more.
        flip: labels that a mirror image turns into each other (`{"pan_left": "pan_right"}`, one
            direction is enough); the others keep theirs. None: clips are never mirrored.
        after_decoding: a change of one's own, first of all: uint8 (time, height, width, 3) to the
            like.

    Raises:
        DataError: `flip` names an unknown label or gives a label two mirror images.
    """

    def __init__(
        self,
        spec: ClipSpec,
        labels: Sequence[str],
        *,
        max_scale: float = 1.25,
        flip: Mapping[str, str] | None = None,
        after_decoding: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        if max_scale < 1:
            raise DataError(f"max_scale is {max_scale}; it must be 1 or more")
        self._crop = spec.crop
        self._max_scale = max_scale
        self._mirrored = None if flip is None else mirrored_labels(labels, flip)
        self._after_decoding = after_decoding

    def __call__(self, clip: ClipArray, target: Tensor) -> tuple[ClipArray, Tensor]:
        """A changed copy of the clip, uint8 (time, crop, crop, 3), and its target.

        Args:
            clip: uint8 (time, height, width, 3).
            target: float32 (classes,).
        """
        if self._after_decoding is not None:
            clip = self._changed(clip, self._after_decoding)
        height, width = clip.shape[1:3]
        side = round(self._crop / _uniform(1, self._max_scale))
        top, left = _integer(height - side), _integer(width - side)
        square = clip[:, top : top + side, left : left + side]
        scaled = [
            cv2.resize(picture, (self._crop, self._crop), interpolation=cv2.INTER_LINEAR)
            for picture in square
        ]
        augmented = np.asarray(np.stack(scaled), np.uint8)
        if self._mirrored is not None and _uniform(0, 1) < 0.5:
            return np.ascontiguousarray(augmented[:, :, ::-1]), target[self._mirrored]
        return augmented, target

    def _changed(self, clip: ClipArray, change: Callable[[Tensor], Tensor]) -> ClipArray:
        changed = change(torch.from_numpy(clip))
        shape = tuple(changed.shape)
        fits = len(shape) == 4 and (shape[0], shape[3]) == (len(clip), 3)
        if changed.dtype != torch.uint8 or not fits or min(shape[1:3]) < self._crop:
            raise DataError(
                f"after_decoding gave {changed.dtype} of shape {shape}; it must give uint8 of"
                f" {len(clip)} frames, (time, height, width, 3), no side below {self._crop}"
            )
        return np.asarray(changed.numpy(), np.uint8)


def mirrored_labels(labels: Sequence[str], flip: Mapping[str, str]) -> list[int]:
    """For each label index, that of its mirror image.

    Raises:
        DataError: as `SampleAugment`.
    """
    twins: dict[str, str] = {}
    for label, twin in [*flip.items(), *((twin, label) for label, twin in flip.items())]:
        if label not in labels:
            raise DataError(f"flip names {label!r}, which is no class; known: {', '.join(labels)}")
        if twins.setdefault(label, twin) != twin:
            raise DataError(f"flip gives {label!r} two mirror images: {twins[label]!r}, {twin!r}")
    return [list(labels).index(twins.get(label, label)) for label in labels]


def _uniform(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand(()))


def _integer(greatest: int) -> int:
    """0 to `greatest`, each as likely."""
    return int(torch.randint(greatest + 1, ()))
