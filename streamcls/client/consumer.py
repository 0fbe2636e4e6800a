"""What both subscribers have in common: all but the waiting."""

import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import get_args

from streamcls.client.cursor import CursorFile
from streamcls.client.following import Follower, Start
from streamcls.client.session import Session
from streamcls.client.wanted import Wanted
from streamcls.client.wiring import Wiring, keys_of
from streamcls.endpoints import replay_endpoint_of
from streamcls.errors import StreamclsError
from streamcls.events import KINDS


class Consumer:
    """Receives one daemon's messages, decoded and validated, each once and in order.

    For one thread. ZeroMQ connects in the background and again after the daemon restarts. What
    was published meanwhile is asked for; what cannot be had is a `Gap` in its place. Of
    predictions and events none is left out; a status is a state, of which the newest counts.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        streams: Iterable[str] = (),
        kinds: Iterable[str] = KINDS,
        labels: Iterable[str] = (),
        start: Start = "snapshot",
        cursor: str | Path | None = None,
        replay_endpoint: str | None = None,
        secret_key: str | Path | None = None,
        server_key: str | Path | None = None,
        queue_size: int = 100_000,
        silence_s: float | None = None,
    ) -> None:
        """Connect and subscribe.

        Args:
            endpoint: the daemon's `[publish] endpoint`.
            streams: stream ids to hear of; none for all.
            kinds: among `prediction`, `event`, `status`.
            labels: only events of these labels, and predictions whose best label is one of them;
                none for all. Statuses have no label and always pass.
            start: `snapshot` hands out the newest status and prediction of each stream and the
                newest message of each open event first, `earliest` everything the daemon still
                has, `now` nothing from before.
            cursor: a file that keeps how far the caller has come. Where it exists, `start` is of
                no account: it goes on there. An item counts as processed when the next is asked
                for, on `commit`, or when the `with` block ends without an error.
            replay_endpoint: the daemon's `[publish] replay_endpoint`; unset: the port after
                `endpoint`, or its path with `.replay`.
            secret_key: this client's secret key file, if the daemon has `[keys]`.
            server_key: the daemon's public key, as a file or its 40 characters.
            queue_size: messages held while the caller does not ask; more are asked for again.
            silence_s: hand out a `Silence` each time nothing at all was heard for so long.

        Raises:
            StreamclsError: an endpoint is not an address, a filter can match nothing, an argument
                means nothing, or the cursor or a key file cannot be used.
        """
        wanted = Wanted(streams=streams, kinds=kinds, labels=labels)
        if start not in get_args(Start):
            raise StreamclsError(f"`start` is {start!r}; use one of {', '.join(get_args(Start))}")
        if silence_s is not None and not silence_s > 0:
            raise StreamclsError(f"`silence_s` is {silence_s}; use seconds above 0, or None")
        keys = keys_of(secret_key, server_key)
        with ExitStack() as undo:
            place = CursorFile(cursor) if cursor is not None else None
            if place:
                undo.callback(place.close)
            known = place.positions if place else None
            wiring = Wiring(
                endpoint,
                replay_endpoint or replay_endpoint_of(endpoint),
                prefixes=wanted.prefixes(),
                queue_size=queue_size,
                keys=keys,
            )
            undo.callback(wiring.close)
            follower = Follower(
                wanted,
                start=start if known is None else "earliest",
                positions=known or {},
                silence_s=silence_s,
                now_s=time.monotonic(),
            )
            undo.pop_all()
        self._session = Session(wiring=wiring, follower=follower, cursor=place)

    @property
    def heard_s_ago(self) -> float:
        """Seconds since anything at all came from the daemon; its heartbeats keep it small."""
        return self._session.heard_s_ago

    @property
    def trouble(self) -> str:
        """Why the daemon does not let this client in, such as its key, or does not answer.

        Empty where it does both. Where it refuses, it is asked again every 5 s, so a key that is
        authorised late gets in too.
        """
        return self._session.trouble

    def commit(self) -> None:
        """Save now that all items handed out so far were processed, the last one too.

        Raises:
            StreamclsError: the cursor cannot be saved.
        """
        self._session.commit()

    def close(self) -> None:
        """Save the cursor and disconnect. The last item counts only if it was committed.

        Idempotent.
        """
        self._session.close()

    def _leave(self, error: BaseException | None) -> None:
        """End a `with` block: without an error the last item counts as processed."""
        try:
            if error is None:
                self.commit()
        finally:
            self.close()
