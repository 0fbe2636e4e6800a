"""Anything at all said to the daemon's two sockets: it serves on, with no more memory or files."""

import os
import random
import socket
import struct
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import zmq

from streamcls.client import Subscriber
from streamcls.protocol import (
    MAX_REQUEST_BYTES,
    Position,
    Replay,
    ReplayRequest,
    Snapshot,
    SnapshotRequest,
    decode_answer,
    encode,
)
from tests.delivery.harness import STREAMS, LoadProcess, loading, settings_file, wait_until
from tests.delivery.test_hostile import port_of
from tests.fuzz.conftest import Cases
from tests.fuzz.limits import kilobytes
from tests.fuzz.mutate import mutated

TOPIC = f"streamcls/v1/{STREAMS[0]}/event/"
REQUESTS = [
    encode(SnapshotRequest(request=1)),
    encode(SnapshotRequest(request=2, streams=[STREAMS[0], "nobody"])),
    encode(ReplayRequest(request=3, topic=TOPIC)),
    encode(ReplayRequest(request=4, topic=TOPIC, after=Position("nobody", 2**53), limit=7)),
]
SUBSCRIPTIONS = [b"\x01", b"\x01streamcls/v1/", b"\x00streamcls/v1/", b"\x01" + b"x" * 1023, b""]
_HELD = 40  # connections at once that stay open
_MEGABYTES = 250  # it levels off at 130
_FILES = 5


def conversation(kind: str) -> bytes:
    """What a ZeroMQ peer without keys sends (ZMTP 3.1): greeting, READY, a frame or two."""
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)
    ready = b"\x05READY\x0bSocket-Type" + struct.pack(">I", len(kind)) + kind.encode()
    ready += b"\x08Identity" + struct.pack(">I", 0)
    said = REQUESTS[0] if kind != "SUB" else SUBSCRIPTIONS[1]
    return greeting + _frame(ready, 4) + _frame(said) + _frame(b"more", 1) + _frame(b"x" * 300)


def _frame(body: bytes, flags: int = 0) -> bytes:
    if len(body) < 256:
        return bytes([flags, len(body)]) + body
    return bytes([flags | 2]) + struct.pack(">Q", len(body)) + body


class Peers:
    """Those who talk to the two sockets; some stay, and the eldest of them make room."""

    def __init__(self, load: LoadProcess) -> None:
        self._addresses = load.endpoint, load.replay_endpoint
        self._held: deque[socket.socket] = deque()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()

    def say(self, chance: random.Random) -> None:
        """One peer says something, or a flood of it."""
        kind = chance.randrange(10)
        address = chance.choice(self._addresses)
        if kind < 4:
            self._raw(address, _noise(chance))
        elif kind < 8:
            name, frames = chance.choice((zmq.DEALER, zmq.REQ)), [_request(chance)]
            if chance.random() < 0.3:
                frames = [_request(chance) for _ in range(chance.choice((0, 2, 3, 4, 20)))] or [b""]
            self._send(name, self._addresses[1], [frames])
        elif kind == 8:
            names = (zmq.SUB, zmq.XSUB, zmq.PUSH, zmq.PAIR, zmq.ROUTER, zmq.PUB, zmq.DEALER)
            said = [mutated(chance.choice(SUBSCRIPTIONS) or b"x", chance)[:5000]]
            self._send(chance.choice(names), address, [said] * chance.choice((1, 5)))
        elif address == self._addresses[1]:
            self._send(zmq.DEALER, address, [[_request(chance)]] * 100)  # whose answers none reads
        else:
            flood = [[b"\x01" + chance.randbytes(chance.randint(0, 99))] for _ in range(300)]
            self._send(zmq.XSUB, address, flood)

    def close(self) -> None:
        """All go."""
        while self._held:
            self._held.popleft().close()
        self._context.destroy(linger=1000)

    def _raw(self, address: str, noise: bytes) -> None:
        peer = socket.create_connection(("127.0.0.1", port_of(address)), timeout=20)
        self._held.append(peer)
        with suppress(OSError):  # cut off in the middle
            peer.sendall(noise)
        if len(self._held) > _HELD:
            self._held.popleft().close()

    def _send(self, name: int, address: str, messages: list[list[bytes]]) -> None:
        peer = self._context.socket(name)
        peer.set(zmq.LINGER, 1000)
        peer.set(zmq.SNDTIMEO, 500)
        peer.connect(address)
        with suppress(zmq.ZMQError):  # of a kind that may not send, or that is not let in
            for message in messages:
                peer.send_multipart(message)
        peer.close()


def _noise(chance: random.Random) -> bytes:
    whole = conversation(chance.choice(("DEALER", "REQ", "SUB", "XSUB", "ROUTER", "X" * 300)))
    kind = chance.randrange(4)
    if kind == 0:
        return chance.randbytes(chance.choice((0, 1, 9, 64, 3000)))
    if kind == 1:
        return whole[: chance.randint(0, len(whole))]
    if kind == 2:
        return mutated(whole, chance)
    return whole[:64] + mutated(whole[64:], chance)


def _request(chance: random.Random) -> bytes:
    if chance.random() < 0.05:
        size = chance.choice((MAX_REQUEST_BYTES, MAX_REQUEST_BYTES + 1, 999_999, 1_000_001))
        return b'{"request":5,"op":"' + b"x" * size
    request = chance.choice(REQUESTS)
    return request if chance.random() < 0.1 else mutated(request, chance, others=REQUESTS)


@contextmanager
def asking(load: LoadProcess) -> Iterator["zmq.Socket[bytes]"]:
    """An ordinary client's socket."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as client:
        client.set(zmq.LINGER, 0)
        client.connect(load.replay_endpoint)
        yield client


def is_served(client: "zmq.Socket[bytes]") -> bool:
    """Whether both kinds of request are answered as ever."""
    for request, kind in ((REQUESTS[0], Snapshot), (REQUESTS[2], Replay)):
        client.send(request)
        if not client.poll(30_000) or not isinstance(
            decode_answer(client.recv_multipart()[0]), kind
        ):
            return False
    return True


@pytest.fixture
def load(tmp_path: Path) -> Iterator[LoadProcess]:
    with loading(settings_file(tmp_path)) as load:
        yield load
        load.stop()


def test_whatever_is_said_to_the_sockets_the_daemon_serves_on(
    cases: Cases, load: LoadProcess
) -> None:
    status = Path(f"/proc/{load.process.pid}/status")
    load.send(500)
    with asking(load) as client:
        assert is_served(client)
        files, resident = _open_files(load), kilobytes(status, "VmRSS")
        peers = Peers(load)
        for case in cases(300):
            with case.trying("its own conversation"):
                peers.say(case.chance)
                if case.number % 50 == 0:
                    assert is_served(client)
        peers.close()
        assert is_served(client)
        wait_until(lambda: _open_files(load) <= files + _FILES, "the connections are closed")
        grown = (kilobytes(status, "VmRSS") - resident) // 1024
        assert grown <= _MEGABYTES, f"memory grew by {grown} MB"
        assert load.counts()["refused"]["protocol"] > 0
    with Subscriber(
        load.endpoint, replay_endpoint=load.replay_endpoint, kinds=["event"], start="now"
    ) as items:
        deadline_s = time.monotonic() + 60
        while items.receive(0.2) is None:
            load.send(2)
            assert time.monotonic() < deadline_s, f"nobody hears anything; {items.trouble}"
    print(f"memory grew by {grown} MB, files {files} -> {_open_files(load)}")


def _open_files(load: LoadProcess) -> int:
    return len(os.listdir(f"/proc/{load.process.pid}/fd"))
