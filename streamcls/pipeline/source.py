"""What a capture runs, and what it gets and counts: attempts at one source, frame by frame."""

import threading
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from streamcls.events import State


class Arrived(Protocol):
    """All that a capture needs to know of a frame, or of what stands for one."""

    @property
    def arrival_monotonic_s(self) -> float:
        """When it came, on the monotonic clock, seconds."""

    @property
    def arrival_utc_s(self) -> float:
        """The same instant in POSIX seconds."""

    @property
    def is_decoded(self) -> bool:
        """Whether it was decoded: some need not be."""


Item = TypeVar("Item", bound=Arrived)
Item_co = TypeVar("Item_co", bound=Arrived, covariant=True)


class Source(Protocol[Item_co]):
    """One run of one video source; a new one is made for each attempt."""

    @property
    def decode_errors(self) -> int:
        """Packets without a picture and pictures patched up so far, for the metrics."""

    @property
    def packets_skipped(self) -> Counter[str]:
        """Packets never decoded so far, because nothing needs them, by reason."""

    def frames(self, stop: threading.Event) -> Generator[Item_co, None, None]:
        """Open, yield every frame, and close; ends early once `stop` is set.

        A file's end is the iterator's end; a live source never ends by itself.

        Raises:
            SourceTimeout: nothing came within the limits of [capture].
            SourceRefused: it said no (401, 403, 404).
            UnusableSource: no retry can help: no video in it, or not a video.
            SourceError: anything else that went wrong with it.
        """


@dataclass(slots=True)
class CaptureStats:
    """Counts for the metrics, since the start."""

    state: State = "connecting"
    frames_decoded: int = 0
    decode_errors: int = 0
    packets_skipped: Counter[str] = field(default_factory=Counter)
    """Packets that no window needs, by reason."""
    reconnects: Counter[str] = field(default_factory=Counter)
    """Lost or failed connections that are tried again, by reason."""
    last_frame_utc_s: float | None = None

    def including(self, run: Source[Arrived] | None) -> "CaptureStats":
        """A copy, with what a run has counted so far."""
        now = replace(self, reconnects=Counter(self.reconnects))
        if run:
            now.decode_errors += run.decode_errors
            now.packets_skipped = self.packets_skipped + Counter(run.packets_skipped)
        return now
