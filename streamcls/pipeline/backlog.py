"""Windows that wait for the inference worker: newest first per stream, no stream starved."""

import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import TypeAlias

from streamcls.clock import Clock, SystemClock
from streamcls.frames import Window

Note: TypeAlias = Callable[[], None]
"""Called by the worker once it has classified the windows that were put before it."""

_LOSSLESS_DEPTH = 2  # one window being classified, one ready: enough to keep the worker busy
_OLD_S = 0.15
# All in a batch wait for the last of it. A CPU gains nothing to speak of by it, and a GPU puts any
# number of windows into so much time.
_LONGEST_BATCH_S = 0.05


class Backlog:
    """Many capture threads put, one worker takes.

    A live stream holds one waiting window: a newer one replaces it, and the loss is counted. A
    lossless stream holds two, and its producer waits for room. The worker is served from the
    stream that has waited longest since it was last served, so none starves and each has an equal
    share, whatever its stride; but a live window that has grown old goes after all that have not.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._changed = threading.Condition()  # guards all that follows
        self._waiting: dict[str, deque[Window | Note]] = {}  # in the order streams are served
        self._superseded: Counter[str] = Counter()
        self._late: Counter[str] = Counter()
        self._put_s: dict[str, float] = {}  # of the live windows that wait
        self._due_s: dict[str, float] = {}  # since when live streams wait for their turn
        self._taken_s: float | None = None  # when the worker took what it classifies
        self._taken = 0  # windows
        self._batch_s = 0.0  # how long it took for what it had before
        self._window_s = 0.0  # ... and for each window of that
        self._closed = False

    def put(self, window: Window, *, lossless: bool, cancelled: threading.Event) -> bool:
        """Leave a window to be classified; False where it was not taken in.

        Args:
            lossless: wait for room instead of replacing the stream's older window.
            cancelled: set by the producer's stop, looked at ten times a second while waiting.
        """
        with self._changed:
            waiting = self._waiting.setdefault(window.stream, deque())
            while lossless and len(waiting) >= _LOSSLESS_DEPTH and not self._closed:
                if cancelled.is_set():
                    return False
                self._changed.wait(0.1)
                waiting = self._waiting.setdefault(window.stream, deque())
            if self._closed:
                return False
            if not lossless:
                self._superseded[window.stream] += self._remove(window.stream)
                self._put_s[window.stream] = self._clock.monotonic_s()
                self._due_s.setdefault(window.stream, self._put_s[window.stream])
            self._waiting.setdefault(window.stream, deque()).append(window)
            self._changed.notify_all()
            return True

    def note(self, stream: str, note: Note) -> None:
        """Have `note` called after the stream's waiting windows; never waits, never dropped."""
        with self._changed:
            self._waiting.setdefault(stream, deque()).append(note)
            self._changed.notify_all()

    def take(self, max_items: int, timeout_s: float) -> list[Window | Note] | None:
        """Up to `max_items` items, one per waiting stream before a second of any.

        Fewer where they would keep the worker for long, by how long the last ones did.

        Returns:
            An empty list after `timeout_s` without an item; None once closed and empty.
        """
        with self._changed:
            if self._taken_s is not None:
                self._batch_s = self._clock.monotonic_s() - self._taken_s
                self._window_s = self._batch_s / self._taken
                self._taken_s, self._taken = None, 0
            if self._window_s:
                max_items = min(max_items, max(1, int(_LONGEST_BATCH_S / self._window_s)))
            self._changed.wait_for(lambda: self._closed or any(self._waiting.values()), timeout_s)
            taken: list[Window | Note] = []
            noted: set[str] = set()
            while len(taken) < max_items and (ready := self._ready(noted)):
                for stream in ready[: max_items - len(taken)]:
                    item = self._waiting[stream].popleft()
                    taken.append(item)
                    # Served: to the back of the queue of streams.
                    self._waiting[stream] = self._waiting.pop(stream)
                    if isinstance(item, Window):
                        self._taken_s = self._clock.monotonic_s()
                        self._taken += 1
                        self._put_s.pop(stream, None)
                        self._due_s.pop(stream, None)
                    else:
                        # The worker calls notes after its windows: what came later comes later.
                        noted.add(stream)
            self._changed.notify_all()
            return None if not taken and self._closed else taken

    def late_s(self, stream: str) -> float:
        """How long a live stream has waited for its turn, beyond the batch that all wait for."""
        with self._changed:
            due_s = self._due_s.get(stream)
            if due_s is None:
                return 0.0
            return max(0.0, self._clock.monotonic_s() - due_s - self._batch_s)

    def withdraw(self, stream: str) -> None:
        """Give up a live stream's waiting window: it has become too old, and is counted."""
        with self._changed:
            self._late[stream] += self._remove(stream)
            self._put_s.pop(stream, None)
            self._due_s.pop(stream, None)

    def dropped(self, stream: str) -> dict[str, int]:
        """Live windows of a stream that were never classified, by reason.

        `superseded`: a newer one took its place; `late`: it was withdrawn.
        """
        with self._changed:
            counts = {"superseded": self._superseded[stream], "late": self._late[stream]}
            return {reason: count for reason, count in counts.items() if count}

    def forget(self, stream: str) -> None:
        """Drop a stream that is no more, if nothing of it waits."""
        with self._changed:
            if not self._waiting.get(stream):
                self._waiting.pop(stream, None)
                for record in (self._superseded, self._late, self._put_s, self._due_s):
                    record.pop(stream, None)

    def close(self) -> None:
        """Take no more windows; what waits may still be taken. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _ready(self, noted: set[str]) -> list[str]:
        ready = [name for name, items in self._waiting.items() if items and name not in noted]
        # With more work than can be done something fresh is always there, so that what is done is
        # worth it. No less than two batches: within one, each stream has its turn.
        old_s = self._clock.monotonic_s() - max(_OLD_S, 2 * self._batch_s)
        return sorted(ready, key=lambda name: self._put_s.get(name, old_s) < old_s)

    def _remove(self, stream: str) -> int:
        """Remove a stream's windows, and say how many there were; its notes stay."""
        waiting = self._waiting.get(stream, deque())
        notes: deque[Window | Note] = deque(
            item for item in waiting if not isinstance(item, Window)
        )
        if stream in self._waiting:
            self._waiting[stream] = notes
        return len(waiting) - len(notes)
