"""A bad link between two namespaces: the kernel's netem where it has one, else a line of our own.

with link(daemon, camera, Conditions(loss=0.05)) as line:
    ...                   # camera reaches daemon at line.near, daemon camera at line.far
    line.cut()            # packets vanish, silently, both ways
    line.mend()           # as it was
"""

import os
import select
import shutil
import struct
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import ioctl
from functools import cache
from itertools import count
from random import Random

from tests.network.line import CUT, QUEUE_PACKETS, Conditions, Line
from tests.network.namespaces import Namespace, ip, namespace, possible

_TUNSETIFF = 0x400454CA
_IFF_TUN_NO_PI = 0x0001 | 0x1000
_PACKET_BYTES = 65_536
_LOOK_MS = 200  # how often a link without packets looks whether it is to end

_numbers = count(1)


class Link(ABC):
    """A link between two namespaces, each with one address on it.

    Attributes:
        near, far: the addresses.
    """

    def __init__(self, near: Namespace, far: Namespace, conditions: Conditions) -> None:
        number = next(_numbers)
        self.near, self.far = f"10.77.{number % 256}.1", f"10.77.{number % 256}.2"
        self._conditions = conditions
        stem = f"sc{os.getpid()}-{number}"  # 15 characters at most
        self._ends = ((near, f"{stem}a"), (far, f"{stem}b"))

    def cut(self) -> None:
        """Let every packet vanish, as of an unplugged cable somewhere on the way."""
        self._apply(CUT)

    def mend(self) -> None:
        """Put it back as it was made."""
        self._apply(self._conditions)

    @abstractmethod
    def close(self) -> None:
        """Take it away."""

    @abstractmethod
    def _apply(self, conditions: Conditions) -> None:
        """Treat packets so from now on."""

    def _raise(self) -> None:
        """Give the devices their addresses and start them."""
        addresses = ((self.near, self.far), (self.far, self.near))
        for (place, device), (own, peer) in zip(self._ends, addresses, strict=True):
            place.ip("address", "add", own, "peer", peer, "dev", device)
            place.ip("link", "set", device, "up")


class NetemLink(Link):
    """Two ends of a veth, each with the kernel's netem on what it sends."""

    def __init__(self, near: Namespace, far: Namespace, conditions: Conditions) -> None:
        super().__init__(near, far, conditions)
        (_, one), (_, other) = self._ends
        # Segments of their own, as on a wire, not 64 KiB that are lost as one.
        whole = ("gso_max_segs", "1")
        names = ("name", one, "netns", near.name, *whole)
        peers = ("name", other, "netns", far.name, *whole)
        ip("link", "add", *names, "type", "veth", "peer", *peers)
        self._raise()
        self._apply(conditions)

    def close(self) -> None:
        place, device = self._ends[0]
        place.ip("link", "del", device)

    def _apply(self, conditions: Conditions) -> None:
        for place, device in self._ends:
            tc(place, device, *netem(conditions))


class TunLink(Link):
    """A TUN device in each namespace, and a thread that carries packets from one to the other."""

    def __init__(self, near: Namespace, far: Namespace, conditions: Conditions) -> None:
        super().__init__(near, far, conditions)
        self.lines = [Line(conditions, Random(seed)) for seed in (1, 2)]
        self._over = threading.Event()
        self._tuns = []
        for place, device in self._ends:
            self._tuns.append(_tun(device))
            ip("link", "set", device, "netns", place.name)
        self._raise()
        self._thread = threading.Thread(target=self._carry, name="link", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        for tun in self._tuns:
            os.close(tun)  # and with it the device

    def _apply(self, conditions: Conditions) -> None:
        for line in self.lines:
            line.conditions = conditions

    def _carry(self) -> None:
        poll = select.poll()
        for tun in self._tuns:
            poll.register(tun, select.POLLIN)
        one, other = self._tuns
        ways = [(one, self.lines[0], other), (other, self.lines[1], one)]
        while not self._over.is_set():
            now_s = time.monotonic()
            dues = [line.due_in_s(now_s) for line in self.lines]
            poll.poll(min((1000 * due for due in dues if due is not None), default=_LOOK_MS))
            for source, line, target in ways:
                with suppress(BlockingIOError):
                    while True:
                        _deliver(line, target)  # what is due makes room for what comes
                        line.put(os.read(source, _PACKET_BYTES), time.monotonic())


def netem(conditions: Conditions) -> list[str]:
    """The arguments of `tc qdisc ... netem`."""
    arguments = ["limit", str(QUEUE_PACKETS)]
    if conditions.loss:
        arguments += ["loss", f"{100 * conditions.loss:g}%"]
    if conditions.delay_ms:
        arguments += ["delay", f"{conditions.delay_ms:g}ms", f"{conditions.jitter_ms:g}ms"]
    if conditions.rate_kbit:
        arguments += ["rate", f"{conditions.rate_kbit:g}kbit"]
    return arguments


def tc(place: Namespace, device: str, *arguments: str) -> None:
    """Put netem on what a device sends, in place of what was there.

    Raises:
        subprocess.CalledProcessError: this kernel has none, or the arguments are wrong.
    """
    command = ["tc", "-n", place.name, "qdisc", "replace", "dev", device, "root", "netem"]
    subprocess.run([*command, *arguments], check=True, capture_output=True, text=True)


def _deliver(line: Line, target: int) -> None:
    for packet in line.take(time.monotonic()):
        os.write(target, packet)


def _tun(device: str) -> int:
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    try:
        ioctl(tun, _TUNSETIFF, struct.pack("16sH22x", device.encode(), _IFF_TUN_NO_PI))
    except OSError:
        os.close(tun)
        raise
    return tun


@cache
def kinds() -> tuple[type[Link], ...]:
    """The kinds of link that work here, the better one first."""
    if not possible():
        return ()
    found: list[type[Link]] = []
    with namespace("kinds") as place:
        if shutil.which("tc"):
            with suppress(subprocess.CalledProcessError):
                tc(place, "lo", "loss", "0%")
                found.append(NetemLink)
        with suppress(OSError):
            os.close(_tun(""))
            found.append(TunLink)
    return tuple(found)


@contextmanager
def link(near: Namespace, far: Namespace, conditions: Conditions) -> Iterator[Link]:
    """A link of the best kind there is, while the block runs."""
    made = kinds()[0](near, far, conditions)
    try:
        yield made
    finally:
        made.close()
