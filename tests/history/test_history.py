"""Snapshots and replays, over one run and over many."""

from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcls.history.walk import Place, Run, walk
from streamcls.protocol import Missing, Position, ReplayRequest, SnapshotRequest
from tests.history.parts import (
    EVENTS,
    PREDICTIONS,
    STATUS,
    Daemon,
    event,
    journal,
    prediction,
    status,
)
from tests.pipeline.stubs import ManualClock

RUN = st.tuples(st.integers(0, 12), st.booleans(), st.sets(st.integers(1, 12)))


@given(st.lists(RUN, min_size=1, max_size=5), st.integers(1, 4), st.data())
@settings(deadline=None)
def test_following_through_yields_every_message_once_or_as_missing(
    shape: list[tuple[int, bool, set[int]]], limit: int, data: st.DataObject
) -> None:
    runs = [
        Run(f"r{i}", last if known or i == len(shape) - 1 else None)
        for i, (last, known, _) in enumerate(shape)
    ]
    kept = [
        (Place(i, n), f"{i}/{n}".encode())
        for i, (last, _, trimmed) in enumerate(shape)
        for n in range(1, last + 1)
        if n not in trimmed
    ]
    first = data.draw(st.integers(0, len(runs) - 1))
    after = Position(f"r{first}", data.draw(st.integers(0, shape[first][0])))
    origin = Place(first, after.sequence)
    covered: list[tuple[int, int]] = []
    beyond: set[int] = set()
    for step in count():
        assert step < 200, "no progress"
        at = Place(int(after.bootid[1:]), after.sequence)
        rest = [item for item in kept if item[0] > at][: limit + 1]
        head, messages = walk(ReplayRequest(topic=EVENTS, after=after, limit=limit), runs, rest)
        answer: list[tuple[int, int]] = []
        holes = list(head.missing)
        for place, kept_message in enumerate([*messages, None]):
            while holes and holes[0].before == place:
                hole = holes.pop(0)
                run = int(hole.bootid[1:])
                if hole.last is None:
                    beyond.add(run)
                last = shape[run][0] if hole.last is None else hole.last
                answer += [(run, n) for n in range(hole.first, last + 1)]
            if kept_message:
                place_text = kept_message.body.decode().split("/")
                answer.append((int(place_text[0]), int(place_text[1])))
        assert not holes
        covered += answer
        assert head.through is not None
        after = head.through
        if not head.more:
            break
    everything = [(i, n) for i, (last, _, _) in enumerate(shape) for n in range(1, last + 1)]
    assert covered == [place for place in everything if place > origin]
    assert beyond == {i for i in range(first, len(runs)) if runs[i].last is None}
    assert after == Position(runs[-1].bootid, runs[-1].last or 0)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=4), st.integers(1, 3))
@settings(deadline=None, max_examples=15)
def test_a_real_journal_replays_all_runs_in_order(sizes: list[int], limit: int) -> None:
    with TemporaryDirectory() as folder:
        clock = ManualClock()
        sent: list[bytes] = []
        for number, size in enumerate(sizes):
            run = Daemon(f"r{number}", journal(Path(folder) / "j", f"r{number}", clock), clock)
            for i in range(size):
                sent += [m.body for m in run.send(event(f"{number}-{i}", "end"))]
            if number < len(sizes) - 1:
                run.crash() if size % 2 else run.history.close()
        got: list[bytes] = []
        after, more = Position("r0", 0), True
        while more:
            head, messages = run.history.replay(
                ReplayRequest(topic=EVENTS, after=after, limit=limit)
            )
            got += [message.body for message in messages]
            assert head.missing == []
            assert head.through
            after, more = head.through, head.more
        assert got == sent
        run.history.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "events.sqlite"


