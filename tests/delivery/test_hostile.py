"""Those who may not listen, and those who talk nonsense: refused, counted, and harmless."""

import os
import random
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import zmq

from streamcls.client import Gap, Silence, Subscriber
from streamcls.keys import load_public, load_secret, new_keys
from streamcls.protocol import MAX_REQUEST_BYTES
from tests.delivery.harness import (
    LoadProcess,
    Tally,
    consuming,
    last_sequences,
    loading,
    settings_file,
    wait_until,
)

COUNT = 5_000
NONSENSE = [
    b"",
    b"{}",
    b"[" * 9000,
    random.Random(1).randbytes(700),
    b'{"op": "replay", "topic": "weather"}',
]


def port_of(endpoint: str) -> int:
    return int(endpoint.rpartition(":")[2])


@contextmanager
def garbage(*ports: int, connections: int = 50) -> Iterator[None]:
    """So many open connections that sent noise, half a greeting, an HTTP request, or nothing."""
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x01"
    noise = [os.urandom(3000), greeting + os.urandom(200), b"GET / HTTP/1.1\r\n\r\n", b""]
    with ExitStack() as held:
        for index in range(connections):
            peer = held.enter_context(
                socket.create_connection(("127.0.0.1", ports[index % len(ports)]))
            )
            with suppress(OSError):  # thrown out in the middle of its speech
                peer.sendall(noise[index // len(ports) % len(noise)])
        yield


def ask_nonsense(load: LoadProcess) -> None:
    """Ask the replay socket for what is no request, too large or endless; take no answers."""
    for body in [*NONSENSE, b"x" * (MAX_REQUEST_BYTES + 1), b"x" * 20_000_000]:
        for frames in ([body], [body] * 20):
            caller: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
            caller.set(zmq.LINGER, 2000)
            caller.connect(load.replay_endpoint)
            caller.send_multipart(frames)
            caller.close()


def test_garbage_and_nonsense_are_counted_and_cost_the_healthy_consumer_nothing(
    tmp_path: Path,
) -> None:
    log = tmp_path / "healthy"
    with loading(settings_file(tmp_path)) as load, consuming(load, log):
        load.begin(COUNT, 2000)
        with garbage(port_of(load.endpoint), port_of(load.replay_endpoint)):
            ask_nonsense(load)
            load.finish()
            last = last_sequences(COUNT)
            wait_until(lambda: Tally.of(log).reached(last), "the consumer has all")
            answered = "malformed", "oversize", "unknown_topic"
            wait_until(
                lambda: all(load.counts()["replay_requests"].get(each, 0) for each in answered),
                "the nonsense is counted",
            )
            wait_until(lambda: load.counts()["refused"].get("protocol", 0) > 0, "noise is counted")
        tally = Tally.of(log)
        assert (tally.messages, tally.missing) == (COUNT, 0)
        wait_until(lambda: load.counts()["subscribers"] == 1, "only the consumer is connected")


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[tuple[LoadProcess, Path]]:
    """A publisher that only `friend` may hear, and the folder with the keys."""
    new_keys(tmp_path, "daemon")
    new_keys(tmp_path, "friend")
    new_keys(tmp_path, "stranger")
    (tmp_path / "authorized").mkdir()
    shutil.copy(tmp_path / "friend.key", tmp_path / "authorized")
    settings = settings_file(
        tmp_path, keys='secret = "daemon.key_secret"\nauthorized = "authorized"'
    )
    with loading(settings) as load:
        yield load, tmp_path


def subscriber(load: LoadProcess, folder: Path, name: str) -> Subscriber:
    return Subscriber(
        load.endpoint,
        replay_endpoint=load.replay_endpoint,
        start="earliest",
        secret_key=folder / f"{name}.key_secret",
        server_key=folder / "daemon.key",
    )


def test_only_an_authorised_key_hears_and_the_refused_are_counted(
    locked: tuple[LoadProcess, Path],
) -> None:
    load, folder = locked
    load.send(100)
    with subscriber(load, folder, "friend") as friend, subscriber(load, folder, "stranger") as not_:
        heard = 0
        while heard < 100:
            item = friend.receive(20)
            assert item is not None
            assert not isinstance(item, Gap | Silence)
            heard += item.type == "streamcls.event.v1"
        assert not_.receive(1.0) is None
    wait_until(lambda: load.counts()["refused"].get("key", 0) > 0, "the stranger is counted")


@pytest.mark.parametrize("kind", [zmq.SUB, zmq.DEALER])
@pytest.mark.parametrize("wrong", ["no key", "wrong server key"])
def test_without_the_right_keys_neither_socket_says_a_word(
    locked: tuple[LoadProcess, Path], kind: int, wrong: str
) -> None:
    load, folder = locked
    peer: zmq.Socket[bytes] = zmq.Context.instance().socket(kind)
    if wrong == "wrong server key":
        pair = load_secret(folder / "friend.key_secret")
        peer.curve_publickey, peer.curve_secretkey = pair.public, pair.secret
        peer.curve_serverkey = load_public(folder / "stranger.key")
    if kind == zmq.SUB:
        peer.subscribe("")
        peer.connect(load.endpoint)
    else:
        peer.connect(load.replay_endpoint)
        peer.send(b'{"op": "snapshot"}')
    load.send(100)
    reason = "key" if wrong == "wrong server key" else "protocol"
    wait_until(lambda: load.counts()["refused"][reason] > 0, "it is counted")
    assert not peer.poll(300)
    peer.close(0)
