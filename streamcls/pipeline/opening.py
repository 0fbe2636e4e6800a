"""When a source may be opened: turns and pauses, so that fifty cameras do not stampede."""

import heapq
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from streamcls.config import CaptureSettings

_LOOK_S = 0.2  # how often one that waits looks whether it was stopped


class OpeningTurns:
    """At most `limit` captures hold a turn; of those that wait, who failed least goes first.

    So a camera that has just blinked does not queue behind the dead, each of which holds its turn
    for the whole of its time limit. Among equals, who came first goes first.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._changed = threading.Condition()  # guards all that follows
        self._held = 0
        self._waiting: list[tuple[int, int]] = []
        self._tickets = itertools.count()

    def set_limit(self, limit: int) -> None:
        """Let so many hold a turn from now on; those that hold one keep it."""
        with self._changed:
            self._limit = limit
            self._changed.notify_all()

    @contextmanager
    def turn(self, attempt: int, stopping: threading.Event) -> Iterator["Turn"]:
        """Wait for a turn, and hold it until it is given back, or the block ends.

        Args:
            attempt: how often opening has failed in a row.
            stopping: ends the waiting, with a turn that is none.
        """
        ticket = (attempt, next(self._tickets))
        turn = Turn(self)
        with self._changed:
            heapq.heappush(self._waiting, ticket)
            while not stopping.is_set():
                if self._held < self._limit and self._waiting[0] == ticket:
                    self._held += 1
                    turn.is_held = True
                    break
                self._changed.wait(_LOOK_S)
            self._waiting.remove(ticket)
            heapq.heapify(self._waiting)
            self._changed.notify_all()
        try:
            yield turn
        finally:
            turn.give_back()

    def release(self) -> None:
        """One turn is free again; called by `Turn`."""
        with self._changed:
            self._held -= 1
            self._changed.notify_all()


class Turn:
    """One capture's turn to open its source. Used by that capture's thread."""

    def __init__(self, turns: OpeningTurns) -> None:
        self.is_held = False
        self._turns = turns

    def give_back(self) -> None:
        """Let the next one open. Idempotent."""
        if self.is_held:
            self.is_held = False
            self._turns.release()


def backoff_s(attempt: int, limits: CaptureSettings, random: Random) -> float:
    """The pause before attempt number `attempt` + 1, in seconds: exponential with full jitter.

    The jitter keeps cameras that failed together, behind one switch, from coming back together.
    """
    # The exponent is bounded because a float is: 2.0 ** 1024 overflows.
    ceiling_s = min(limits.backoff_max_s, limits.backoff_min_s * 2.0 ** min(attempt, 64))
    return random.uniform(limits.backoff_min_s, ceiling_s)
