"""Journals that vanish, are damaged, stuck or somebody else's."""

import logging
import os
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest

from streamcls.errors import ConfigError, StreamclsError
from streamcls.history.housekeeper import Housekeeper
from streamcls.protocol import Missing, Position, ReplayRequest
from tests.history.parts import EVENTS, Daemon, event, journal
from tests.history.test_journal import bodies, make_unwritable
from tests.pipeline.stubs import ManualClock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "events.sqlite"


@pytest.mark.parametrize("last_one", [False, True])
def test_events_that_a_killed_run_published_but_never_wrote_are_told_as_missing(
    path: Path, last_one: bool
) -> None:
    clock = ManualClock()
    run = Daemon("then", journal(path, "then", clock), clock)
    run.send(event("a", "end"))
    if last_one:
        other = make_unwritable(run)
        run.send(event("b", "end"))
        run.crash()
        other.close()
    else:
        run.crash()
    now = Daemon("now", journal(path, "now", clock), clock)
    head, _ = now.history.replay(ReplayRequest(topic=EVENTS, after=Position("then", 1)))
    assert head.missing == ([Missing("then", 2, None, 0)] if last_one else [])
    now.history.close()
    assert not stat.S_IMODE(os.stat(f"{path}.lock").st_mode) & stat.S_IXUSR


@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_a_file_deleted_under_the_daemon_is_told_of_and_begun_anew_for_its_owner_alone(
    path: Path, suffix: str
) -> None:
    clock = ManualClock()
    run = Daemon("now", journal(path, "now", clock), clock)
    assert run.journal
    run.send(event("a"))
    Path(f"{path}{suffix}").unlink()
    run.journal.tidy()
    assert "deleted or replaced" in run.history.problems[0]
    clock.now_s += 1
    run.journal.tidy()
    assert run.history.problems == []
    sent = run.send(event("b"))
    assert bodies(path)[-1] == sent[0].body
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    run.crash()
    later = Daemon("later", journal(path, "later", clock), clock)
    assert sorted(data.event_id for _, data in later.history.left_open()) == ["a", "b"]
    assert later.history.left_open() == []
    later.history.close()


def test_damage_met_while_reading_is_one_line_and_the_file_is_moved_aside(path: Path) -> None:
    clock = ManualClock()
    run = Daemon("now", journal(path, "now", clock), clock)
    run.send(*[event("a", "end")] * 3000)
    assert run.journal
    run.journal.tidy()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    request = ReplayRequest(topic=EVENTS, after=Position("now", 0))
    with pytest.raises(StreamclsError, match="cannot be read") as told:
        run.history.replay(request)
    assert "\n" not in str(told.value)
    clock.now_s += 1
    run.journal.tidy()
    assert len(list(path.parent.glob("*.damaged-*Z"))) == 1
    assert run.history.replay(request)[0].missing[0].first == 1
    run.history.close()


@pytest.mark.parametrize("statements", ["CREATE TABLE runs (x)", "PRAGMA application_id = 7"])
def test_another_programs_database_is_refused_and_left_alone(path: Path, statements: str) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as other:
        other.executescript(statements)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="another program's database"):
        journal(path, "now", ManualClock())
    assert path.read_bytes() == before


def test_somebodys_text_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("dear diary\n" * 1000)
    with pytest.raises(ConfigError, match="cannot use the journal"):
        journal(path, "now", ManualClock())
    assert path.read_text().startswith("dear diary")


def test_a_journal_made_before_the_application_id_is_accepted(path: Path) -> None:
    clock = ManualClock()
    journal(path, "then", clock).close({})
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA application_id = 0")
    journal(path, "now", clock).close({})


def test_a_wall_clock_that_jumps_forward_does_not_empty_the_journal(path: Path) -> None:
    clock = ManualClock()
    run = Daemon("now", journal(path, "now", clock, max_age_s=100), clock)
    assert run.journal
    sent = run.send(event("a", "end"))
    clock.utc_offset_s += 1e6
    run.journal.tidy()
    assert bodies(path) == [sent[0].body]
    run.history.close()


def test_what_waited_is_written_a_chunk_at_a_time(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamcls.history.journal._FLUSH", 10)
    clock = ManualClock()
    run = Daemon("now", journal(path, "now", clock), clock)
    assert run.journal
    other = make_unwritable(run)
    run.send(*[event("a", "end")] * 30)
    other.close()
    clock.now_s += 1
    run.send(event("b", "end"))
    assert run.history.stats.journal_waiting == 21
    run.journal.tidy()
    assert run.history.stats.journal_waiting == 0
    run.history.close()


def test_closing_gives_up_on_a_stuck_disk(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = journal(path, "now", ManualClock())
    with kept._lock, caplog.at_level(logging.WARNING):
        kept.close({}, timeout_s=0.05)
    assert "is stuck" in caplog.text
    kept.close({})


def test_upkeep_goes_on_after_a_fault_and_tells_of_it_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rounds, enough = 0, threading.Event()

    def work() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            enough.set()
        raise RuntimeError("odd")

    house = Housekeeper(work, clock=ManualClock())
    house.start()
    assert enough.wait(5)
    house.stopping.set()
    assert house.join(5)
    assert caplog.text.count("odd") == 1
