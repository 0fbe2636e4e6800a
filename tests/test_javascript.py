"""The JavaScript subscriber: a consumer that shares nothing with the daemon but the schema."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from streamcls.events import StatusData, Writer, topic, utc
from streamcls.keys import new_keys
from tests.conformance import check_message
from tests.delivery.harness import loading, settings_file
from tests.subscribers.installing import installed
from tests.subscribers.listener import SCHEMA, Listener, started
from tests.subscribers.station import AT_ONCE, SOON_S, Station, event

pytestmark = pytest.mark.node

EVENTS = topic("cam", "event")
FROM_EARLIEST = ["--kind", "event", "--earliest"]


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The subscriber with what it depends on, installed as its lock file says."""
    return installed(tmp_path_factory.mktemp("javascript")) / "subscriber.mjs"


@contextmanager
def listening(program: Path, station: Station, *options: str) -> Iterator[Listener]:
    """A subscriber of events that has joined; it must end well, and have printed no more."""
    with started(program, station.endpoint, "--kind", "event", *options) as listener:
        station.await_subscriber()
        yield listener
        listener.process.terminate()
        assert listener.end() == (0, "")
        assert listener.rest() == []


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    station = Station(tmp_path, "run-1")
    yield station
    station.close()


def decoded(*bodies: bytes) -> list[Any]:
    return [json.loads(body) for body in bodies]


def gap(first: int, last: int | None, boot_id: str = "run-1") -> dict[str, Any]:
    return {"gap": {"topic": EVENTS, "bootid": boot_id, "first": first, "last": last}}


def test_live_messages_are_heard_once_and_other_kinds_are_not_printed(
    program: Path, station: Station
) -> None:
    with listening(program, station) as listener:
        bodies = [station.publish(event("a")), station.publish(event("a", "end"))]
        station.beat()
        bodies.append(station.publish(event("b"), "cam10"))
        assert listener.next(3) == decoded(*bodies)


def test_who_joins_late_gets_what_is_open_and_the_newest_and_then_goes_on(
    program: Path, station: Station
) -> None:
    opened = station.publish(event("a"))
    station.publish(event("b"))
    newest = station.publish(event("b", "end"))
    both = station.publish(event("c"), "cam10")
    with listening(program, station) as listener:
        live = station.publish(event("a", "end"))
        assert listener.next(4) == decoded(opened, newest, both, live)


def test_what_was_lost_on_the_way_is_replayed_in_order(program: Path, station: Station) -> None:
    with listening(program, station) as listener:
        count = 2 * AT_ONCE + 1
        bodies = [station.publish(event("a"))]
        bodies += [station.publish(event(f"lost-{i}"), sent=False) for i in range(count)]
        bodies += [station.publish(event("b")), station.publish(event("c"))]
        assert listener.next(len(bodies)) == decoded(*bodies)


def test_a_heartbeat_tells_of_a_last_message_that_was_lost(program: Path, station: Station) -> None:
    with listening(program, station) as listener:
        lost = station.publish(event("a"), sent=False)
        station.beat()
        assert listener.next(1) == decoded(lost)


def test_what_cannot_be_replayed_is_told_in_its_place(program: Path, station: Station) -> None:
    with listening(program, station) as listener:
        first = station.publish(event("a"))
        station.publish(event("gone"), sent=False, kept=False)
        late, live = station.publish(event("b"), sent=False), station.publish(event("c"))
        assert listener.next(4) == [*decoded(first), gap(2, 2), *decoded(late, live)]


def test_a_refused_replay_is_a_gap_and_not_the_end(program: Path, station: Station) -> None:
    station.failing = True
    with listening(program, station) as listener:
        first = station.publish(event("a"))
        for _ in range(2):
            station.publish(event("lost"), sent=False)
        live = station.publish(event("b"))
        assert listener.next(3) == [*decoded(first), gap(2, 3), *decoded(live)]


@pytest.mark.parametrize("quiet", [False, True], ids=["an event", "a heartbeat alone"])
def test_a_restart_is_followed_from_the_old_run_into_the_new(
    program: Path, tmp_path: Path, quiet: bool
) -> None:
    old = Station(tmp_path, "run-1")
    with started(program, old.endpoint, "--kind", "event") as listener:
        old.await_subscriber()
        bodies = [old.publish(event("a"))]
        assert listener.next(1) == decoded(*bodies)
        lost = [old.publish(event("a", "end"), sent=False), old.publish(event("b"), sent=False)]
        old.close()
        new = Station(tmp_path, "run-2", old.kept)
        new.await_subscription()
        if quiet:
            lost.append(new.publish(event("b", "end"), sent=False))
            new.beat()
        else:
            lost.append(new.publish(event("b", "end")))
        assert listener.next(3) == decoded(*lost)
        new.send(EVENTS.encode(), bodies[0])  # as if it had waited in a queue all the time
        live = new.publish(event("c"))
        assert listener.next(1) == decoded(live)
        assert new.snapshots == 1
        new.close()


