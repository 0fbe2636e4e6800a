"""The door: binding the sockets, who may connect, and counting who comes, stays and is refused."""

import errno
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import zmq
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils.monitor import parse_monitor_message

from streamcls.config import KeySettings
from streamcls.endpoints import IpcLock
from streamcls.errors import BindError, ConfigError
from streamcls.keys import AuthorizedKeys, load_secret

log = logging.getLogger("streamcls")

REASONS = ("key", "protocol", "timeout")
LINGER_MS = 2000  # at the end: time for the last events to leave; without a bound exit can hang
HANDSHAKE_MS = 5000  # whoever has not said hello by then is cut off
HEARTBEAT_MS = 30_000
# No answer in so long is death. A subscriber with a full queue answers only once it reads on, and
# a short limit would cut it off from what is held for it.
DEAD_AFTER_MS = 300_000
_DOMAIN = "streamcls"
_TICK_MS = 250
_LOG_EVERY_S = 5.0
_ORPHAN_S = 0.3  # a thread that waits on a socket closes it within this when the context ends

_EVENTS = (
    zmq.EVENT_ACCEPTED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)


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

    def close(self) -> None:
        """Free the addresses, once what was sent has left or the linger is over. Idempotent.

        Sockets that no stage has closed are closed here, so it is sound after a failed start.
        """
        self._closing.set()
        if self._thread.ident:
            self._thread.join()
        for receiver, _ in self._watched:
            receiver.close(0)
        if self._zap:
            self._zap.stop()
            self._zap = None
        self._end_context()
        while self._locks:
            self._locks.pop().release()

    def _end_context(self) -> None:
        ending = threading.Thread(target=self._context.term, name="door-linger", daemon=True)
        ending.start()
        if any(not made.closed for made in self._sockets):
            # Ending the context wakes every thread that waits on a socket, and it closes its own.
            # What is open after that is in no call, and safe to close from here.
            ending.join(_ORPHAN_S)
        for made in self._sockets:
            made.close(0)
        ending.join(LINGER_MS / 1000 + 1)

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
        made.monitor(address, _EVENTS)
        receiver: zmq.Socket[bytes] = self._context.socket(zmq.PAIR)
        receiver.set(zmq.RCVHWM, 0)  # with a bound, ZeroMQ's own thread would wait for ours
        receiver.connect(address)
        census = Census()
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
        census_of = dict(self._watched)
        for receiver in census_of:
            poller.register(receiver, zmq.POLLIN)
        told: Mapping[str, int] = self.refused
        told_at_s = -_LOG_EVERY_S
        while not self._closing.is_set():
            for receiver, _ in poller.poll(_TICK_MS):
                while receiver.poll(0):
                    event = parse_monitor_message(receiver.recv_multipart())
                    census_of[receiver].note(event["event"], event["value"], time.monotonic())
            now_s = time.monotonic()
            for census in census_of.values():
                census.settle(now_s)
            refused = self.refused
            if refused != told and now_s - told_at_s >= _LOG_EVERY_S:
                new = [f"{reason} {n - told[reason]}" for reason, n in refused.items()]
                log.warning("connections turned away: %s", ", ".join(new))
                told, told_at_s = refused, now_s


class Census:
    """Counts one socket's connections from its monitor's events.

    ZeroMQ names the connection when it is accepted and when it is gone, but not when its
    handshake succeeds or fails, and some that fail (garbage against a CURVE socket, a wrong
    socket type) have no event of their own. Yet each connection accepted has either succeeded,
    failed, ended in silence, or is open with its handshake undecided. So

        silent = accepted - succeeded - failed - undecided

    and undecided are at most the open ones younger than the time a handshake may take. With that
    bound for it, the count is never too high, and exact once no young one is open. Without keys,
    garbage that ZeroMQ takes for its protocol of 2010 stays open, and is counted all the same.

    Attributes:
        refused: connections turned away, by reason.
    """

    def __init__(self) -> None:
        self.refused = dict.fromkeys(REASONS, 0)
        self._accepted = 0
        self._succeeded = 0
        self._failed: Counter[str] = Counter()
        self._open: dict[int, float] = {}

    @property
    def open(self) -> int:
        """Connections accepted and not gone."""
        return len(self._open)

    def note(self, event: int, value: int, now_s: float) -> None:
        """Take an event with its value: a file descriptor, or why a handshake failed."""
        if event == zmq.EVENT_ACCEPTED:
            self._accepted += 1
            self._open[value] = now_s
        elif event == zmq.EVENT_DISCONNECTED:
            self._open.pop(value, None)
        elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._succeeded += 1
        elif reason := _reason(event, value):
            self._failed[reason] += 1

    def settle(self, now_s: float) -> None:
        """Count those that ended in silence; every event up to `now_s` was noted before."""
        limit_s = HANDSHAKE_MS / 1000 + 1
        undecided = sum(now_s - accepted_s < limit_s for accepted_s in self._open.values())
        silent = self._accepted - self._succeeded - self._failed.total() - undecided
        told = self._failed + Counter(protocol=max(0, silent))
        # Never less than before: what was silent may yet say in going that its handshake failed.
        for reason in REASONS:
            self.refused[reason] = max(told[reason], self.refused[reason])


def _reason(event: int, value: int) -> str | None:
    if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
        return "key"
    if event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
        return "key" if value == zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC else "protocol"
    if event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        return "timeout" if value == errno.EAGAIN else "protocol"
    return None
