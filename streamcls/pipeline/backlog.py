"""Windows that wait for the inference worker: newest first per stream, no stream starved."""

import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import TypeAlias

from streamcls.frames import Window

Note: TypeAlias = Callable[[], None]
"""Called by the worker once it has classified the windows that were put before it."""

_LOSSLESS_DEPTH = 2  # one window being classified, one ready: enough to keep the worker busy


class Backlog:
    """Many capture threads put, one worker takes.

    A live stream holds one waiting window: a newer one replaces it, and the loss is counted. A
    lossless stream holds two, and its producer waits for room. The worker is served from the
    stream that has waited longest since it was last served, so none starves.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()  # guards all that follows
        self._waiting: dict[str, deque[Window | Note]] = {}  # in the order streams are served
        self._superseded: Counter[str] = Counter()
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
                self._supersede(window.stream)
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

        Returns:
            An empty list after `timeout_s` without an item; None once closed and empty.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or any(self._waiting.values()), timeout_s)
            taken: list[Window | Note] = []
            noted: set[str] = set()
            while len(taken) < max_items and (ready := self._ready(noted)):
                for stream in ready[: max_items - len(taken)]:
                    item = self._waiting[stream].popleft()
                    taken.append(item)
                    # Served: to the back of the queue of streams.
                    self._waiting[stream] = self._waiting.pop(stream)
                    if not isinstance(item, Window):
                        # The worker calls notes after its windows: what came later comes later.
                        noted.add(stream)
            self._changed.notify_all()
            return None if not taken and self._closed else taken

    def superseded(self, stream: str) -> int:
        """Live windows of a stream that a newer one replaced before they were classified."""
        with self._changed:
            return self._superseded[stream]

    def forget(self, stream: str) -> None:
        """Drop a stream that is no more, if nothing of it waits."""
        with self._changed:
            if not self._waiting.get(stream):
                self._waiting.pop(stream, None)
                self._superseded.pop(stream, None)

    def close(self) -> None:
        """Take no more windows; what waits may still be taken. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _ready(self, noted: set[str]) -> list[str]:
        return [name for name, items in self._waiting.items() if items and name not in noted]

    def _supersede(self, stream: str) -> None:
        notes: deque[Window | Note] = deque(
            item for item in self._waiting[stream] if not isinstance(item, Window)
        )
        self._superseded[stream] += len(self._waiting[stream]) - len(notes)
        self._waiting[stream] = notes
