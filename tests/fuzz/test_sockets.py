"""Any bytes at both sockets of a daemon that serves: afterwards it answers as before."""

import socket
import struct
from contextlib import suppress
from pathlib import Path

import pytest
import zmq

from streamcls.protocol import SnapshotRequest, decode_answer, encode
from tests.delivery.harness import LoadProcess, loading, settings_file
from tests.fuzz.conftest import Cases
from tests.fuzz.limits import kilobytes
from tests.fuzz.mutate import mutated
from tests.fuzz.test_wire import REQUESTS

_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + b"\0" * 32
_READY = b"\x04\x26\x05READY\x0bSocket-Type" + struct.pack("!I", 6) + b"DEALER"
_GROWN_MB = 60


def ask(endpoint: str, frames: list[bytes], *, wait_ms: int = 0) -> list[bytes]:
    """Send one request as a DEALER does, and take an answer if there is one in time."""
    caller: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
    caller.set(zmq.LINGER, 500)
    try:
        caller.connect(endpoint)
        caller.send_multipart(frames)
        return caller.recv_multipart() if wait_ms and caller.poll(wait_ms) else []
    finally:
        caller.close()


def speak(endpoint: str, data: bytes) -> None:
    """Open a connection, send bytes, and hang up."""
    port = int(endpoint.rpartition(":")[2])
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as peer:
        peer.sendall(data)
        peer.settimeout(0.002)
        with suppress(OSError):
            peer.recv(100)


def answers(load: LoadProcess) -> bool:
    """Whether an ordinary client is served."""
    got = ask(load.replay_endpoint, [encode(SnapshotRequest(request=7))], wait_ms=20_000)
    return bool(got) and decode_answer(got[0]).request == 7


@pytest.mark.timeout(900)
def test_no_bytes_at_its_sockets_keep_it_from_answering(cases: Cases, tmp_path: Path) -> None:
    bodies = [encode(request) for request in REQUESTS]
    with loading(settings_file(tmp_path)) as load:
        folder = Path(f"/proc/{load.process.pid}")
        load.send(100)
        assert answers(load)
        before_kb = kilobytes(folder / "status", "VmRSS")
        for case in cases(250):
            chance = case.chance
            body = mutated(chance.choice(bodies), chance, others=bodies)
            match chance.randrange(4):
                case 0:
                    ask(load.replay_endpoint, [body])
                case 1:
                    ask(load.replay_endpoint, [body] * chance.choice([2, 3, 20]))
                case 2:
                    speak(load.replay_endpoint, mutated(_GREETING + _READY, chance) + body)
                case 3:
                    speak(load.endpoint, mutated(_GREETING + _READY, chance) + body)
            if case.number % 50 == 49:
                assert answers(load), case
        assert answers(load)
        load.send(100)
        grown_mb = (kilobytes(folder / "status", "VmRSS") - before_kb) // 1024
        assert grown_mb < _GROWN_MB
        assert load.counts()["published"]["event"] == 200
