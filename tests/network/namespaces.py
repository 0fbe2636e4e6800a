"""Network namespaces: machines of their own as far as the network goes. Needs root."""

import ctypes
import http.client
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_ROOT = Path(__file__).parents[2]  # where `python -m tests...` finds them
_CLONE_NEWNET = 0x40000000


def ip(*arguments: str) -> None:
    """Run iproute2's `ip`.

    Raises:
        subprocess.CalledProcessError: it failed; its `stderr` says why.
    """
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@dataclass(frozen=True)
class Namespace:
    """One namespace, whose loopback is up."""

    name: str

    def start(self, command: Sequence[str]) -> subprocess.Popen[str]:
        """Start a process in it, from the repository's root; input and outputs are pipes."""
        return subprocess.Popen(
            ["ip", "netns", "exec", self.name, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=_ROOT,
        )

    def ip(self, *arguments: str) -> None:
        """Run `ip` on it."""
        ip("-n", self.name, *arguments)

    def open_socket(self, kind: socket.SocketKind) -> socket.socket:
        """An IPv4 socket that lives in it, whoever holds it."""
        with ThreadPoolExecutor(1) as pool:  # entering moves one thread, which then ends
            return pool.submit(self._opened, kind).result()

    def get(self, url: str) -> str:
        """What an HTTP server in it answers."""
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        with closing(http.client.HTTPConnection(parts.hostname)) as connection:
            connection.sock = self.open_socket(socket.SOCK_STREAM)
            connection.sock.settimeout(30)
            connection.sock.connect((parts.hostname, parts.port))
            connection.request("GET", parts.path)
            return connection.getresponse().read().decode()

    def _opened(self, kind: socket.SocketKind) -> socket.socket:
        entry = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(entry, _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"cannot enter the namespace {self.name}")
        finally:
            os.close(entry)
        return socket.socket(socket.AF_INET, kind)


@contextmanager
def namespace(label: str) -> Iterator[Namespace]:
    """A namespace while the block runs; labels must differ within one process."""
    made = Namespace(f"streamcls-{os.getpid()}-{label}")
    ip("netns", "add", made.name)
    try:
        made.ip("link", "set", "lo", "up")
        yield made
    finally:
        ip("netns", "del", made.name)


def possible() -> bool:
    """Whether this process may make namespaces."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        return False
    try:
        with namespace("probe"):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False
