"""Sockets, cursor and the core, moved on without ever waiting."""

import math
import time
from dataclasses import replace

import zmq

from streamcls.client.cursor import CursorFile
from streamcls.client.following import Follower
from streamcls.client.items import Item, Silence
from streamcls.client.wiring import Wiring, receive
from streamcls.errors import StreamclsError

_DEAF_S = 15.0  # a connection silent for so long, and for three heartbeats, is begun anew
_REFUSED_S = 5.0  # where we were refused, we knock again after this
_READS = 1000  # messages looked at between two looks at the clock


class Session:
    """One subscriber's connection to one daemon. For one thread."""

    def __init__(self, *, wiring: Wiring, follower: Follower, cursor: CursorFile | None) -> None:
        self._wiring = wiring
        self._follower = follower
        self._cursor = cursor
        self._connected_s = time.monotonic()
        self._hung_up = False
        self._closed = False

    @property
    def trouble(self) -> str:
        """Why the daemon does not let us in or does not answer; empty where it does both."""
        if self._closed:
            return ""
        if refusal := self._wiring.refusal():
            return refusal
        if self._follower.is_unanswered and self._wiring.connected():
            return (
                f"nobody answers at {self._wiring.replay_endpoint}, where the daemon's"
                " `replay_endpoint` should be; what is missed cannot be had"
            )
        return ""

    @property
    def heard_s_ago(self) -> float:
        """Seconds since anything came from the daemon; 0 while something waits to be read."""
        if not self._closed and self._wiring.published.poll(0):
            return 0.0
        return time.monotonic() - self._follower.quiet.heard_s

    def settle(self) -> None:
        """The caller is done with the last item.

        Raises:
            StreamclsError: the subscriber is closed, or the cursor cannot be saved.
        """
        if self._closed:
            raise StreamclsError("this subscriber is closed; make another one")
        self._follower.ledger.settle()
        self._save_if_due()

    def advance(self) -> Item | None:
        """The next item, if it can be had without waiting.

        Raises:
            ValueError: what arrived is not of this protocol.
            StreamclsError: the cursor cannot be saved.
        """
        follower = self._follower
        for _ in range(_READS):
            item = follower.ledger.take()
            if item is not None:
                return item
            now_s = time.monotonic()
            ask = follower.request(now_s)
            if ask:
                self._wiring.send(ask)
            if not self._read(now_s):
                self._tick(now_s)
                break
        self._save_if_due()
        item = follower.ledger.take()
        return replace(item, why=self.trouble) if isinstance(item, Silence) else item

    def waits_on(self) -> "zmq.Socket[bytes]":
        """The socket that has the next step."""
        return self._wiring.answers if self._follower.asks else self._wiring.published

    def patience_ms(self, deadline_s: float | None) -> int:
        """How long to wait for it at most."""
        if not (self._follower.asks or self._follower.hears):
            return 0  # something is to be asked first
        due = [at for at in (deadline_s, self._follower.wake_s()) if at is not None]
        due.append(self._deaf_s())
        if self._cursor and self._follower.ledger.moved:
            due.append(self._cursor.due_s())
        left_s = min(due) - time.monotonic()
        return max(0, math.ceil(1000 * left_s))  # not to wake before it is due

    def commit(self) -> None:
        """Count the last item as processed and save the cursor now."""
        self._follower.ledger.settle()
        self._save()

    def close(self) -> None:
        """Save the cursor, disconnect. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._wiring.close()
        if self._cursor:
            try:
                self._save()
            finally:
                self._cursor.close()

    def _tick(self, now_s: float) -> None:
        waiting = bool(self._wiring.published.poll(0))
        self._follower.tick(now_s, connected=self._wiring.connected(), waiting=waiting)
        if now_s >= self._deaf_s():
            self._connected_s = now_s
            self._hung_up = False
            if not waiting:
                self._wiring.connect_again()
        elif self._wiring.refusal() and not self._hung_up:
            self._hung_up = True
            self._wiring.hang_up()

    def _deaf_s(self) -> float:
        if self._hung_up:
            return self._connected_s + _REFUSED_S
        patience_s = max(_DEAF_S, 3 * self._follower.heartbeat_s)
        return max(self._follower.quiet.heard_s, self._connected_s) + patience_s

    def _read(self, now_s: float) -> bool:
        follower = self._follower
        if follower.asks:
            frames = receive(self._wiring.answers)
            if frames:
                follower.answer(frames, now_s)
        elif follower.hears:
            frames = receive(self._wiring.published)
            if frames:
                follower.hear(frames, now_s)
        else:
            return True  # something is to be asked first
        return frames is not None

    def _save_if_due(self) -> None:
        if self._cursor and time.monotonic() >= self._cursor.due_s():
            self._save()

    def _save(self) -> None:
        ledger = self._follower.ledger
        if self._cursor and ledger.moved:
            self._cursor.save(ledger.processed, time.monotonic())
            ledger.moved = False
