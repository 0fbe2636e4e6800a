"""What only training does to a clip, between the two halves of the transform stack."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch

from streamcls.errors import DataError
from streamcls.frames import RgbClip
from streamcls.transforms import ClipSpec


class Augment:
    """Random scale, place and mirror image of a clip, the same for all of its frames.

    A square of 1 / `max_scale` to all of the crop's side is cut at a random place and scaled to
    the crop, so a picture already at the crop's size is jittered too. Uses torch's random state,
    which a data loader seeds for each worker.

    Args:
        max_scale: greatest enlargement, 1 or more. 1.25 is X3D's 182 to 228 pixels
            (arXiv 2004.04730, section 4).
        flip: labels that a mirror image turns into each other (`{"pan_left": "pan_right"}`, one
            direction is enough); the others keep theirs. None: clips are never mirrored.

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
    ) -> None:
        if max_scale < 1:
            raise DataError(f"max_scale is {max_scale}; it must be 1 or more")
        self._crop = spec.crop
        self._max_scale = max_scale
        self._mirrored = None if flip is None else mirrored_labels(labels, flip)

    def __call__(self, clip: RgbClip, label: int) -> tuple[RgbClip, int]:
        """A changed copy of the clip, uint8 (time, crop, crop, 3), and its label's index."""
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
            return np.ascontiguousarray(augmented[:, :, ::-1]), self._mirrored[label]
        return augmented, label


def mirrored_labels(labels: Sequence[str], flip: Mapping[str, str]) -> list[int]:
    """For each label index, that of its mirror image.

    Raises:
        DataError: as `Augment`.
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
