"""The subscriber for ordinary code: it waits where it stands."""

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from streamcls.client.consumer import Consumer
from streamcls.client.items import Item


class Subscriber(Consumer):
    """Hands out one daemon's messages, each once and in order; see `Consumer` for all of it."""

    def receive(self, timeout_s: float | None = None) -> Item | None:
        """The next item, or None after `timeout_s`.

        Raises:
            ValueError: what arrived is not of this protocol; it is left out, and the next call
                goes on behind it.
            StreamclsError: the subscriber is closed, or the cursor cannot be saved.
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave(error)
