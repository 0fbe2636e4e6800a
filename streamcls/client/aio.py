"""The subscriber for asyncio: the same, with waiting that lets others run."""

import asyncio
import time
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

import zmq
import zmq.asyncio

from streamcls.client.consumer import Consumer
from streamcls.client.items import Item

_TURN = 100  # items handed out in a row before other tasks get their turn


class AsyncSubscriber(Consumer):
    """`Subscriber` for one task of an event loop; arguments and promises are the same.

    `commit` and `close` are plain calls: they do not wait for the network.
    """

    _handed = 0

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
            # With 0 ms it would come back without a turn for the other tasks.
            await poller.poll(max(1, self._session.patience_ms(deadline_s)))
        return item

    async def __aiter__(self) -> AsyncIterator[Item]:
        while (item := await self.receive()) is not None:
            yield item

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave(error)
