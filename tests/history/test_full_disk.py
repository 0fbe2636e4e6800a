"""A disk that is really full: a small one of its own."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamcls.history import find_events
from streamcls.protocol import SnapshotRequest
from tests.history.parts import Daemon, event, journal
from tests.pipeline.stubs import ManualClock


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        done = False
    if not done:
        pytest.skip("this user cannot mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path) -> Path:
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return ballast
    raise AssertionError("the disk never filled")


def test_a_full_disk_is_told_of_and_what_waited_is_written_when_there_is_room(disk: Path) -> None:
    clock = ManualClock()
    path = disk / "events.sqlite"
    run = Daemon("now", journal(path, "now", clock), clock)
    sent = run.send(event("a"))
    ballast = fill(disk)
    for number in range(50):
        sent += run.send(event(f"{number}", "end"))
    waiting = run.history.stats.journal_waiting
    assert waiting > 0
    assert run.history.problems == [f"journal: disk is full; {waiting} events wait to be written"]
    ballast.unlink()
    clock.now_s += 1
    assert run.journal
    run.journal.tidy()
    assert run.history.problems == []
    found = find_events(path, since_utc_s=None, until_utc_s=None, streams=(), labels=())
    assert list(found) == [message.body for message in sent]
    run.history.close()


def test_a_run_begins_on_a_full_disk_and_is_journaled_when_there_is_room(disk: Path) -> None:
    clock = ManualClock()
    path = disk / "events.sqlite"
    ballast = fill(disk)
    run = Daemon("now", journal(path, "now", clock), clock)
    sent = run.send(event("a"))
    assert run.history.stats.journal_waiting == 1
    assert run.history.problems[-1].endswith("left open are not ended yet")
    ballast.unlink()
    clock.now_s += 1
    sent += run.send(event("a", "end"))
    assert run.history.left_open() == []
    assert run.history.problems == []
    found = find_events(path, since_utc_s=None, until_utc_s=None, streams=(), labels=())
    assert list(found) == [message.body for message in sent]
    run.history.close()


def test_what_a_killed_run_left_open_is_learnt_once_a_disk_that_was_full_has_room(
    disk: Path,
) -> None:
    clock = ManualClock()
    path = disk / "events.sqlite"
    old = Daemon("old", journal(path, "old", clock), clock)
    left = old.send(event("left"))
    old.crash()
    ballast = fill(disk)
    run = Daemon("now", journal(path, "now", clock), clock)
    assert run.history.left_open() == []
    assert run.history.problems[-1].endswith("left open are not ended yet")
    run.send(event("mine"))
    ballast.unlink()
    clock.now_s += 1
    assert run.journal
    run.journal.tidy()
    assert [data.event_id for _, data in run.history.left_open()] == ["left"]
    assert run.history.left_open() == []
    assert run.history.problems == []
    _, messages = run.history.snapshot(SnapshotRequest())
    assert left[0].body in [message.body for message in messages]
    run.history.close()
