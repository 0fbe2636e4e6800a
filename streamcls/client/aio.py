"""The subscriber for asyncio: the same, with waiting that lets others run."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import zmq
import zmq.asyncio

from streamcls.client.following import Start
from streamcls.client.items import Item
from streamcls.client.session import Session
from streamcls.events import KINDS

_TURN = 100  # items handed out in a row before other tasks get their turn


class AsyncSubscriber:
    """`Subscriber` for one task of an event loop; arguments and promises are the same."""

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
        """Connect and subscribe, as `Subscriber` does."""
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
        self._handed = 0

    async def receive(self, timeout_s: float | None = None) -> Item | None:
        """The next item, or None after `timeout_s`. Cancelling it loses nothing.

        Raises:
            ValueError, StreamclsError: as `Subscriber.receive`.
        """
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        self._session.settle()
        self._handed += 1
        if self._handed % _TURN == 0:
            await asyncio.sleep(0)
        while (item := self._session.advance()) is None:
            if deadline_s is not None and time.monotonic() >= deadline_s:
                return None
            poller = zmq.asyncio.Poller()
            poller.register(self._session.waits_on(), zmq.POLLIN)
            patience_ms = self._session.patience_ms(deadline_s)
            # With 0 ms it would come back without a turn for the other tasks.
            await poller.poll(max(1, patience_ms))
        return item

    async def __aiter__(self) -> AsyncIterator[Item]:
        while (item := await self.receive()) is not None:
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
        """Save the cursor and disconnect, as `Subscriber.close`. Idempotent."""
        self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
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
