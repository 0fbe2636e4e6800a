"""The frames a window may still need: a fixed ring of small RGB pictures, one per grid instant."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from streamcls.frames import RgbClip, RgbImage


class FrameRing:
    """`capacity` consecutive grid instants. Allocated once per picture size, used by one thread."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._pictures: npt.NDArray[np.uint8] | None = None

    def put(self, instant: int, picture: RgbImage) -> None:
        """Keep the picture that shows at a grid instant, in place of the oldest."""
        if self._pictures is None or self._pictures.shape[1:] != picture.shape:
            self._pictures = np.empty((self._capacity, *picture.shape), np.uint8)
        self._pictures[instant % self._capacity] = picture

    def gather(self, instants: Iterable[int]) -> RgbClip:
        """Copy the pictures of these instants into one clip, (time, height, width, 3).

        Raises:
            LookupError: nothing was ever put.
        """
        if self._pictures is None:
            raise LookupError("the ring is empty")
        return self._pictures[[instant % self._capacity for instant in instants]]
