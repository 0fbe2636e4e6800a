"""The publishing thread: the only one that decides, numbers, encodes and sends."""

import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import zmq

from streamcls.clock import Clock
from streamcls.events import Encoded, Payload, Writer, kind_of, utc
from streamcls.threads import name_thread

Payloads = Callable[[], Iterable[Payload]]
"""Called on the publishing thread when its turn has come; gives what to send."""

_TICK_S = 0.25  # how often subscriptions are looked at when nothing is posted
_GROUP = 256  # posts that share one write to the journal when they come faster than it
_MAX_SUBSCRIPTION_BYTES = 1024  # a topic is shorter; what is larger is no subscription
_SUBSCRIPTIONS = 1000  # looked at per round, so that a flood of them cannot hold up messages

_Post = tuple[str, Payloads, Callable[[], None] | None]


class Publisher:
    """Keeps, then sends what is posted, in order, on a ZeroMQ PUB-side socket.

    Posts run on this thread alone, so per-stream decision state needs no locks and a message's
    sequence number is the order in which it left. Posts that wait are taken as one group: what
    is costly per write is paid once, and one that comes alone waits for nobody.

    A post that raises loses what it has not given yet, and nothing else. The first error is kept
    and told at once; the thread goes on until it is stopped, so that a run that fails can still
    say its last words.

    What a subscriber is too slow to take, beyond the socket's mark, ZeroMQ drops for it alone and
    tells nobody: `published` counts it too. That subscriber sees a gap and asks for a replay.

    Attributes:
        published: messages sent, by kind.
        subscribed: set once any subscriber has been seen.
        error: the first exception there was, if any.
    """

    SOCKET = zmq.XPUB  # a PUB that also tells of subscriptions

    @staticmethod
    def options(queue_size: int) -> dict[int, int]:
        """Of the socket, which holds so many messages for a subscriber that is slow."""
        return {zmq.SNDHWM: queue_size, zmq.MAXMSGSIZE: _MAX_SUBSCRIPTION_BYTES}

    def __init__(
        self,
        *,
        socket: "zmq.Socket[bytes]",
        writer: Writer,
        record: Callable[[Sequence[Encoded]], None],
        clock: Clock,
        heartbeat_s: float,
        on_round: Callable[[], Iterable[tuple[str, Payload]]],
        on_heartbeat: Callable[[], Iterable[tuple[str, Payload]]],
        on_end: Callable[[BaseException | None], None],
    ) -> None:
        """Store the parts.

        Args:
            socket: bound, of the kind and options above. The thread closes it.
            record: keeps a group of messages before they are sent.
            on_round: gives `(stream, payload)` to send after each group of posts, and several
                times a second without one; called on the publishing thread.
            on_heartbeat: the same, each `heartbeat_s`.
            on_end: told once: of the first error at once, or that the thread is over without one.
        """
        self.published: Counter[str] = Counter()
        self.subscribed = threading.Event()
        self.error: BaseException | None = None
        self._socket = socket
        self._writer = writer
        self._record = record
        self._clock = clock
        self._heartbeat_s = heartbeat_s
        self._on_round = on_round
        self._on_heartbeat = on_heartbeat
        self._on_end = on_end
        self._inbox: queue.SimpleQueue[_Post | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="publish", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wait_for_subscriber(self, limit_s: float, cancelled: Callable[[], bool]) -> None:
        """Wait until somebody has subscribed, the limit is over or `cancelled` says so."""
        deadline = self._clock.monotonic_s() + limit_s
        while not cancelled() and self._clock.monotonic_s() < deadline:
            if self._clock.wait(self.subscribed, 0.1):
                return

    def post(
        self, stream: str, payloads: Payloads, on_sent: Callable[[], None] | None = None
    ) -> None:
        """Queue a stream's messages; never blocks. Callable from any thread."""
        self._inbox.put((stream, payloads, on_sent))

    def stop(self) -> None:
        """End after everything posted so far has been sent. Idempotent."""
        self._inbox.put(None)

    def join(self, timeout_s: float) -> bool:
        """Wait for the end, if there was a start; True if it came in time."""
        if self._thread.ident:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        name_thread("publish")
        try:
            self._serve()
        except Exception as error:  # of the socket, without which there is nothing to go on with
            self._note(error)
        finally:
            self._socket.close()
        if self.error is None:
            self._on_end(None)

    def _note(self, error: BaseException) -> None:
        if self.error is None:
            self.error = error
            self._on_end(error)

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """What raises inside ends itself alone."""
        try:
            yield
        except Exception as error:  # kept for the daemon, which ends the run with it
            self._note(error)

    def _serve(self) -> None:
        heartbeat_at = self._clock.monotonic_s() + self._heartbeat_s
        look_at = 0.0
        over = False
        while not over:
            posts, over = self._next_group()
            self._publish(posts)
            self._send(self._encoded(self._on_round))
            now = self._clock.monotonic_s()
            if now >= look_at:
                look_at = now + _TICK_S
                self._notice_subscribers()
            if now >= heartbeat_at:
                heartbeat_at = now + self._heartbeat_s
                self._send(self._encoded(self._on_heartbeat))

    def _next_group(self) -> tuple[list[_Post], bool]:
        """What is posted, at most a group, after a wait for the first; and whether to end."""
        posts: list[_Post] = []
        try:
            post = self._inbox.get(timeout=_TICK_S)
            while post is not None:
                posts.append(post)
                if len(posts) == _GROUP:
                    return posts, False
                post = self._inbox.get_nowait()
        except queue.Empty:
            return posts, False
        return posts, True

    def _publish(self, posts: list[_Post]) -> None:
        group: list[Encoded] = []
        completed: list[Callable[[], None]] = []
        for stream, payloads, on_sent in posts:
            with self._noting():
                for payload in payloads():
                    group.append(self._encode(stream, payload))  # noqa: PERF401 (kept if it raises)
                if on_sent:
                    completed.append(on_sent)
        self._send(group)
        for on_sent in completed:
            with self._noting():
                on_sent()

    def _encoded(self, give: Callable[[], Iterable[tuple[str, Payload]]]) -> list[Encoded]:
        group: list[Encoded] = []
        with self._noting():
            for stream, payload in give():
                group.append(self._encode(stream, payload))
        return group

    def _encode(self, stream: str, payload: Payload) -> Encoded:
        return self._writer.encode(stream, payload, utc(self._clock.utc_s()))

    def _send(self, group: list[Encoded]) -> None:
        if not group:
            return
        with self._noting():
            self._record(group)
        for message in group:
            topic, body = message.frames
            self._socket.send(topic, zmq.SNDMORE)
            self._socket.send(body)
            self.published[kind_of(message.payload)] += 1

    def _notice_subscribers(self) -> None:
        for _ in range(_SUBSCRIPTIONS):
            if not self._socket.poll(0):
                return
            if self._socket.recv().startswith(b"\x01"):
                self.subscribed.set()
