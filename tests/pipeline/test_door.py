"""The door on real sockets: who is let in, who is counted, and that it always closes."""

import errno
import fcntl
import logging
import os
import random
import socket
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from streamcls.config import KeySettings
from streamcls.endpoints import IpcLock
from streamcls.errors import BindError, ConfigError
from streamcls.keys import AuthorizedKeys, KeyPair, load_secret, new_keys
from streamcls.pipeline.census import REASONS, Census
from streamcls.pipeline.door import CLOSE_S, HANDSHAKE_MS, Door

SOON_S = 20.0
AT_ONCE_S = 2.5
Socket = zmq.Socket[bytes]


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.01)


@contextmanager
def opened(
    endpoint: str = "tcp://127.0.0.1:*", *, keys: KeySettings | None = None, mode: str = "0600"
) -> Iterator[tuple[Door, Socket, str]]:
    """A door with an XPUB socket, counting."""
    door = Door(keys=keys or KeySettings(), ipc_mode=mode)
    try:
        made = listening(door, endpoint)
        door.start()
        yield door, made, made.getsockopt_string(zmq.LAST_ENDPOINT)
        made.close(0)
    finally:
        door.close()


def listening(door: Door, endpoint: str = "tcp://127.0.0.1:*", kind: int = zmq.XPUB) -> Socket:
    options: dict[int, int] = {zmq.SNDHWM: 100_000, zmq.MAXMSGSIZE: 1024}
    return door.open(kind, endpoint, setting="endpoint", options=options)


@contextmanager
def hearing(
    endpoint: str, *, client: KeyPair | None = None, server: bytes = b"", kind: int = zmq.SUB
) -> Iterator[Socket]:
    with zmq.Context() as context:
        ear: Socket = context.socket(kind)
        ear.set(zmq.LINGER, 0)
        ear.set(zmq.RCVHWM, 100_000)
        ear.set(zmq.IPV6, 1)
        if client:
            ear.set(zmq.CURVE_SERVERKEY, server)
            ear.set(zmq.CURVE_PUBLICKEY, client.public)
            ear.set(zmq.CURVE_SECRETKEY, client.secret)
        if kind == zmq.SUB:
            ear.subscribe("")
        ear.connect(endpoint)
        try:
            yield ear
        finally:
            ear.close(0)


def subscribed(made: Socket) -> bool:
    """Whether a subscription came since the last call."""
    return bool(made.poll(0)) and made.recv()[:1] == b"\x01"


