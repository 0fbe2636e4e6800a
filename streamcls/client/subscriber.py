"""The subscriber for ordinary code: it waits where it stands."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from streamcls.client.following import Start
from streamcls.client.items import Item
from streamcls.client.session import Session
from streamcls.events import KINDS


class Subscriber:
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
            StreamclsError: an endpoint is not an address, a filter can match nothing, or the
                cursor or a key file cannot be used.
        """
        self._session = Session(
            endpoint,
            streams=streams,
            kinds=kinds,
            labels=labels,
            start=start,
            cursor=cursor,
            replay_endpoint=replay_endpoint,
            secret_key=secret_key,
            server_key=server_key,
            queue_size=queue_size,
            silence_s=silence_s,
        )

    def receive(self, timeout_s: float | None = None) -> Item | None:
        """The next item, or None after `timeout_s`.

        Raises:
            ValueError: what arrived is not of this protocol; it is left out, and the next call
                goes on behind it.
            StreamclsError: the cursor cannot be saved.
        """
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        self._session.settle()
        while (item := self._session.advance()) is None:
            if deadline_s is not None and time.monotonic() >= deadline_s:
                return None
            self._session.waits_on().poll(self._session.patience_ms(deadline_s))
        return item

    def __iter__(self) -> Iterator[Item]:
        while (item := self.receive()) is not None:
            yield item

    @property
    def heard_s_ago(self) -> float:
        """Seconds since anything at all came from the daemon; its heartbeats keep it small."""
        return self._session.heard_s_ago

    @property
    def refusal(self) -> str:
        """Why the daemon does not let this client in, such as its key; empty where it does.

        After 15 s of silence it is tried again, so a key that is authorised late gets in too.
        """
        return self._session.refusal

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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.commit()
        finally:
            self.close()
