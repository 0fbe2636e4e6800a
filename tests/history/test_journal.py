"""The journal against kills, full disks, damage, age and size."""

import os
import random
import sqlite3
import stat
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from streamcls.errors import BindError, ConfigError
from streamcls.events import EventData, decode
from streamcls.history import find_events, newest_events
from streamcls.protocol import Missing, Position, ReplayRequest
from tests.history.parts import EVENTS, Daemon, event, journal, prediction
from tests.pipeline.stubs import ManualClock

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "events.sqlite"


def bodies(path: Path) -> list[bytes]:
    return list(find_events(path, since_utc_s=None, until_utc_s=None, streams=(), labels=()))


def writing(path: Path, boot: str, limit: int = 0) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.history.writing", str(path), boot, str(limit)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def kill_and_check(path: Path, kills: int) -> None:
    chance = random.Random(7)
    acknowledged: dict[str, int] = {}
    for number in range(kills):
        boot = f"boot{number}"
        with writing(path, boot) as process:
            assert process.stdout
            line = process.stdout.readline()
            time.sleep(chance.uniform(0, 0.1))
            process.kill()
            lines = [line, *process.stdout.readlines()]
        whole = [line for line in lines if line.endswith("\n")]
        acknowledged[boot] = int(whole[-1].split()[0])
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    clock = ManualClock()
    last = Daemon("last", journal(path, "last", clock), clock)
    last.send(*[event(data.event_id, "end") for _, data in last.history.left_open()])
    last.history.close()
    starts, ends = Counter[str](), Counter[str]()
    sequences: dict[str, list[int]] = {}
    for body in bodies(path):
        message = decode(EVENTS.encode(), body)
        assert isinstance(message.data, EventData)
        sequences.setdefault(message.bootid, []).append(message.sequence)
        if message.data.transition == "start":
            starts[message.data.event_id] += 1
        if message.data.transition == "end":
            ends[message.data.event_id] += 1
    assert starts == ends
    assert set(ends.values()) == {1}
    for boot, acked in acknowledged.items():
        assert sequences[boot] == list(range(1, len(sequences[boot]) + 1))
        assert len(sequences[boot]) >= acked


def test_after_kills_nothing_acknowledged_is_missing_and_every_start_has_one_end(
    path: Path,
) -> None:
    kill_and_check(path, int(os.environ.get("STREAMCLS_KILLS", "10")))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hundred_kills_lose_nothing(path: Path) -> None:
    kill_and_check(path, 100)


def test_a_full_disk_delays_messages_and_loses_none(path: Path) -> None:
    with writing(path, "full", 300_000) as process:
        assert process.stdout
        assert process.stdin
        line = ""
        while "events wait to be written" not in line:
            line = process.stdout.readline()
        assert "journal: " in line
        process.stdin.write("go\n")
        process.stdin.flush()
        while line.split()[1] != "0":
            line = process.stdout.readline()
        process.kill()
    found = [decode(EVENTS.encode(), body).sequence for body in bodies(path)]
    assert found == list(range(1, len(found) + 1))
    assert len(found) >= int(line.split()[0])


