"""Real packets between real namespaces: each kind of link that works here does as it is told."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tests.network.line import Conditions
from tests.network.links import Link, kinds
from tests.network.namespaces import Namespace, namespace

pytestmark = pytest.mark.netns

_SENT = 200
_PORT = 5000


@contextmanager
def ends(kind: type[Link], how: Conditions) -> Iterator[tuple[Link, socket.socket, socket.socket]]:
    """A link, a socket that sends over it, and the one that receives."""
    with namespace("one") as one, namespace("other") as other:
        bad = kind(one, other, how)
        try:
            with closing(sender_to(one, bad.far)) as out, closing(receiver(other, bad.far)) as into:
                yield bad, out, into
        finally:
            bad.close()


def sender_to(place: Namespace, address: str) -> socket.socket:
    out = place.open_socket(socket.SOCK_DGRAM)
    out.connect((address, _PORT))
    return out


def receiver(place: Namespace, address: str) -> socket.socket:
    into = place.open_socket(socket.SOCK_DGRAM)
    into.bind((address, _PORT))
    into.settimeout(1.0)
    return into


def send(out: socket.socket, count: int = _SENT) -> None:
    for number in range(count):
        out.send(b"%03d" % number)
        if number % 20 == 19:
            time.sleep(0.005)  # no more at once than a queue holds


def received(into: socket.socket) -> list[bytes]:
    """All that comes until a second passes without any."""
    found = []
    while True:
        try:
            found.append(into.recv(100))
        except TimeoutError:
            return found


@pytest.mark.parametrize("loss", [0.0, 0.2])
def test_it_loses_the_share_it_was_told_to(loss: float) -> None:
    for kind in kinds():
        with ends(kind, Conditions(loss=loss)) as (_, out, into):
            send(out)
            found = received(into)
        # Of 200 packets at 20 %, 40 +- 6 are lost; five of these deviations are 28.
        assert len(found) == pytest.approx((1 - loss) * _SENT, abs=28 if loss else 0)
        assert found == sorted(set(found))


def test_it_delays_and_lets_packets_overtake() -> None:
    for kind in kinds():
        with ends(kind, Conditions(delay_ms=100, jitter_ms=50)) as (_, out, into):
            began_s = time.monotonic()
            send(out, 50)
            into.recv(100)
            assert time.monotonic() - began_s >= 0.05
            found = received(into)
        assert len(found) == 49
        assert found != sorted(found)


def test_nothing_passes_while_it_is_cut_and_all_after_it_is_mended() -> None:
    for kind in kinds():
        with ends(kind, Conditions()) as (bad, out, into):
            bad.cut()
            send(out, 20)
            assert received(into) == []
            bad.mend()
            send(out, 20)
            assert len(received(into)) == 20