def test_a_restart_brings_the_end_of_streams_that_the_new_run_does_not_have(
    program: Path, tmp_path: Path
) -> None:
    old = Station(tmp_path, "run-1")
    with started(program, old.endpoint, "--kind", "event") as listener:
        old.await_subscriber()
        first = old.publish(event("a"))
        assert listener.next(1) == decoded(first)
        lost = [old.publish(event("a", "end"), sent=False)]
        lost.append(old.publish(event("b"), "never-heard-of", sent=False))
        old.close()
        new = Station(tmp_path, "run-2", old.kept)
        new.await_subscription()
        new.publish(StatusData(state="up", since=utc(1e9)), "another")
        assert listener.next(2) == decoded(*lost)
        new.close()


def test_a_replay_that_led_into_the_next_run_makes_the_rest_of_the_old_one_repetitions(
    program: Path, tmp_path: Path
) -> None:
    old = Station(tmp_path, "run-1")
    with started(program, old.endpoint, "--kind", "event") as listener:
        old.await_subscriber()
        bodies = [old.publish(event("a"))]
        assert listener.next(1) == decoded(*bodies)
        bodies += [old.publish(event(f"{i}"), sent=False) for i in range(3)]
        old.close()
        new = Station(tmp_path, "run-2", old.kept)
        bodies.append(new.publish(event("b"), sent=False))
        new.await_subscription()
        for late in bodies[2:4]:
            new.send(EVENTS.encode(), late)
        bodies.append(new.publish(event("c")))
        assert listener.next(len(bodies) - 1) == decoded(*bodies[1:])
        new.close()


def test_what_is_left_of_a_run_before_the_first_snapshot_is_not_heard(
    program: Path, tmp_path: Path
) -> None:
    old = Station(tmp_path, "run-1")
    stale = [old.publish(event(f"{i}")) for i in range(3)]
    old.close()
    new = Station(tmp_path, "run-2", old.kept)
    new.publish(event("b"), "cam10")
    with listening(program, new) as listener:
        assert len(listener.next(4)) == 4  # those that are open
        new.send(EVENTS.encode(), stale[2])
        live = new.publish(event("c"))
        assert listener.next(1) == decoded(live)
    new.close()


def test_a_run_whose_end_cannot_be_had_is_told_and_the_new_one_is_heard(
    program: Path, tmp_path: Path
) -> None:
    old = Station(tmp_path, "run-1")
    with started(program, old.endpoint, "--kind", "event") as listener:
        old.await_subscriber()
        first = old.publish(event("a"))
        assert listener.next(1) == decoded(first)
        old.close()
        new = Station(tmp_path, "run-2")
        new.failing = True
        new.await_subscription()
        new.publish(StatusData(state="up", since=utc(1e9)))
        assert listener.next(1) == [gap(2, None)]
        live = new.publish(event("b"))
        assert listener.next(1) == decoded(live)
        new.close()


def test_from_the_earliest_it_prints_all_that_is_kept_across_runs(
    program: Path, tmp_path: Path
) -> None:
    old = Station(tmp_path, "run-1")
    bodies = [old.publish(event(f"{i}")) for i in range(AT_ONCE + 1)]
    old.close()
    new = Station(tmp_path, "run-2", old.kept)
    bodies += [new.publish(event(f"{i}", "end")) for i in range(AT_ONCE + 1)]
    with listening(program, new, "--earliest") as listener:
        bodies.append(new.publish(event("live")))
        assert listener.next(len(bodies)) == decoded(*bodies)
    new.close()


