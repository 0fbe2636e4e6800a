"""The clips that parent and child share: a few slots in one anonymous file."""

import mmap
import os
import queue

import numpy as np

from streamcls.frames import RgbClip, RgbImage
from streamcls.isolation.wire import ClipPlace

SLOTS = 3  # one being read, one waiting, one being written


class ClipWriter:
    """The child's side: puts clips into free slots, all of one size that grows when it must."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._slot_bytes = 0
        self._memory: mmap.mmap | None = None
        self._free: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        for slot in range(SLOTS):
            self._free.put(slot)

    def give_back(self, slot: int) -> None:
        """A slot was read. Callable from any thread."""
        self._free.put(slot)

    def close(self) -> None:
        """Nobody reads any more: end whoever waits for a slot. Callable from any thread."""
        self._free.put(None)

    def put(self, clip: RgbClip) -> ClipPlace | None:
        """Write a clip once a slot is free; None once closed."""
        height, width, channels = clip[0].shape
        shape = (len(clip), height, width, channels)
        size = int(np.prod(shape))
        if size > self._slot_bytes:
            # Slots move when they grow: nobody may be reading.
            if any(self._free.get() is None for _ in range(SLOTS)):
                return None
            self._grow(size)
        slot = self._free.get()
        if slot is None or self._memory is None:
            return None
        offset = slot * self._slot_bytes
        place = np.frombuffer(self._memory, np.uint8, size, offset).reshape(shape)
        np.stack(list(clip), out=place)
        return ClipPlace(slot, offset, shape)

    def _grow(self, slot_bytes: int) -> None:
        # To whole pages, so that growing by a row or two happens once.
        self._slot_bytes = -(-slot_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        os.ftruncate(self._file, SLOTS * self._slot_bytes)
        if self._memory:
            self._memory.close()
        self._memory = mmap.mmap(self._file, SLOTS * self._slot_bytes)
        for slot in range(SLOTS):
            self._free.put(slot)


class ClipReader:
    """The parent's side."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._memory: mmap.mmap | None = None

    def take(self, place: ClipPlace) -> tuple[RgbImage, ...]:
        """A copy of the clip at a place; its pictures are shared with no other.

        Raises:
            ValueError: the place lies outside the memory.
        """
        size = int(np.prod(place.shape))
        end = place.offset + size
        if self._memory is None or end > len(self._memory):
            self.close()
            self._memory = mmap.mmap(self._file, 0, prot=mmap.PROT_READ)
        if end > len(self._memory):
            raise ValueError(f"a clip of {size} bytes lies outside the shared memory")
        flat = np.frombuffer(self._memory, np.uint8, size, place.offset)
        clip = flat.reshape(place.shape).copy()
        clip.flags.writeable = False
        return tuple(clip)

    def close(self) -> None:
        """Unmap."""
        if self._memory:
            self._memory.close()
            self._memory = None
