"""Small pictures on the device: each goes there once, and a window is a list of their places."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from streamcls.frames import RgbImage
from streamcls.models.backends.remembered import Remembered
from streamcls.transforms import ClipSpec
from streamcls.transforms.clip import gather_pictures


class PictureRing:
    """A fixed number of places for pictures' central squares, uint8, in the device's memory.

    Pictures travel from pinned memory on a stream of their own, while the device computes; the
    host waits for nothing. On a CPU all of it is the same but streams and pinning. Used by one
    thread.

    Attributes:
        uploads: pictures that were sent.
    """

    def __init__(self, spec: ClipSpec, device: torch.device, capacity: int) -> None:
        """Allocate all places.

        Args:
            capacity: at least as many as one call of `place` brings different pictures.
        """
        self.uploads = 0
        self._spec = spec
        self._device = device
        self._pixels = torch.zeros(
            (capacity, spec.crop, spec.crop, 3), dtype=torch.uint8, device=device
        )
        self._free = list(range(capacity))
        self._loose: list[int] = []  # taken for pictures that are not to be found again
        self._places = Remembered[int](capacity, size_of=lambda _: 1, on_drop=self._free.append)
        self._copying: torch.cuda.Stream | None = None
        if device.type == "cuda":
            torch.cuda.synchronize(device)  # the places are zeroed on another stream
            self._copying = new_stream(device)
            self._sent, self._taken = new_event(), new_event()

    def place(self, pictures: Sequence[RgbImage]) -> list[int]:
        """Where each picture lies; those that were not there are sent.

        A place may be given to another picture by the next call, so `take` from it before.

        Raises:
            ValueError: more different pictures than there are places.
        """
        self._free += self._loose
        self._loose = []
        found: dict[int, int] = {}
        missing: dict[int, RgbImage] = {}
        # All that are there are found first, and are then not the oldest.
        for picture in pictures:
            if id(picture) in found or id(picture) in missing:
                continue
            place = self._places.get((picture,))
            if place is None:
                missing[id(picture)] = picture
            else:
                found[id(picture)] = place
        if len(found) + len(missing) > len(self._pixels):
            raise ValueError(f"{len(missing)} pictures for a ring of {len(self._pixels)}")
        for number, picture in missing.items():
            found[number] = self._new_place(picture)
        if missing:
            self._send([*missing.values()], [found[number] for number in missing])
        return [found[id(picture)] for picture in pictures]

    def take(self, places: Sequence[int], out: Tensor) -> None:
        """Copy the pictures at these places, in order, on the device's current stream.

        Args:
            out: uint8, (len(places), crop, crop, 3).
        """
        if self._copying:
            torch.cuda.current_stream(self._device).wait_event(self._sent)
        torch.index_select(self._pixels, 0, self._indices(places), out=out)
        if self._copying:
            self._taken.record()

    def _new_place(self, picture: RgbImage) -> int:
        if not self._free:
            self._places.drop_oldest()
        place = self._free.pop()
        if not self._places.put((picture,), place):
            self._loose.append(place)
        return place

    def _send(self, pictures: Sequence[RgbImage], places: Sequence[int]) -> None:
        self.uploads += len(pictures)
        with self._copies():
            pixels = gather_pictures(pictures, self._spec, self._device)
            self._pixels.index_copy_(0, self._indices(places), pixels)

    def _indices(self, places: Sequence[int]) -> Tensor:
        indices = torch.tensor(places, pin_memory=self._copying is not None)
        return indices.to(self._device, non_blocking=True)

    @contextmanager
    def _copies(self) -> Iterator[None]:
        """What is in it goes to the device while that computes, once what is replaced was taken.

        Pinned memory is given to others only after its copy: torch's allocator sees to that.
        """
        if self._copying is None:
            yield
            return
        self._copying.wait_event(self._taken)
        with torch.cuda.stream(self._copying):
            yield
        self._sent.record(self._copying)


def new_stream(device: torch.device) -> torch.cuda.Stream:
    """A queue of work for a CUDA device."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def new_event(*, blocking: bool = False) -> torch.cuda.Event:
    """A place in a queue, to be waited for; by a host that sleeps, if it is blocking."""
    return torch.cuda.Event(blocking=blocking)  # type: ignore[no-untyped-call]
