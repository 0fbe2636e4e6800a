"""The publishing thread: the only one that decides, numbers, encodes and touches the socket."""

import errno
import fcntl
import os
import queue
import stat
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import IO

import zmq

from streamcls.clock import Clock
from streamcls.errors import BindError
from streamcls.events import Payload, Writer, kind_of, utc

Payloads = Callable[[], Iterable[Payload]]
"""Called on the publishing thread at the moment of sending; gives what to send."""

_LINGER_MS = 2000  # at the end: time for the last events to leave; without a bound exit can hang
_TICK_S = 0.25  # how often subscriptions are looked at when nothing is posted


class Publisher:
    """Sends what is posted, in order, on a ZeroMQ PUB-side socket.

    Posts run on this thread alone, so per-stream decision state needs no locks and a message's
    sequence number is the order in which it left.

    Attributes:
        endpoint: the address in force after `bind` (a `*` port resolved).
        published: messages sent, by kind.
        subscribed: set once any subscriber has been seen.
        error: the exception that ended the thread, if one did.
    """

    def __init__(
        self,
        *,
        endpoint: str,
        queue_size: int,
        writer: Writer,
        clock: Clock,
        heartbeat_s: float,
        on_heartbeat: Callable[[], Iterable[tuple[str, Payload]]],
        on_end: Callable[[BaseException | None], None],
    ) -> None:
        self.endpoint = endpoint
        self.published: Counter[str] = Counter()
        self.subscribed = threading.Event()
        self.error: BaseException | None = None
        self._queue_size = queue_size
        self._writer = writer
        self._clock = clock
        self._heartbeat_s = heartbeat_s
        self._on_heartbeat = on_heartbeat
        self._on_end = on_end
        self._inbox: queue.SimpleQueue[tuple[str, Payloads] | None] = queue.SimpleQueue()
        # A context of its own, because the linger counts only while a context is terminated.
        self._context = zmq.Context()
        # XPUB is PUB that also tells of subscriptions.
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.XPUB)
        self._lock: IO[str] | None = None
        self._thread = threading.Thread(target=self._run, name="publish", daemon=True)

    def bind(self) -> None:
        """Take the address, before anything else is started.

        Raises:
            BindError: it is in use, not ours, or not an address.
        """
        self._socket.set(zmq.SNDHWM, self._queue_size)
        self._socket.set(zmq.LINGER, _LINGER_MS)
        try:
            if self.endpoint.startswith("ipc://"):
                self._lock = _locked(self.endpoint.removeprefix("ipc://"))
            self._socket.bind(self.endpoint)
        except (zmq.ZMQError, OSError) as error:
            self.close()
            reason = zmq.strerror(error.errno or 0)
            raise BindError(
                f"cannot publish on {self.endpoint}: {reason}; set another `endpoint` in [publish]"
            ) from None
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def close(self) -> None:
        """Free the address, once what was sent has left or the linger is over. Idempotent.

        The thread does this at its end; call it only where the thread was never started.
        """
        self._socket.close(_LINGER_MS)
        self._context.term()
        if self._lock:
            self._lock.close()

    def start(self) -> None:
        """Start the thread; `bind` came before."""
        self._thread.start()

    def wait_for_subscriber(self, limit_s: float, cancelled: Callable[[], bool]) -> None:
        """Wait until somebody has subscribed, the limit is over or `cancelled` says so."""
        deadline = self._clock.monotonic_s() + limit_s
        while not cancelled() and self._clock.monotonic_s() < deadline:
            if self._clock.wait(self.subscribed, 0.1):
                return

    def post(self, stream: str, payloads: Payloads) -> None:
        """Queue a stream's messages; never blocks. Callable from any thread."""
        self._inbox.put((stream, payloads))

    def stop(self) -> None:
        """End after everything posted so far has been sent. Idempotent."""
        self._inbox.put(None)

    def join(self, timeout_s: float) -> bool:
        """Wait for the end, if there was a start; True if it came in time."""
        if self._thread.ident:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._serve()
        except Exception as error:  # kept for the daemon, which ends the run with it
            self.error = error
        finally:
            self.close()
        self._on_end(self.error)

    def _serve(self) -> None:
        heartbeat_at = self._clock.monotonic_s() + self._heartbeat_s
        while True:
            try:
                post = self._inbox.get(timeout=_TICK_S)
            except queue.Empty:
                pass
            else:
                if post is None:
                    return
                stream, payloads = post
                self._send((stream, payload) for payload in payloads())
            self._notice_subscribers()
            if self._clock.monotonic_s() >= heartbeat_at:
                heartbeat_at = self._clock.monotonic_s() + self._heartbeat_s
                self._send(self._on_heartbeat())

    def _send(self, messages: Iterable[tuple[str, Payload]]) -> None:
        for stream, payload in messages:
            topic, body = self._writer.encode(stream, payload, utc(self._clock.utc_s()))
            self._socket.send_multipart([topic, body])
            self.published[kind_of(payload)] += 1

    def _notice_subscribers(self) -> None:
        while self._socket.poll(0):
            if self._socket.recv().startswith(b"\x01"):
                self.subscribed.set()


def _locked(path: str) -> IO[str]:
    """Lock an ipc path: ZeroMQ would let a second daemon take it, and replace any file there."""
    if os.path.exists(path) and not stat.S_ISSOCK(os.stat(path).st_mode):
        raise OSError(errno.EEXIST, "not a socket")
    lock = open(f"{path}.lock", "w")  # noqa: SIM115 (held as long as the address)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise OSError(errno.EADDRINUSE, "locked") from None
    return lock
