"""What was made of single pictures, remembered for as long as the picture itself is there."""

import weakref
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from streamcls.frames import RgbClip, RgbImage

Unit = tuple[RgbImage, ...]
"""Pictures that belong together: one, or the pair that a network pools."""

Key = tuple[int, ...]

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class _Kept(Generic[V]):
    pictures: tuple["weakref.ref[RgbImage]", ...]
    value: V

    def shows(self, unit: Unit) -> bool:
        return all(ref() is picture for ref, picture in zip(self.pictures, unit, strict=True))

    @property
    def is_over(self) -> bool:
        return any(ref() is None for ref in self.pictures)


class Remembered(Generic[V]):
    """Values by the identity of the pictures they were made of; used by one thread.

    It keeps no picture alive: a stream's ring and its windows do, so what is held is what windows
    still to come may show. Values of pictures that are gone go with the next look. There is a
    limit besides, at which the longest unused go, for streams whose windows do not overlap.

    Attributes:
        hits, misses: units asked for that were there, and that were not.
        held: sizes of all values.
    """

    def __init__(
        self,
        limit: int,
        *,
        size_of: Callable[[V], int],
        on_drop: Callable[[V], None] = lambda _: None,
    ) -> None:
        """Start with nothing.

        Args:
            limit: the most that all sizes may come to.
            on_drop: called with each value that is let go.
        """
        self.hits = self.misses = self.held = 0
        self._limit = limit
        self._size_of = size_of
        self._on_drop = on_drop
        self._kept: OrderedDict[Key, _Kept[V]] = OrderedDict()
        # Filled by whatever thread lets a picture go; only the one that looks takes out of it.
        self._gone: deque[Key] = deque()

    def get(self, unit: Unit) -> V | None:
        """What was made of a unit, if it is there."""
        self._sweep()
        key = key_of(unit)
        kept = self._kept.get(key)
        # A number may have been given to a new picture since.
        if kept is None or not kept.shows(unit):
            self.misses += 1
            return None
        self.hits += 1
        self._kept.move_to_end(key)
        return kept.value

    def put(self, unit: Unit, value: V) -> bool:
        """Remember a value, unless somebody could change its pictures; whether it was taken."""
        if any(picture.flags.writeable or picture.base is not None for picture in unit):
            return False
        self._sweep()
        key = key_of(unit)
        self._drop(key)
        refs = tuple(weakref.ref(picture, lambda _: self._gone.append(key)) for picture in unit)
        self._kept[key] = _Kept(refs, value)
        self.held += self._size_of(value)
        while self.held > self._limit:
            self.drop_oldest()
        return True

    def drop_oldest(self) -> None:
        """Let the longest unused go."""
        self._drop(next(iter(self._kept)))

    def __len__(self) -> int:
        self._sweep()
        return len(self._kept)

    def _sweep(self) -> None:
        while self._gone:
            key = self._gone.popleft()
            if key in self._kept and self._kept[key].is_over:
                self._drop(key)

    def _drop(self, key: Key) -> None:
        kept = self._kept.pop(key, None)
        if kept:
            self.held -= self._size_of(kept.value)
            self._on_drop(kept.value)


def units_of(clip: RgbClip, frames: int) -> list[Unit]:
    """A clip's pictures in order, so many to a unit."""
    return [tuple(clip[at : at + frames]) for at in range(0, len(clip), frames)]


def key_of(unit: Unit) -> Key:
    """What tells a unit from others for as long as its pictures live."""
    return tuple(id(picture) for picture in unit)
