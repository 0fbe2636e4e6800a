"""Journals that a disk has spoilt: begun anew, read as far as they go, or refused on one line."""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from streamcls.errors import StreamclsError
from streamcls.protocol import Position, ReplayRequest, SnapshotRequest
from tests.fuzz.cases import told
from tests.fuzz.conftest import Cases
from tests.fuzz.mutate import damaged, mutated
from tests.history.parts import EVENTS, Daemon, event, journal
from tests.pipeline.stubs import ManualClock

POSITIONS = [None, Position("run0", 0), Position("run1", 3), Position("nobody", 5)]
ODD: list[Any] = [None, -1, 0, 2**62, 1.5, "", "x", "\0", b"", b"\xff", b"[" * 5000, b"{}"]


@pytest.fixture
def sound(tmp_path: Path) -> dict[str, bytes]:
    """The files of a journal after a kill: the database and, not yet in it, the log."""
    path = tmp_path / "sound" / "events.sqlite"
    clock = ManualClock()
    for number in range(2):
        run = Daemon(f"run{number}", journal(path, f"run{number}", clock), clock)
        for index in range(12):
            run.send(event(f"e{number}-{index // 2}", "end" if index % 2 else "start"))
        run.send(event(f"left-open-{number}"))
        if number == 0:
            run.history.close()
    with closing(sqlite3.connect(path)) as keeper:  # while it is open, the log is left
        keeper.execute("SELECT count(*) FROM messages").fetchone()
        run.crash()
        return {suffix: Path(f"{path}{suffix}").read_bytes() for suffix in ("", "-wal")}


def use(path: Path) -> str:
    """One run over a journal as it is: start, answer, write, tidy, end. A word for what came."""
    clock = ManualClock()
    try:
        run = Daemon("now", journal(path, "now", clock), clock)
    except StreamclsError as error:
        told(error)
        return "refused"
    word = "used"
    try:
        run.history.left_open()
        run.history.snapshot(SnapshotRequest())
        for after in POSITIONS:
            try:
                run.history.replay(ReplayRequest(topic=EVENTS, after=after))
            except StreamclsError as error:
                told(error)
                word = "unread"
        run.send(event("new"), event("new", "end"))
        assert run.journal
        run.journal.tidy()
        clock.now_s += 2  # what failed is tried again, with a new file where the old is damaged
        run.journal.tidy()
        run.history.left_open()
        head, kept = run.history.replay(ReplayRequest(topic=EVENTS, after=Position("now", 0)))
        assert (len(kept), head.more) == (2, False)
        assert all("\n" not in problem for problem in run.history.problems)
    finally:
        run.history.close()
    return word


def test_a_journal_damaged_on_disk_keeps_no_daemon_from_its_work(
    cases: Cases, sound: dict[str, bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    words = set()
    for case in cases(120):
        chance = case.chance
        path = tmp_path / f"case{case.number}" / "events.sqlite"
        path.parent.mkdir()
        for suffix, content in sound.items():
            spoil = chance.random() < (0.8 if suffix == "" else 0.4)
            change = chance.choice((damaged, damaged, mutated))
            Path(f"{path}{suffix}").write_bytes(change(content, chance) if spoil else content)
        with case.trying(sorted(path.parent.iterdir()), limit_s=10):
            words.add(use(path))
        for left in path.parent.iterdir():
            left.unlink()
    assert "used" in words


def test_rows_that_no_daemon_wrote_keep_none_from_its_work(
    cases: Cases, sound: dict[str, bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    for case in cases(120):
        chance = case.chance
        path = tmp_path / f"case{case.number}" / "events.sqlite"
        path.parent.mkdir()
        for suffix, content in sound.items():
            Path(f"{path}{suffix}").write_bytes(content)
        with closing(sqlite3.connect(path)) as connection:
            tables = {
                name: [column for _, column, *_ in connection.execute(f"PRAGMA table_info({name})")]
                for name in ("runs", "tails", "messages", "open_events")
            }
            done = ""
            for _ in range(chance.randint(1, 3)):
                table = chance.choice(list(tables))
                column, value = chance.choice(tables[table]), chance.choice(ODD)
                key, which = tables[table][0], chance.choice(("min", "max"))
                where = f" WHERE {key} = (SELECT {which}({key}) FROM {table})"
                where = chance.choice(("", where))
                done += f"{table}.{column} = {value!r:.30}{where}; "
                try:
                    with connection:
                        connection.execute(f"UPDATE {table} SET {column} = ?{where}", (value,))
                except sqlite3.Error:
                    continue
        with case.trying(done, limit_s=10):
            use(path)
        for left in path.parent.iterdir():
            left.unlink()
