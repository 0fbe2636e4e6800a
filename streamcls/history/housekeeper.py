"""The thread that keeps a journal's house, whatever it meets there."""

import logging
import threading
from collections.abc import Callable

from streamcls.clock import Clock

log = logging.getLogger("streamcls")

_TICK_S = 1.0


class Housekeeper:
    """Calls `work` every second until it is stopped; tells of each failure once and goes on."""

    def __init__(self, work: Callable[[], None], *, clock: Clock) -> None:
        self.stopping = threading.Event()
        self._work = work
        self._clock = clock
        self._told: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread's end, if there was a start; True if it came in time."""
        if self._thread.ident:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._clock.wait(self.stopping, _TICK_S):
            try:
                self._work()
            except Exception as error:
                if repr(error) not in self._told:
                    log.warning("journal: upkeep failed, and goes on: %r", error)
                self._told.add(repr(error))
