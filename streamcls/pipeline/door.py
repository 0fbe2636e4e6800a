"""The door: binding the sockets, who may connect, and counting who comes, stays and is refused."""

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import zmq
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils.monitor import parse_monitor_message

from streamcls.config import KeySettings
from streamcls.endpoints import IpcLock
from streamcls.errors import BindError, ConfigError
from streamcls.keys import AuthorizedKeys, load_secret
from streamcls.pipeline.census import EVENTS, REASONS, Census

log = logging.getLogger("streamcls")

LINGER_MS = 2000  # at the end: time for the last events to leave; without a bound exit can hang
HANDSHAKE_MS = 5000  # whoever has not said hello by then is cut off
HEARTBEAT_MS = 30_000
# No answer in so long is death. A subscriber with a full queue answers only once it reads on, and
# a short limit would cut it off from what is held for it.
DEAD_AFTER_MS = 300_000
_DOMAIN = "streamcls"
_TICK_MS = 250
_EVENTS_A_ROUND = 10_000  # so that a flood of connections cannot keep the thread from its end
_LOG_EVERY_S = 5.0
CLOSE_S = 2.5  # the linger, and what little the rest takes
_KEYS_S = 0.3
_ORPHAN_S = 0.3  # a thread that waits on a socket closes it within this when the context ends


