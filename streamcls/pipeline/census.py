"""Counting a server socket's connections: who is there, and who was turned away, and why."""

import errno
from collections import Counter

import zmq

REASONS = ("key", "protocol", "timeout")

EVENTS = (
    zmq.EVENT_ACCEPTED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)
"""What a socket's monitor must report to a census."""


class Census:
    """Counts one socket's connections from its monitor's events.

    ZeroMQ names the connection when it is accepted and when it is gone, but not when its
    handshake succeeds or fails, and some that fail (garbage against a CURVE socket, a wrong
    socket type) have no event of their own. Yet each connection accepted has either succeeded,
    failed, ended in silence, or is open with its handshake undecided. So

        silent = accepted - succeeded - failed - undecided

    and undecided are at most the open ones younger than the time a handshake may take. With that
    bound for it, the count is never too high, and exact once no young one is open. Without keys,
    garbage that ZeroMQ takes for its protocol of 2010 stays open, and is counted all the same.

    Attributes:
        refused: connections turned away, by reason.
    """

    def __init__(self, handshake_s: float) -> None:
        """Start at nothing.

        Args:
            handshake_s: the time that ZeroMQ gives a handshake.
        """
        self._undecided_s = handshake_s + 1
        self.refused = dict.fromkeys(REASONS, 0)
        self._accepted = 0
        self._succeeded = 0
        self._failed: Counter[str] = Counter()
        self._open: dict[int, float] = {}

    @property
    def open(self) -> int:
        """Connections accepted and not gone."""
        return len(self._open)

    def note(self, event: int, value: int, now_s: float) -> None:
        """Take an event with its value: a file descriptor, or why a handshake failed."""
        if event == zmq.EVENT_ACCEPTED:
            self._accepted += 1
            self._open[value] = now_s
        elif event == zmq.EVENT_DISCONNECTED:
            self._open.pop(value, None)
        elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._succeeded += 1
        elif reason := _reason(event, value):
            self._failed[reason] += 1

    def settle(self, now_s: float) -> None:
        """Count those that ended in silence; every event up to `now_s` was noted before."""
        undecided = sum(now_s - at_s < self._undecided_s for at_s in self._open.values())
        silent = self._accepted - self._succeeded - self._failed.total() - undecided
        told = self._failed + Counter(protocol=max(0, silent))
        # Never less than before: what was silent may yet say in going that its handshake failed.
        for reason in REASONS:
            self.refused[reason] = max(told[reason], self.refused[reason])


def _reason(event: int, value: int) -> str | None:
    if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
        return "key"
    if event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
        return "key" if value == zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC else "protocol"
    if event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        return "timeout" if value == errno.EAGAIN else "protocol"
    return None