def test_predictions_of_a_killed_run_are_missing_without_an_end_and_of_a_clean_one_with_it(
    path: Path,
) -> None:
    clock = ManualClock()
    for boot in ("killed", "clean", "now"):
        run = Daemon(boot, journal(path, boot, clock), clock)
        run.send(prediction(), prediction())
        if boot == "killed":
            run.crash()
        elif boot == "clean":
            run.history.close()
    head, messages = run.history.replay(
        ReplayRequest(topic=PREDICTIONS, after=Position("killed", 1))
    )
    assert head.missing == [Missing("killed", 2, None, 0), Missing("clean", 1, 2, 0)]
    assert head.through == Position("now", 2)
    assert len(messages) == 2
    run.history.close()


def test_a_run_nobody_knows_is_missing_and_all_that_is_kept_follows() -> None:
    run = Daemon("now", None, ManualClock())
    sent = run.send(event())
    head, messages = run.history.replay(ReplayRequest(topic=EVENTS, after=Position("who", 3)))
    assert head.missing == [Missing("who", 4, None, 0)]
    assert [m.body for m in messages] == [m.body for m in sent]


def test_after_beyond_the_newest_of_the_present_run_gives_nothing() -> None:
    run = Daemon("now", None, ManualClock())
    run.send(event())
    head, messages = run.history.replay(ReplayRequest(topic=EVENTS, after=Position("now", 9)))
    assert (head.through, head.more, head.missing, messages) == (Position("now", 9), False, [], [])


def test_what_fell_out_of_memory_is_missing_exactly() -> None:
    run = Daemon("now", None, ManualClock(), keep=3)
    run.send(*[prediction()] * 10)
    head, messages = run.history.replay(ReplayRequest(topic=PREDICTIONS, after=Position("now", 2)))
    assert head.missing == [Missing("now", 3, 7, 0)]
    assert len(messages) == 3
    head, messages = run.history.replay(ReplayRequest(topic=PREDICTIONS))
    assert head.missing == []
    assert len(messages) == 3


def test_a_replay_without_a_start_of_a_topic_without_messages_covers_nothing() -> None:
    head, messages = Daemon("now", None, ManualClock()).history.replay(ReplayRequest(topic=EVENTS))
    assert (head.through, head.more, messages) == (None, False, [])
    with pytest.raises(ValueError, match="not a topic"):
        Daemon("now", None, ManualClock()).history.replay(ReplayRequest(topic="cam"))


def test_a_replay_stops_at_to_even_where_messages_before_it_are_missing() -> None:
    run = Daemon("now", None, ManualClock(), keep=3)
    run.send(*[prediction()] * 10)
    request = ReplayRequest(topic=PREDICTIONS, after=Position("now", 1), to=Position("now", 5))
    head, messages = run.history.replay(request)
    assert (head.missing, messages) == ([Missing("now", 2, 5, 0)], [])
    assert head.through == Position("now", 5)


def test_a_snapshot_has_the_newest_of_each_topic_and_of_each_open_event(path: Path) -> None:
    clock = ManualClock()
    earlier = Daemon("old", journal(path, "old", clock), clock)
    left = earlier.send(event("left"), stream="gone")
    earlier.crash()
    run = Daemon("now", journal(path, "now", clock), clock)
    real, _, start, _, end = run.send(
        status(), status(heartbeat=True), event("a"), event("b"), event("b", "end")
    )
    head, messages = run.history.snapshot(SnapshotRequest())
    assert head.sequences == {
        EVENTS: 3,
        PREDICTIONS: 0,
        STATUS: 2,
        "streamcls/v1/gone/event/": 0,
    }
    newest, opened = messages[: head.latest], messages[head.latest :]
    assert {m.body for m in newest} == {real.body, end.body}
    assert {m.body for m in opened} == {left[0].body, start.body}
    head, messages = run.history.snapshot(SnapshotRequest(streams=["gone"]))
    assert [m.body for m in messages] == [left[0].body]
    assert run.history.replay(ReplayRequest(topic=STATUS))[0].through == Position("now", 2)
    run.history.close()
