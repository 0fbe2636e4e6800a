"""Time as a thing that is passed in, so that tests need no sleep."""

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Where stages get the time and do their waiting."""

    def monotonic_s(self) -> float:
        """Seconds on a clock that never steps; for intervals and latency."""

    def utc_s(self) -> float:
        """POSIX seconds; for what people and other machines read."""

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until `event` is set or the time is over; True where it is set."""


class SystemClock:
    """The machine's own clocks."""

    def monotonic_s(self) -> float:
        """Seconds since an arbitrary instant, unaffected by changes of the wall clock."""
        return time.monotonic()

    def utc_s(self) -> float:
        """POSIX seconds."""
        return time.time()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until `event` is set or the time is over; True where it is set."""
        return event.wait(seconds) if seconds > 0 else event.is_set()
