"""Lines that repeat are logged at most once a second, with a count of those left out."""

import copy
import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass

from streamcls.clock import Clock

_QUIET_S = 1.0
_REMEMBERED = 1000  # kinds of lines; beyond, the one longest unseen is forgotten


@dataclass(slots=True)
class _Kind:
    """One kind of line: when it was told last, and what of it was left out since."""

    told_s: float
    left_out: int = 0
    newest: logging.LogRecord | None = None


class Repeats:
    """Lets a record through unless one of its kind was told within the last second.

    Of one kind are records of the same stream, level and message before its values. What was left
    out is told, as a count beside the newest, once its second is over and any line comes.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()  # guards the kinds
        self._kinds: OrderedDict[tuple[object, ...], _Kind] = OrderedDict()

    def admit(self, record: logging.LogRecord) -> list[logging.LogRecord]:
        """What to tell now that this record has come, oldest first; it may not be among it."""
        key = (getattr(record, "stream", ""), record.levelno, str(record.msg))
        now_s = self._clock.monotonic_s()
        with self._lock:
            told = self._due(now_s)
            kind = self._kinds.get(key)
            if kind:
                kind.left_out += 1
                kind.newest = record
                return told
            self._kinds[key] = _Kind(now_s)
            if len(self._kinds) > _REMEMBERED:
                told += _untold(self._kinds.popitem(last=False)[1])
            return [*told, record]

    def untold(self) -> list[logging.LogRecord]:
        """What is still to be told, at the end."""
        with self._lock:
            kinds, self._kinds = self._kinds, OrderedDict()
        return [record for kind in kinds.values() for record in _untold(kind)]

    def _due(self, now_s: float) -> list[logging.LogRecord]:
        """Close the kinds whose second is over. They lie in the order in which they were told."""
        told: list[logging.LogRecord] = []
        while self._kinds:
            key, kind = next(iter(self._kinds.items()))
            if now_s - kind.told_s < _QUIET_S:
                break
            del self._kinds[key]
            if kind.newest:
                told += _untold(kind)
                self._kinds[key] = _Kind(now_s)  # telling it begins a second of its own
        return told


def _untold(kind: _Kind) -> list[logging.LogRecord]:
    """The newest record that was left out, with the count of the others."""
    if kind.newest is None:
        return []
    record = copy.copy(kind.newest)
    if others := kind.left_out - 1:
        record.msg = f"{record.msg} (and {others} more like it)"
    return [record]