def altered(**attributes: object) -> bytes:
    status = StatusData(state="up", since=utc(1e9))
    message = json.loads(Writer("/s", "run-1").encode("cam", status, utc(1e9)).body)
    return json.dumps({**message, **attributes}).encode()


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        ([EVENTS.encode(), b"{"], "not JSON"),
        ([EVENTS.encode(), b"\xff\xfe"], "not JSON"),
        ([EVENTS.encode()], "not JSON"),
        ([EVENTS.encode(), b"{}"], "out of schema"),
        ([EVENTS.encode(), altered(sequence="seven")], "sequence must be integer"),
        ([EVENTS.encode(), altered(data={"state": "resting"})], "out of schema"),
    ],
    ids=str,
)
def test_a_malformed_message_ends_it_with_one_clear_line(
    program: Path, station: Station, frames: list[bytes], why: str
) -> None:
    with started(program, station.endpoint) as listener:
        station.await_subscriber()
        station.send(*frames)
        code, said = listener.end()
        assert code == 1
        assert re.fullmatch(
            rf"subscriber: .*message.*{why}.*\n|subscriber: {why}.*message.*\n", said
        )
        assert listener.rest() == []


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ([], "usage: "),
        (["tcp://127.0.0.1:1", "tcp://127.0.0.1:2"], "usage: "),
        (["--volume", "11"], "--volume"),
        (["tcp://127.0.0.1:1", "--kind", "weather"], "weather; it must be one of"),
        (["tcp://127.0.0.1:1", "--schema", "/nowhere.json"], "/nowhere.json"),
        (["tcp://127.0.0.1:1", "--schema", str(SCHEMA), "--secret", "a"], "--server go together"),
        (["here", "--schema", str(SCHEMA)], "here"),
    ],
    ids=str,
)
def test_bad_arguments_are_one_line_and_a_failure(
    program: Path, options: list[str], why: str
) -> None:
    done = subprocess.run(
        ["node", str(program), *options],
        capture_output=True,
        text=True,
        timeout=SOON_S,
        check=False,
    )
    assert done.returncode == 1
    assert why in done.stderr
    assert len(done.stderr.splitlines()) == 1


def until_sent(listener: Listener, count: int, old_run: str) -> list[Any]:
    """What it prints up to the last of so many messages of the new run's own events."""
    heard: list[Any] = []
    while count:
        heard += listener.next(1)
        message = heard[-1]
        own = message["data"]["reason"] != "crash_recovered"
        count -= own and message["bootid"] != old_run
    return heard


def assert_complete(heard: list[Any]) -> None:
    """Every message once, in order, from the first of each run, and as it was published."""
    newest: dict[tuple[str, str], int] = {}
    for message in heard:
        assert "gap" not in message
        check_message(json.dumps(message).encode())
        topic_and_run = message["subject"], message["bootid"]
        assert message["sequence"] == newest.get(topic_and_run, 0) + 1
        newest[topic_and_run] = message["sequence"]
    ended = {m["data"]["event_id"] for m in heard if m["data"]["transition"] == "end"}
    assert ended == {m["data"]["event_id"] for m in heard}


def test_nothing_is_missing_across_a_kill_of_the_daemons_own_way_out(
    program: Path, tmp_path: Path
) -> None:
    settings = settings_file(tmp_path, endpoint=f"ipc://{tmp_path}/events")
    count = 600
    with loading(settings) as load, started(program, load.endpoint, *FROM_EARLIEST) as listener:
        load.send(count)
        heard = listener.next(count)
        load.begin(count)
        heard += listener.next(1)
        load.process.kill()
        load.process.wait()
        with loading(settings) as again:
            again.send(count)
            heard += until_sent(listener, count, heard[0]["bootid"])
    assert_complete(heard)
    assert len(heard) > 2 * count


def test_a_restart_that_lost_nothing_is_no_gap(program: Path, tmp_path: Path) -> None:
    settings = settings_file(tmp_path, endpoint=f"ipc://{tmp_path}/events")
    with loading(settings) as load, started(program, load.endpoint, *FROM_EARLIEST) as listener:
        load.send(60)
        heard = listener.next(60)
        load.process.kill()
        load.process.wait()
        with loading(settings) as again:
            again.send(2)  # of the first stream; of the others the new run has nothing
            heard += listener.next(2)
            listener.process.terminate()
            assert listener.end() == (0, "")
            assert listener.rest() == []
    assert_complete(heard)


def test_with_keys_it_hears_a_daemon_that_only_lets_the_authorised_in(
    program: Path, tmp_path: Path
) -> None:
    public, secret = new_keys(tmp_path, "daemon")
    _, own = new_keys(tmp_path / "clients", "me")
    keys = f'secret = "{secret}"\nauthorized = "{own.parent}"'
    settings = settings_file(tmp_path, endpoint=f"ipc://{tmp_path}/events", keys=keys)
    options = [*FROM_EARLIEST, "--secret", str(own), "--server", str(public)]
    with loading(settings) as load, started(program, load.endpoint, *options) as listener:
        load.send(60)
        heard = listener.next(60)
    assert_complete(heard)


def test_a_key_that_is_not_authorised_ends_it_with_a_clear_line(
    program: Path, tmp_path: Path
) -> None:
    public, secret = new_keys(tmp_path, "daemon")
    _, stranger = new_keys(tmp_path, "stranger")
    (tmp_path / "clients").mkdir()
    keys = f'secret = "{secret}"\nauthorized = "{tmp_path}/clients"'
    settings = settings_file(tmp_path, endpoint=f"ipc://{tmp_path}/events", keys=keys)
    options = ["--secret", str(stranger), "--server", str(public)]
    with loading(settings) as load, started(program, load.endpoint, *options) as listener:
        code, said = listener.end()
    assert code == 1
    assert "refuses this client's key" in said
