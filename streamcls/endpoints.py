"""ZeroMQ addresses: which are well formed, which stay on this machine, which goes with which.

And the lock that keeps an ipc address to one daemon.
"""

import errno
import fcntl
import ipaddress
import os
import re
import socket
import stat
from contextlib import suppress

_TCP = re.compile(r"tcp://(\[[0-9A-Fa-f:.%\w]+\]|[^\s:\[\]]+):(\d{1,5}|\*)")
_IPC_PATH_BYTES = 107  # sun_path of a Unix socket holds 108 with its closing zero
REPLAY_SUFFIX = ".replay"


def check_endpoint(key: str, endpoint: str) -> None:
    """Refuse what is not an address to publish on.

    Raises:
        ValueError: it is neither tcp://HOST:PORT nor ipc://PATH; the text names `key`.
    """
    tcp = _TCP.fullmatch(endpoint)
    if tcp and (tcp[2] == "*" or int(tcp[2]) <= 65_535):
        return
    path = endpoint.removeprefix("ipc://")
    named = path and path[0] not in "@*"  # these two make a socket without a file, or anywhere
    if endpoint.startswith("ipc://") and named and not re.search(r"\s", path):
        if len(path.encode()) > _IPC_PATH_BYTES:
            raise ValueError(
                f"`{key}`: the path {path} has more than the {_IPC_PATH_BYTES} bytes that"
                " a Unix socket may have; use a shorter one"
            )
        return
    raise ValueError(
        f"`{key}` is {endpoint!r}; it must look like tcp://127.0.0.1:5599"
        " or ipc:///run/streamcls/events"
    )


def is_private(endpoint: str) -> bool:
    """Whether nobody but this machine's own processes can reach an endpoint."""
    if endpoint.startswith("ipc://"):
        return True
    tcp = _TCP.fullmatch(endpoint)
    host = tcp[1].strip("[]") if tcp else ""
    return host == "lo" or is_loopback(host)


def is_loopback(host: str) -> bool:
    """Whether a host's name or address, without brackets, is this machine's own for itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def replay_endpoint_of(endpoint: str) -> str:
    """Where replays are answered unless told otherwise: the next port, or the path `.replay`.

    Port 65535 has no next one; the one before it serves.

    >>> replay_endpoint_of("tcp://127.0.0.1:5599")
    'tcp://127.0.0.1:5600'
    """
    if endpoint.startswith("ipc://"):
        return endpoint + REPLAY_SUFFIX
    head, _, port = endpoint.rpartition(":")
    if not port.isdigit():
        return endpoint
    return f"{head}:{int(port) + 1 if int(port) < 65_535 else 65_534}"


class IpcLock:
    """Keeps an ipc path: ZeroMQ would let a second daemon take it, and replace any file there.

    Raises:
        OSError: a daemon holds the path, something answers there, or it is not a socket.
    """

    def __init__(self, path: str) -> None:
        self._socket_path = path
        self._path = f"{path}.lock"
        self._handle = self._locked()
        try:
            _check_replaceable(path)
        except OSError:
            self._unlock()
            raise

    def release(self) -> None:
        """Remove the socket and the lock file, then unlock."""
        with suppress(FileNotFoundError):
            os.unlink(self._socket_path)  # ZeroMQ leaves it
        self._unlock()

    def _unlock(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._path)  # while it is still ours
        os.close(self._handle)

    def _locked(self) -> int:
        while True:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            handle = os.open(self._path, flags, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(handle), os.stat(self._path)):
                    return handle
            except BlockingIOError:
                os.close(handle)
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE)) from None
            except FileNotFoundError:
                pass  # its last owner removed it between our two calls
            os.close(handle)


def _check_replaceable(path: str) -> None:
    """Only the socket of one who is gone may be replaced."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise OSError(errno.EEXIST, "File exists and is not a socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        if probe.connect_ex(path) != errno.ECONNREFUSED:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
