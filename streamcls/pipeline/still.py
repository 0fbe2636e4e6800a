"""Telling a frozen picture from a quiet scene. Pure."""

from fractions import Fraction

import numpy as np

from streamcls.frames import RgbImage

_TOLERANCE = 4  # of 255


class StillPicture:
    """How long the picture has not changed.

    A living scene has noise, light and mostly a clock in it: none keeps each pixel of its small
    picture within 4/255 for long. A camera that sends one picture again and again does, and so
    does one that encodes it anew with bits to spare. At a few Mbit/s its keyframes move pixels by
    6 to 18, as they do those of a quiet scene: the two cannot be told apart, and it is not frozen.
    """

    def __init__(self) -> None:
        self._reference: RgbImage | None = None
        self._since_s = Fraction(0)

    def push(self, picture: RgbImage, media_s: Fraction) -> float:
        """Take the next picture; seconds since it last changed."""
        if self._reference is None or self._differs(self._reference, picture):
            self._reference, self._since_s = picture, media_s
        return float(media_s - self._since_s)

    @staticmethod
    def _differs(one: RgbImage, other: RgbImage) -> bool:
        if one.shape != other.shape:
            return True
        # In uint8: of the two differences that wrap around, the smaller is the true one.
        return int(np.minimum(one - other, other - one).max()) > _TOLERANCE