def make_unwritable(daemon: Daemon) -> "sqlite3.Connection":
    """Another program holds the write lock: every write fails."""
    assert daemon.journal
    other = sqlite3.connect(daemon.journal.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other


def test_what_waits_for_the_disk_is_replayed_and_counted_and_written_later(path: Path) -> None:
    clock = ManualClock()
    run = Daemon("now", journal(path, "now", clock), clock)
    sent = run.send(event("a"))
    other = make_unwritable(run)
    for number in range(1100):  # more than memory keeps
        sent += run.send(event(f"b{number}", "end"))
    assert run.history.stats.journal_waiting == 1100
    assert run.history.stats.journal_errors == 1
    assert "1100 events wait to be written" in run.history.problems[0]
    request = ReplayRequest(topic=EVENTS, after=Position("now", 0), limit=500)
    head, messages = run.history.replay(request)
    assert head.missing == []
    assert messages[0].body == sent[0].body
    assert [m.body for m in messages] == [m.body for m in sent[: len(messages)]]
    other.close()
    clock.now_s += 1
    sent += run.send(event("a", "end"))
    assert run.history.problems == []
    assert run.history.stats.journal_waiting == 0
    assert bodies(path) == [m.body for m in sent]
    run.history.close()


def test_what_is_lost_is_counted_missing_exactly_and_leaves_the_right_events_open(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamcls.history.journal._MAX_WAITING", 3)
    monkeypatch.setattr("streamcls.history.memory._KEEP_EVENTS", 3)
    clock = ManualClock()
    run = Daemon("then", journal(path, "then", clock), clock)
    run.send(event("a"))
    other = make_unwritable(run)
    run.send(event("a", "end"), event("b"))
    run.send(*[event(f"c{number}", "end") for number in range(3)])
    assert run.history.stats.journal_lost == 2
    other.close()
    clock.now_s += 1
    run.send(event("d", "end"))
    run.crash()
    later = Daemon("now", journal(path, "now", clock), clock)
    assert [data.event_id for _, data in later.history.left_open()] == ["b"]
    head, _ = later.history.replay(ReplayRequest(topic=EVENTS, after=Position("then", 1)))
    assert head.missing == [Missing("then", 2, 3, 0)]
    later.history.close()


def test_what_is_too_old_goes_and_what_is_open_stays(path: Path) -> None:
    clock = ManualClock()
    run = Daemon("then", journal(path, "then", clock), clock)
    run.send(event("open"), *[event("x", "end")] * 250)
    run.crash()
    clock.now_s += 101
    run = Daemon("now", journal(path, "now", clock, max_age_s=100), clock)
    assert run.journal
    fresh = run.send(event("y"))
    run.journal.tidy()
    assert bodies(path) == [fresh[0].body]
    run.crash()
    run = Daemon("next", journal(path, "next", clock, max_age_s=100), clock)
    assert sorted(data.event_id for _, data in run.history.left_open()) == ["open", "y"]
    head, _ = run.history.replay(ReplayRequest(topic=EVENTS, after=Position("then", 250)))
    assert head.missing[0].first == 251
    run.history.close()


def test_the_oldest_go_where_the_journal_is_too_large(path: Path) -> None:
    clock = ManualClock()
    run = Daemon("now", journal(path, "now", clock, max_bytes=1_000_000), clock)
    assert run.journal
    for _ in range(20):
        sent = run.send(*[event("x", "end")] * 200)
        run.journal.tidy()
        assert run.journal.file_bytes < 1_500_000
    assert bodies(path)[-1] == sent[-1].body
    head, messages = run.history.replay(ReplayRequest(topic=EVENTS, after=Position("now", 0)))
    assert head.missing[0].first == 1
    assert head.missing[0].last
    assert decode(EVENTS.encode(), messages[0].body).sequence == head.missing[0].last + 1
    run.history.close()


@pytest.mark.parametrize(
    "content", [b"not a database\0" * 1000, b"SQLite format 3\0" + b"x" * 5000]
)
def test_a_damaged_file_is_moved_aside_and_a_new_one_begun(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    clock = ManualClock()
    run = Daemon("now", journal(path, "now", clock), clock)
    sent = run.send(event())
    assert bodies(path) == [sent[0].body]
    (aside,) = path.parent.glob("events.sqlite.damaged-*Z")
    assert aside.read_bytes() == content
    run.history.close()


def test_two_daemons_never_share_a_journal_and_others_cannot_read_it(path: Path) -> None:
    clock = ManualClock()
    first = journal(path, "one", clock)
    with pytest.raises(BindError, match=r"another daemon .*\[journal\] path"):
        journal(path, "two", clock)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    first.close({})
    first.close({})
    journal(path, "two", clock).close({})


def test_a_folder_that_cannot_be_made_is_a_setting_to_change(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"\[journal\] path .* enabled = false"):
        journal(tmp_path / "file" / "events.sqlite", "now", ManualClock())


def test_the_log_is_cut_again_when_a_lingering_reader_has_gone(path: Path) -> None:
    clock = ManualClock()
    run = Daemon("now", journal(path, "now", clock, max_bytes=4_000_000), clock)
    assert run.journal
    log_file = path.with_name(f"{path.name}-wal")
    run.send(event())
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM messages").fetchone()
        for number in range(10):
            run.send(*[event(f"{number}", "end")] * 200)
            run.journal.tidy()
        assert log_file.stat().st_size > 1_000_000
    run.journal.tidy()
    assert log_file.stat().st_size == 0
    assert len(bodies(path)) == 2001
    run.history.close()


def test_an_open_event_that_cannot_be_read_does_not_keep_a_run_from_starting(path: Path) -> None:
    clock = ManualClock()
    run = Daemon("then", journal(path, "then", clock), clock)
    run.send(event("a"), event("b"))
    run.crash()
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE open_events SET body = x'7b7d' WHERE event_id = 'a'")
    run = Daemon("now", journal(path, "now", clock), clock)
    assert [data.event_id for _, data in run.history.left_open()] == ["b"]
    run.history.close()


def test_events_are_found_by_time_stream_and_label_while_a_daemon_writes(path: Path) -> None:
    clock = ManualClock()
    run = Daemon("now", journal(path, "now", clock), clock)
    sent = [run.send(event(label="still"), stream="a")[0]]
    clock.now_s += 10
    sent += run.send(event(label="shaking"), stream="b") + run.send(event(), stream="b")
    since = clock.utc_s()

    def found(**more: object) -> list[bytes]:
        wanted = {"since_utc_s": None, "until_utc_s": None, "streams": (), "labels": ()}
        return list(find_events(path, **(wanted | more)))  # type: ignore[arg-type]

    assert found() == [m.body for m in sent]
    assert found(since_utc_s=since) == [m.body for m in sent[1:]]
    assert found(until_utc_s=since - 1) == [sent[0].body]
    assert found(streams=["b"], labels=["still", "x"]) == [sent[2].body]
    reader = find_events(path, since_utc_s=None, until_utc_s=None, streams=(), labels=())
    next(reader)
    run.send(event())
    assert len(list(reader)) == 2
    run.history.close()
    assert len(found()) == 4
    with pytest.raises(ConfigError, match="no journal at"):
        find_events(path / "x", since_utc_s=None, until_utc_s=None, streams=(), labels=())


def test_the_newest_events_are_found_first_and_no_more_than_asked_for(path: Path) -> None:
    clock = ManualClock()
    run = Daemon("now", journal(path, "now", clock, predictions=True), clock)
    run.send(event("long-ago"))
    clock.now_s += 10
    since = clock.utc_s()
    sent = run.send(event("a"), prediction(), event("b"), event("a", "end"))
    expected = [one.body for one in sent if isinstance(one.payload, EventData)][::-1]
    assert newest_events(path, since, 10) == expected
    assert newest_events(path, since, 2) == expected[:2]
    run.history.close()
    with pytest.raises(ConfigError, match="cannot read the journal"):
        newest_events(path / "x", since, 1)


def test_an_event_costs_little_in_groups(path: Path) -> None:
    clock = ManualClock()
    run = Daemon("now", journal(path, "now", clock), clock)
    assert run.journal
    for size, times in ((256, 40), (1, 500)):
        groups = [
            [
                run.writer.encode(
                    "cam", event(f"{size}-{g}-{i // 2}", "end" if i % 2 else "start"), NOW
                )
                for i in range(size)
            ]
            for g in range(times)
        ]
        begun = time.process_time()
        for group in groups:
            run.history.record(group)
        each_us = (time.process_time() - begun) / (size * times) * 1e6
        print(f"groups of {size}: {each_us:.1f} us of one core per event")
        assert each_us < 2000
    run.history.close()