class Door:
    """Everything about the outside of the server sockets; it hands them out ready bound.

    The stages close the sockets they were given; `close` frees the addresses after them.
    """

    def __init__(self, *, keys: KeySettings, ipc_mode: str) -> None:
        """Read the keys, before anything is bound.

        Args:
            keys: with them every connection is encrypted, and refused without an authorised key.
            ipc_mode: who may connect to an ipc endpoint, octal as of `chmod`.

        Raises:
            ConfigError: a key file or the folder of authorised keys cannot be used.
        """
        self._secret: bytes | None = None
        self._authorized: AuthorizedKeys | None = None
        if keys.secret and keys.authorized:
            self._secret = load_secret(Path(keys.secret)).secret
            if not os.path.isdir(keys.authorized):
                raise ConfigError(f"[keys] authorized: {keys.authorized} is not a folder; make it")
            self._authorized = AuthorizedKeys(Path(keys.authorized))
        self._ipc_mode = int(ipc_mode, 8)
        # A context of its own, because the linger counts only while a context is terminated.
        self._context = zmq.Context()
        self._zap: ThreadAuthenticator | None = None
        self._locks: list[IpcLock] = []
        self._sockets: list[zmq.Socket[bytes]] = []
        self._watched: list[tuple[zmq.Socket[bytes], Census]] = []
        self._subscribers: Census | None = None
        self._told: Mapping[str, int] = dict.fromkeys(REASONS, 0)
        self._told_at_s = -_LOG_EVERY_S
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="door", daemon=True)

    def open(
        self, kind: int, endpoint: str, *, setting: str, options: Mapping[int, int]
    ) -> "zmq.Socket[bytes]":
        """A socket that listens on `endpoint`; its stage closes it.

        Args:
            kind: zmq.XPUB or zmq.ROUTER.
            setting: the key of [publish] that an error names.
            options: ZeroMQ's, such as high-water marks and the largest message.

        Raises:
            BindError: the address is in use, not ours, or would replace a file.
        """
        made: zmq.Socket[bytes] = self._context.socket(kind)
        self._sockets.append(made)
        try:
            self._set_up(made, endpoint, options)
            census = self._monitor(made)
            if endpoint.startswith("ipc://"):
                self._bind_ipc(made, endpoint.removeprefix("ipc://"))
            else:
                made.bind(endpoint)
        except (zmq.ZMQError, OSError) as error:
            made.close(0)
            is_zmq = isinstance(error, zmq.ZMQError)  # whose own text repeats the address
            reason = zmq.strerror(error.errno or 0) if is_zmq else error.strerror
            raise BindError(
                f"cannot publish on {endpoint}: {reason}; set another `{setting}` in [publish]"
            ) from None
        if kind == zmq.XPUB:
            self._subscribers = census
        return made

    @staticmethod
    def address_of(made: "zmq.Socket[bytes]") -> str:
        """The address in force, a `*` port resolved."""
        return made.getsockopt_string(zmq.LAST_ENDPOINT)

    def start(self) -> None:
        """Start the thread that counts; every `open` came before."""
        self._thread.start()

    @property
    def subscribers(self) -> int:
        """Open connections of the publishing socket, with those still in their handshake."""
        return self._subscribers.open if self._subscribers else 0

    @property
    def refused(self) -> Mapping[str, int]:
        """Connections that failed to become one so far, by reason, over all sockets.

        `key`: an unknown key on either side; `protocol`: not ours, or no keys where they are
        needed; `timeout`: no handshake in time.
        """
        total: Counter[str] = Counter(dict.fromkeys(REASONS, 0))
        for _, census in self._watched:
            total.update(census.refused)
        return total

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Free the addresses, once what was sent has left or the time is over. Idempotent.

        Sockets that no stage has closed are closed here, so it is sound after a failed start.
        """
        deadline_s = time.monotonic() + timeout_s
        self._closing.set()
        if self._thread.ident:
            self._thread.join(timeout_s)
        for receiver, _ in self._watched:
            receiver.close(0)
        if self._zap:
            # Its thread may read the folder of keys, on a disk that does not answer.
            _within(self._zap.stop, "door-keys", min(_KEYS_S, deadline_s - time.monotonic()))
            self._zap = None
        self._end_context(deadline_s)
        while self._locks:
            self._locks.pop().release()

    def _end_context(self, deadline_s: float) -> None:
        orphaned = any(not made.closed for made in self._sockets)
        left_s = deadline_s - time.monotonic()
        # Ending the context wakes every thread that waits on a socket, and it closes its own.
        # What is open after that is in no call, and safe to close from here.
        ending = _within(
            self._context.term, "door-linger", min(_ORPHAN_S, left_s) if orphaned else 0
        )
        for made in self._sockets:
            made.close(0)
        ending.join(max(0.0, deadline_s - time.monotonic()))

    def _set_up(self, made: "zmq.Socket[bytes]", endpoint: str, options: Mapping[int, int]) -> None:
        defaults: dict[int, int] = {
            zmq.LINGER: LINGER_MS,
            zmq.HANDSHAKE_IVL: HANDSHAKE_MS,
            zmq.HEARTBEAT_IVL: HEARTBEAT_MS,
            zmq.HEARTBEAT_TIMEOUT: DEAD_AFTER_MS,
            zmq.IPV6: int("[" in endpoint),
        }
        for option, value in {**defaults, **options}.items():
            made.set(option, value)
        if self._secret:
            self._start_zap()
            made.set(zmq.CURVE_SERVER, 1)
            made.set(zmq.CURVE_SECRETKEY, self._secret)
            made.set(zmq.ZAP_DOMAIN, _DOMAIN.encode())
            # Without this, ZeroMQ lets everybody in while nobody answers for the keys.
            made.set(zmq.ZAP_ENFORCE_DOMAIN, 1)

    def _start_zap(self) -> None:
        if self._zap is None:
            silent = logging.Logger("zap", logging.CRITICAL)  # its debug lines print keys
            self._zap = ThreadAuthenticator(self._context, log=silent)
            self._zap.configure_curve_callback(_DOMAIN, credentials_provider=self._authorized)
            self._zap.start()

    def _monitor(self, made: "zmq.Socket[bytes]") -> "Census":
        address = f"inproc://door-{len(self._watched)}"
        made.monitor(address, EVENTS)
        receiver: zmq.Socket[bytes] = self._context.socket(zmq.PAIR)
        receiver.set(zmq.RCVHWM, 0)  # with a bound, ZeroMQ's own thread would wait for ours
        receiver.connect(address)
        census = Census(HANDSHAKE_MS / 1000)
        self._watched.append((receiver, census))
        return census

    def _bind_ipc(self, made: "zmq.Socket[bytes]", path: str) -> None:
        lock = IpcLock(path)
        self._locks.append(lock)
        # The mask can only narrow what other threads create meanwhile; the mode comes after.
        before = os.umask(0o177)
        try:
            made.bind(f"ipc://{path}")
        finally:
            os.umask(before)
        os.chmod(path, self._ipc_mode)

    def _watch(self) -> None:
        poller = zmq.Poller()
        for receiver, _ in self._watched:
            poller.register(receiver, zmq.POLLIN)
        trouble = ""
        while not self._closing.is_set():
            try:
                self._count(poller)
            except Exception as error:  # without this thread ZeroMQ's reports pile up for ever
                if repr(error) != trouble:
                    trouble = repr(error)
                    log.error("counting connections: %s; the counts may be too low", trouble)
                self._closing.wait(_TICK_MS / 1000)

    def _count(self, poller: zmq.Poller) -> None:
        poller.poll(_TICK_MS)
        for receiver, census in self._watched:
            for _ in range(_EVENTS_A_ROUND):
                if not receiver.poll(0):
                    break
                event = parse_monitor_message(receiver.recv_multipart())
                census.note(event["event"], event["value"], time.monotonic())
            else:
                continue  # what is still unread is not to be taken for silence
            census.settle(time.monotonic())
        self._tell_refusals(time.monotonic())

    def _tell_refusals(self, now_s: float) -> None:
        refused = self.refused
        if refused != self._told and now_s - self._told_at_s >= _LOG_EVERY_S:
            new = [f"{reason} {n - self._told[reason]}" for reason, n in refused.items()]
            log.warning("connections turned away: %s", ", ".join(new))
            self._told, self._told_at_s = refused, now_s


def _within(work: Callable[[], object], name: str, seconds: float) -> threading.Thread:
    """Do something that may hang; it goes on in its thread when the time is over."""
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    thread.join(max(0.0, seconds))
    return thread
