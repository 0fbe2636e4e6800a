"""The frames a window may still need: a ring of small RGB pictures, one per grid instant."""

from collections.abc import Iterable

from streamcls.frames import RgbImage


class FrameRing:
    """`capacity` consecutive grid instants. It holds pictures, and copies none."""

    def __init__(self, capacity: int) -> None:
        self._pictures: list[RgbImage | None] = [None] * capacity

    def put(self, instant: int, picture: RgbImage) -> None:
        """Keep the picture that shows at a grid instant, in place of the oldest."""
        self._pictures[instant % len(self._pictures)] = picture

    def gather(self, instants: Iterable[int]) -> tuple[RgbImage, ...]:
        """The pictures of these instants; one that shows at several is there as often.

        Raises:
            LookupError: nothing was ever put where one of them lies.
        """
        pictures = [self._pictures[instant % len(self._pictures)] for instant in instants]
        shown = tuple(picture for picture in pictures if picture is not None)
        if len(shown) < len(pictures):
            raise LookupError("the ring does not hold all of these instants")
        return shown
