"""What a capture runs, and what it gets: one attempt at one source, frame by frame."""

import threading
from collections.abc import Generator
from typing import Protocol, TypeVar


class Arrived(Protocol):
    """All that a capture needs to know of a frame, or of what stands for one."""

    @property
    def arrival_monotonic_s(self) -> float:
        """When it came, on the monotonic clock, seconds."""

    @property
    def arrival_utc_s(self) -> float:
        """The same instant in POSIX seconds."""


Item = TypeVar("Item", bound=Arrived)
Item_co = TypeVar("Item_co", bound=Arrived, covariant=True)


class Source(Protocol[Item_co]):
    """One run of one video source; a new one is made for each attempt."""

    @property
    def decode_errors(self) -> int:
        """Packets skipped and pictures patched up so far, for the metrics."""

    def frames(self, stop: threading.Event) -> Generator[Item_co, None, None]:
        """Open, yield every decoded frame, and close; ends early once `stop` is set.

        A file's end is the iterator's end; a live source never ends by itself.

        Raises:
            SourceTimeout: nothing came within the limits of [capture].
            SourceRefused: it said no (401, 403, 404).
            UnusableSource: no retry can help: no video in it, or not a video.
            SourceError: anything else that went wrong with it.
        """
