"""The service manager's notification protocol, sd_notify(3)."""

import os
import socket
from contextlib import suppress

from streamcls.clock import Clock


def notify(message: str) -> None:
    """Tell systemd, e.g. `READY=1`. Does nothing where no manager asked to be told.

    The protocol is one datagram to the socket that NOTIFY_SOCKET names; a leading @ stands for
    the abstract namespace's NUL.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    # A variable inherited from elsewhere may name a socket that is gone; that stops no daemon.
    kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
    with suppress(OSError), socket.socket(socket.AF_UNIX, kind) as channel:
        channel.sendto(message.encode(), address)


def reloading(clock: Clock) -> None:
    """Tell systemd that a reload has begun; `READY=1` ends it."""
    notify(f"RELOADING=1\nMONOTONIC_USEC={clock.monotonic_s() * 1_000_000:.0f}")
