"""What both subscribers share: sockets, cursor and the core, moved on without ever waiting."""

import math
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import zmq

from streamcls.client.cursor import CursorFile
from streamcls.client.following import Follower, Start
from streamcls.client.items import Item, Silence
from streamcls.client.wanted import Wanted
from streamcls.client.wiring import Wiring, keys_of, receive
from streamcls.endpoints import replay_endpoint_of

_DEAF_S = 15.0  # a connection silent for so long, and for three heartbeats, is begun anew
_READS = 1000  # messages looked at between two looks at the clock


class Session:
    """One subscriber's connection to one daemon. For one thread."""

    def __init__(
        self,
        endpoint: str,
        *,
        streams: Iterable[str],
        kinds: Iterable[str],
        labels: Iterable[str],
        start: Start,
        cursor: str | Path | None,
        replay_endpoint: str | None,
        secret_key: str | Path | None,
        server_key: str | Path | None,
        queue_size: int,
        silence_s: float | None,
    ) -> None:
        wanted = Wanted(streams=streams, kinds=kinds, labels=labels)
        keys = keys_of(secret_key, server_key)
        self._cursor = CursorFile(cursor) if cursor is not None else None
        known = self._cursor.positions if self._cursor else None
        try:
            self._wiring = Wiring(
                endpoint,
                replay_endpoint or replay_endpoint_of(endpoint),
                prefixes=wanted.prefixes(),
                queue_size=queue_size,
                keys=keys,
            )
        except BaseException:
            if self._cursor:
                self._cursor.close()
            raise
        self._follower = Follower(
            wanted,
            start=start if known is None else "earliest",
            positions=known or {},
            silence_s=silence_s,
            now_s=time.monotonic(),
        )
        self._connected_s = time.monotonic()

    @property
    def refusal(self) -> str:
        """Why the daemon does not let us in; empty where it does, or is not there."""
        return self._wiring.refusal()

    @property
    def heard_s_ago(self) -> float:
        """Seconds since anything came from the daemon; 0 while something waits to be read."""
        if self._wiring.published.poll(0):
            return 0.0
        return time.monotonic() - self._follower.heard_s

    def settle(self) -> None:
        """The caller is done with the last item."""
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
                follower.tick(now_s)
                if now_s >= self._deaf_s():
                    self._connected_s = now_s
                    self._wiring.connect_again()
                break
        self._save_if_due()
        item = follower.ledger.take()
        return replace(item, why=self.refusal) if isinstance(item, Silence) else item

    def waits_on(self) -> "zmq.Socket[bytes]":
        """The socket that has the next step."""
        return self._wiring.answers if self._follower.asks else self._wiring.published

    def patience_ms(self, deadline_s: float | None) -> int:
        """How long to wait for it at most."""
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
        self._wiring.close()
        if self._cursor:
            try:
                self._save()
            finally:
                self._cursor.close()

    def _deaf_s(self) -> float:
        patience_s = max(_DEAF_S, 3 * self._follower.heartbeat_s)
        return max(self._follower.heard_s, self._connected_s) + patience_s

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