class Keys:
    """A daemon's pair, a folder of the authorised, and clients' pairs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.authorized = folder / "authorized"
        self.authorized.mkdir()
        self.daemon = self.pair("daemon")
        self.settings = KeySettings(
            secret=str(folder / "daemon.key_secret"), authorized=str(self.authorized)
        )

    def pair(self, name: str) -> KeyPair:
        return load_secret(new_keys(self._folder, name)[1])

    def authorize(self, name: str) -> None:
        source = self._folder / f"{name}.key"
        (self.authorized / source.name).write_bytes(source.read_bytes())


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


def test_the_right_key_hears_and_is_counted_until_it_leaves(keys: Keys) -> None:
    client = keys.pair("client")
    keys.authorize("client")
    with opened(keys=keys.settings) as (door, made, endpoint):
        with hearing(endpoint, client=client, server=keys.daemon.public) as ear:
            eventually(lambda: subscribed(made))
            made.send(b"news")
            assert ear.poll(round(1000 * SOON_S))
            assert ear.recv() == b"news"
            eventually(lambda: door.subscribers == 1)
        eventually(lambda: door.subscribers == 0)
        assert not any(door.refused.values())


@pytest.mark.parametrize(
    ("who", "reason"),
    [("stranger", "key"), ("wrong server key", "key"), ("plain", "protocol")],
)
def test_who_has_not_both_keys_right_is_counted_and_hears_nothing(
    keys: Keys, who: str, reason: str
) -> None:
    client, stranger = keys.pair("client"), keys.pair("stranger")
    keys.authorize("client")
    with opened(keys=keys.settings) as (door, made, endpoint), ExitStack() as stack:
        good = stack.enter_context(hearing(endpoint, client=client, server=keys.daemon.public))
        eventually(lambda: subscribed(made))
        bad = stack.enter_context(
            {
                "stranger": hearing(endpoint, client=stranger, server=keys.daemon.public),
                "wrong server key": hearing(endpoint, client=client, server=stranger.public),
                "plain": hearing(endpoint),
            }[who]
        )
        eventually(lambda: door.refused[reason])
        made.send(b"secret")
        assert good.poll(round(1000 * SOON_S))
        assert not bad.poll(200)
        assert not subscribed(made)
        assert {name for name, count in door.refused.items() if count} == {reason}


def test_a_key_counts_from_the_next_connection_on_when_added_and_when_removed(keys: Keys) -> None:
    client = keys.pair("client")
    with opened(keys=keys.settings) as (door, made, endpoint):
        with hearing(endpoint, client=client, server=keys.daemon.public):
            eventually(lambda: door.refused["key"])
            assert not subscribed(made)
        keys.authorize("client")
        with hearing(endpoint, client=client, server=keys.daemon.public):
            eventually(lambda: subscribed(made))
        eventually(lambda: door.subscribers == 0)
        (keys.authorized / "client.key").unlink()
        before = door.refused["key"]
        with hearing(endpoint, client=client, server=keys.daemon.public):
            eventually(lambda: door.refused["key"] > before)
            assert not any(subscribed(made) for _ in range(10))


def test_nobody_is_let_in_while_nobody_answers_for_the_keys(keys: Keys) -> None:
    client = keys.pair("client")
    keys.authorize("client")
    with opened(keys=keys.settings) as (door, made, endpoint):
        assert door._zap
        door._zap.stop()  # as in the moments before its start and at the end
        with hearing(endpoint, client=client, server=keys.daemon.public):
            eventually(lambda: door.refused["protocol"])
            assert not subscribed(made)


@pytest.mark.parametrize("spoilt", ["secret", "authorized"])
def test_keys_that_cannot_be_used_are_said_before_anything_is_bound(
    keys: Keys, spoilt: str
) -> None:
    keys.authorized.rmdir() if spoilt == "authorized" else Path(keys.settings.secret or "").unlink()
    with pytest.raises(ConfigError, match=str(getattr(keys.settings, spoilt))):
        Door(keys=keys.settings, ipc_mode="0600")


def test_refusals_are_logged_with_counts_and_without_keys_and_do_not_flood(
    keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    stranger = keys.pair("stranger")
    with opened(keys=keys.settings) as (door, _, endpoint):
        while (before := door.refused["key"]) < 12:
            with hearing(endpoint, client=stranger, server=keys.daemon.public):
                eventually(partial(lambda count: door.refused["key"] > count, before))
        eventually(lambda: "turned away" in caplog.text)
    lines = [record.getMessage() for record in caplog.records]
    assert 1 <= sum("connections turned away: key " in line for line in lines) <= 3
    secrets = (stranger.public, stranger.secret, keys.daemon.public, keys.daemon.secret)
    assert not [line for line in lines for key in secrets if key.decode() in line]


@pytest.mark.parametrize("with_keys", [False, True])
def test_fifty_rude_connections_cost_a_healthy_subscriber_nothing(
    keys: Keys, with_keys: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamcls.pipeline.door.HANDSHAKE_MS", 1000)
    client = keys.pair("client")
    keys.authorize("client")
    chance = random.Random(7)
    talk: list[Callable[[], bytes]] = [
        lambda: chance.randbytes(chance.randrange(1, 5000)),
        lambda: b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        lambda: b"\xff\0\0\0\0\0\0\0\1\x7f\3",  # a ZMTP greeting that stops half way
        lambda: b"",
        lambda: b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48) + chance.randbytes(300),
    ]
    with (
        opened(keys=keys.settings if with_keys else None) as (door, made, endpoint),
        hearing(endpoint, client=client if with_keys else None, server=keys.daemon.public) as ear,
        ExitStack() as stack,
    ):
        eventually(lambda: subscribed(made))
        address = ("127.0.0.1", int(endpoint.rpartition(":")[2]))
        for i in range(2000):
            if i % 40 == 0:
                rude = stack.enter_context(socket.create_connection(address))
                rude.sendall(talk[i // 40 % len(talk)]())
            made.send(b"%d" % i)
        for i in range(2000):
            assert ear.poll(round(1000 * SOON_S))
            assert ear.recv() == b"%d" % i
        eventually(lambda: sum(door.refused.values()) == 50)
        stack.close()
        eventually(lambda: door.subscribers == 1)
        assert sum(door.refused.values()) == 50
        assert door.refused["timeout"] >= 20  # the silent, and those that stopped half way
        assert door.refused["protocol"] >= 20


def test_the_wrong_kind_of_socket_is_counted() -> None:
    with opened() as (door, _, endpoint), hearing(endpoint, kind=zmq.PULL):
        eventually(lambda: door.refused["protocol"])
        assert door.refused["key"] == door.refused["timeout"] == 0


def test_a_taken_address_is_a_one_line_error_that_names_it_and_the_setting() -> None:
    with opened() as (_, _, endpoint):
        door = Door(keys=KeySettings(), ipc_mode="0600")
        with pytest.raises(BindError) as raised:
            door.open(zmq.ROUTER, endpoint, setting="replay_endpoint", options={})
        door.close()
    assert str(raised.value) == (
        f"cannot publish on {endpoint}: Address already in use;"
        " set another `replay_endpoint` in [publish]"
    )


def test_a_subscriber_that_died_without_a_word_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamcls.pipeline.door.HEARTBEAT_MS", 50)
    monkeypatch.setattr("streamcls.pipeline.door.DEAD_AFTER_MS", 200)
    with opened() as (door, made, endpoint), hearing(endpoint):
        eventually(lambda: subscribed(made))
        address = ("127.0.0.1", int(endpoint.rpartition(":")[2]))
        with socket.create_connection(address) as dead:
            dead.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" + bytes(48))
            dead.sendall(b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB")
            dead.settimeout(SOON_S)
            assert dead.recv(1)
            while dead.recv(1000):  # until it is cut off
                pass
            eventually(lambda: door.subscribers == 1)
        assert not any(door.refused.values())


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_every_way_to_name_this_machine_can_be_bound(host: str) -> None:
    with opened(f"tcp://{host}:*") as (_, made, endpoint), hearing(endpoint):
        eventually(lambda: subscribed(made))


@pytest.mark.parametrize("mode", ["0600", "660", "0666"])
def test_an_ipc_socket_has_the_mode_asked_for_and_never_a_wider_one(
    tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events"
    created: list[int] = []
    real_chmod = os.chmod

    def noting_chmod(target: str, wanted: int) -> None:
        created.append(stat.S_IMODE(os.stat(target).st_mode))
        real_chmod(target, wanted)

    monkeypatch.setattr(os, "chmod", noting_chmod)
    before = os.umask(0o002)
    try:
        with opened(f"ipc://{path}", mode=mode) as (_, made, endpoint), hearing(endpoint):
            eventually(lambda: subscribed(made))
            assert stat.S_IMODE(path.stat().st_mode) == int(mode, 8)
            assert stat.S_IMODE((tmp_path / "events.lock").stat().st_mode) == 0o600
    finally:
        assert os.umask(before) == 0o002
    assert created == [0o600]
    assert list(tmp_path.iterdir()) == []


def test_a_second_daemon_cannot_take_an_ipc_path_until_the_first_is_gone(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/events"
    with opened(endpoint) as (_, made, _), hearing(endpoint):
        eventually(lambda: subscribed(made))
        second = Door(keys=KeySettings(), ipc_mode="0600")
        with pytest.raises(BindError, match="events: Address already in use"):
            listening(second, endpoint)
        second.close()
        assert len(list(tmp_path.iterdir())) == 2
    with opened(endpoint):
        pass


def test_two_never_hold_one_path_however_they_come_and_go(tmp_path: Path) -> None:
    path = str(tmp_path / "events")
    holders: list[int] = []
    crowds: list[int] = []

    def come_and_go(name: int) -> None:
        for _ in range(300):
            with suppress(OSError):
                lock = IpcLock(path)
                holders.append(name)
                crowds.append(len(holders))
                holders.remove(name)
                lock.release()

    threads = [threading.Thread(target=come_and_go, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON_S)
    assert set(crowds) == {1}
    assert list(tmp_path.iterdir()) == []


def test_a_lock_file_that_its_owner_removes_meanwhile_is_not_the_one_that_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = [IpcLock(str(tmp_path / "events"))]
    real_flock = fcntl.flock

    def flock_after_the_first_has_gone(handle: int, operation: int) -> None:
        while first:
            first.pop().release()
        real_flock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", flock_after_the_first_has_gone)
    second = IpcLock(str(tmp_path / "events"))
    with pytest.raises(OSError, match="Address already in use"):
        IpcLock(str(tmp_path / "events"))
    second.release()


DIES = """
import os, sys, zmq
from streamcls.config import KeySettings
from streamcls.pipeline.door import Door
Door(keys=KeySettings(), ipc_mode="0600").open(zmq.XPUB, sys.argv[1], setting="", options={})
os.kill(os.getpid(), 9)
"""


def test_what_a_killed_daemon_left_is_replaced(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/events"
    subprocess.run([sys.executable, "-c", DIES, endpoint], check=False, timeout=SOON_S)
    assert len(list(tmp_path.iterdir())) == 2
    with opened(endpoint) as (_, made, _), hearing(endpoint):
        eventually(lambda: subscribed(made))


def test_an_ipc_endpoint_never_replaces_a_file_or_the_socket_of_another_program(
    tmp_path: Path,
) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("keep me")
    other = tmp_path / "other"
    door = Door(keys=KeySettings(), ipc_mode="0600")
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(str(other))
        live.listen()
        with pytest.raises(BindError, match=r"precious.txt: File exists and is not a socket"):
            listening(door, f"ipc://{precious}")
        with pytest.raises(BindError, match="other: Address already in use"):
            listening(door, f"ipc://{other}")
        door.close()
        assert precious.read_text() == "keep me"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "precious.txt"]


def test_a_folder_that_is_missing_is_named_in_the_error(tmp_path: Path) -> None:
    door = Door(keys=KeySettings(), ipc_mode="0600")
    with pytest.raises(BindError, match="gone/events: No such file or directory"):
        listening(door, f"ipc://{tmp_path}/gone/events")
    door.close()


def closes_at_once(door: Door) -> None:
    began_s = time.monotonic()
    door.close()
    door.close()
    assert time.monotonic() - began_s < AT_ONCE_S


@pytest.mark.parametrize("state", ["new", "open", "started", "being called", "refusing"])
@pytest.mark.parametrize("with_keys", [False, True])
def test_it_closes_at_once_in_every_state(keys: Keys, state: str, with_keys: bool) -> None:
    door = Door(keys=keys.settings if with_keys else KeySettings(), ipc_mode="0600")
    if state == "new":
        closes_at_once(door)
        return
    made = listening(door)
    listening(door, kind=zmq.ROUTER)
    endpoint = made.getsockopt_string(zmq.LAST_ENDPOINT)
    if state == "open":
        closes_at_once(door)
        return
    door.start()
    if state == "started":
        closes_at_once(door)
    elif state == "refusing":
        with hearing(endpoint, client=keys.pair("x"), server=keys.daemon.public):
            eventually(lambda: sum(door.refused.values()))
            closes_at_once(door)
    else:
        ended = threading.Event()

        def stage() -> None:
            with pytest.raises(zmq.ContextTerminated):
                made.recv()
            made.close()
            ended.set()

        threading.Thread(target=stage, daemon=True).start()
        closes_at_once(door)
        assert ended.wait(SOON_S)


def test_a_subscriber_that_stopped_reading_does_not_hold_the_exit_longer_than_the_linger() -> None:
    with hearing_nothing() as (door, made):
        for _ in range(3000):
            made.send(bytes(100_000))
        made.close()
        began_s = time.monotonic()
        door.close()
        assert time.monotonic() - began_s < CLOSE_S + 0.5


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_folder_of_keys_that_does_not_answer_does_not_hold_the_exit(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, released = threading.Event(), threading.Event()

    def hangs(self: AuthorizedKeys, domain: str, key: bytes) -> bool:
        asked.set()
        return not released.wait(SOON_S)

    monkeypatch.setattr(AuthorizedKeys, "callback", hangs)
    door = Door(keys=keys.settings, ipc_mode="0600")
    endpoint = listening(door).getsockopt_string(zmq.LAST_ENDPOINT)
    door.start()
    assert door._zap
    reader = door._zap.thread
    with hearing(endpoint, client=keys.pair("x"), server=keys.daemon.public):
        assert asked.wait(SOON_S)
        began_s = time.monotonic()
        door.close()
        assert time.monotonic() - began_s < CLOSE_S + 0.5
        released.set()
        reader.join(SOON_S)


def test_counting_survives_what_it_cannot_read_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unreadable(frames: object) -> None:
        raise RuntimeError("a report of a new kind")

    with opened() as (door, made, endpoint):
        with monkeypatch.context() as patch:
            patch.setattr("streamcls.pipeline.door.parse_monitor_message", unreadable)
            with hearing(endpoint):
                eventually(lambda: subscribed(made))
                eventually(lambda: "a report of a new kind" in caplog.text)
        with hearing(endpoint):
            eventually(lambda: door.subscribers == 1)
    assert caplog.text.count("a report of a new kind") == 1


@contextmanager
def hearing_nothing() -> Iterator[tuple[Door, Socket]]:
    """A subscriber that has subscribed and then reads nothing any more."""
    with opened() as (door, made, endpoint), hearing(endpoint) as ear:
        eventually(lambda: subscribed(made))
        ear.set(zmq.RCVHWM, 1)
        yield door, made


FATES: dict[str, list[tuple[int, int]]] = {
    "good": [(zmq.EVENT_HANDSHAKE_SUCCEEDED, 0)],
    "silent": [],
    "key": [(zmq.EVENT_HANDSHAKE_FAILED_AUTH, 400)],
    "protocol": [(zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, errno.ECONNRESET)],
    "timeout": [(zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, errno.EAGAIN)],
}


@given(st.data(), st.lists(st.sampled_from([*FATES, "stays"])))
def test_the_census_is_never_too_high_and_exact_in_the_end(
    data: st.DataObject, fates: list[str]
) -> None:
    census = Census(HANDSHAKE_MS / 1000)
    lives = {
        fd: [
            (zmq.EVENT_ACCEPTED, fd),
            *FATES["good" if fate == "stays" else fate],
            *([] if fate == "stays" else [(zmq.EVENT_DISCONNECTED, fd)]),
        ]
        for fd, fate in enumerate(fates)
    }
    ended: Counter[str] = Counter()
    while lives:
        fd = data.draw(st.sampled_from(sorted(lives)))
        census.note(*lives[fd].pop(0), now_s=0.0)
        if not lives[fd]:
            del lives[fd]
            ended["protocol" if fates[fd] == "silent" else fates[fd]] += 1
        census.settle(0.0)
        begun_to_end = ended + Counter(fates[fd] for fd, left in lives.items() if len(left) == 1)
        assert all(census.refused[reason] <= begun_to_end[reason] for reason in REASONS)
    census.settle(HANDSHAKE_MS / 1000 + 1)
    assert census.refused == {reason: ended[reason] for reason in REASONS}
    assert census.open == ended["stays"]


def test_garbage_that_stays_open_is_counted_once_though_it_fails_in_going() -> None:
    census = Census(HANDSHAKE_MS / 1000)
    census.note(zmq.EVENT_ACCEPTED, 7, 0.0)
    census.settle(HANDSHAKE_MS / 1000 + 1)
    assert census.refused["protocol"] == census.open == 1
    census.note(zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, errno.EPIPE, 100.0)
    census.note(zmq.EVENT_DISCONNECTED, 7, 100.0)
    census.settle(100.0)
    assert (census.refused["protocol"], census.open) == (1, 0)
