"""What a consumer process imports. Needs neither torch nor av.

with Subscriber("tcp://127.0.0.1:5599", kinds=["event"]) as messages:
    for message in messages:
        print(message.subject, message.data.transition, message.data.label)
"""

import time
from collections.abc import Iterable, Iterator
from types import TracebackType

import zmq

from streamcls.errors import StreamclsError
from streamcls.events import KINDS, TOPIC_ROOT, Message, decode, parse_topic, topic


class Subscriber:
    """Receives one daemon's messages, decoded and validated. For one thread.

    ZeroMQ connects in the background and again after the daemon restarts; what was published
    while nobody was connected is not received.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        streams: Iterable[str] = (),
        kinds: Iterable[str] = KINDS,
        queue_size: int = 100_000,
    ) -> None:
        """Connect and subscribe.

        Args:
            endpoint: the daemon's `[publish] endpoint`.
            streams: stream ids to hear of; none for all.
            kinds: among `prediction`, `event`, `status`.
            queue_size: messages held while the caller does not ask; more are lost, which shows
                as a jump in `sequence`.

        Raises:
            StreamclsError: the endpoint is not an address.
        """
        self._kinds = frozenset(kinds)
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.RCVHWM, queue_size)
        try:
            self._socket.connect(endpoint)
        except zmq.ZMQError as error:
            self._socket.close()
            raise StreamclsError(
                f"cannot subscribe to {endpoint}: {zmq.strerror(error.errno or 0)};"
                " an endpoint looks like tcp://127.0.0.1:5599"
            ) from None
        for prefix in _prefixes(list(streams), sorted(self._kinds)):
            self._socket.subscribe(prefix)

    def receive(self, timeout_s: float | None = None) -> tuple[Message, bytes] | None:
        """The next message and its JSON body as sent, or None after `timeout_s`.

        Raises:
            ValueError: what arrived is not of this protocol.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while self._socket.poll(_left_ms(deadline)):
            topic_frame, body = self._socket.recv_multipart()
            if parse_topic(topic_frame.decode("utf-8", "replace"))[1] in self._kinds:
                return decode(topic_frame, body), body
        return None

    def __iter__(self) -> Iterator[Message]:
        while (received := self.receive()) is not None:
            yield received[0]

    def close(self) -> None:
        """Disconnect. Idempotent."""
        self._socket.close()

    def __enter__(self) -> "Subscriber":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _left_ms(deadline_s: float | None) -> int | None:
    return None if deadline_s is None else max(0, round(1000 * (deadline_s - time.monotonic())))


def _prefixes(streams: list[str], kinds: list[str]) -> list[str]:
    if not streams:
        return [f"{TOPIC_ROOT}/"]
    return [topic(stream, kind) for stream in streams for kind in kinds]
