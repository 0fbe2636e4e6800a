"""The backlog: newest first per live stream, nothing lost where nothing may be, no one starved."""

import threading
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcls.frames import Window
from streamcls.pipeline.backlog import Backlog
from streamcls.transforms import phase_of
from tests.pipeline.stubs import ManualClock, window

RUNNING = threading.Event()


def put(backlog: Backlog, item: Window, *, lossless: bool = False) -> bool:
    return backlog.put(item, lossless=lossless, cancelled=RUNNING)


def streams(taken: object) -> list[str]:
    assert isinstance(taken, list)
    return [item.stream for item in taken]


def test_a_newer_window_of_a_live_stream_replaces_the_waiting_one_and_is_counted() -> None:
    backlog = Backlog()
    for end_s in (1, 2, 3):
        put(backlog, window("a", end_s))
    taken = backlog.take(8, 0)
    assert taken is not None
    assert [float(item.end_s) for item in taken if isinstance(item, Window)] == [3]
    assert backlog.dropped("a") == {"superseded": 2}


def test_a_batch_holds_one_window_of_each_stream_before_a_second_of_any() -> None:
    backlog = Backlog()
    for stream in ("a", "a", "b", "c"):
        put(backlog, window(stream), lossless=True)
    assert streams(backlog.take(8, 0)) == ["a", "b", "c", "a"]


@given(st.integers(1, 4), st.integers(2, 9))
def test_no_stream_starves_however_small_the_batch(batch: int, count: int) -> None:
    backlog, names = Backlog(), [f"s{i}" for i in range(9)][:count]
    served: list[str] = []
    for _ in range(3 * count):
        for name in names:  # every stream always has a window ready
            put(backlog, window(name))
        served += streams(backlog.take(batch, 0))
    for start in range(len(served) - count + 1):
        assert len(set(served[start : start + count])) == count


def test_a_lossless_producer_waits_for_room_and_loses_nothing() -> None:
    backlog, total = Backlog(), 20
    ends = [float(i) for i in range(total)]
    producer = threading.Thread(
        target=lambda: [put(backlog, window("file", end), lossless=True) for end in ends]
    )
    producer.start()
    got: list[float] = []
    while len(got) < total:
        taken = backlog.take(1, timeout_s=10)
        assert taken, "the producer stopped producing"
        got += [float(item.end_s) for item in taken if isinstance(item, Window)]
    producer.join(10)
    assert got == ends
    assert backlog.dropped("file") == {}


def test_a_waiting_producer_is_let_go_by_its_stop_and_by_the_close() -> None:
    for release in ("stop", "close"):
        backlog, stop = Backlog(), threading.Event()
        results: list[bool] = []
        for _ in range(2):
            put(backlog, window("file"), lossless=True)
        producer = threading.Thread(
            target=lambda backlog=backlog, stop=stop, results=results: results.append(
                backlog.put(window("file"), lossless=True, cancelled=stop)
            )
        )
        producer.start()
        stop.set() if release == "stop" else backlog.close()
        producer.join(10)
        assert results == [False]


def test_what_waits_at_the_close_is_still_taken_and_then_there_is_no_more() -> None:
    backlog = Backlog()
    put(backlog, window("a"))
    backlog.close()
    backlog.close()
    assert not put(backlog, window("b"))
    assert streams(backlog.take(8, 0)) == ["a"]
    assert backlog.take(8, 0) is None


def test_an_empty_backlog_gives_an_empty_list_after_the_timeout() -> None:
    assert Backlog().take(8, timeout_s=0.01) == []


def test_a_note_keeps_its_place_after_the_windows_before_it_and_is_never_dropped() -> None:
    backlog = Backlog()
    said: list[str] = []

    def note() -> None:
        said.append("lost")

    put(backlog, window("a", 1))
    backlog.note("a", note)
    taken = backlog.take(8, 0)
    assert taken is not None
    assert isinstance(taken[0], Window)
    assert taken[1] is note
    backlog.note("a", note)
    put(backlog, window("a", 2))
    put(backlog, window("a", 3))
    taken = backlog.take(8, 0)
    assert taken is not None
    assert taken == [note], "what came after a note is not classified before it is called"
    taken = backlog.take(8, 0)
    assert taken is not None
    assert [float(item.end_s) for item in taken if isinstance(item, Window)] == [3]
    backlog.close()
    backlog.note("a", note)
    assert backlog.take(8, 0) == [note]


def test_the_time_a_live_stream_waits_for_its_turn_counts_beyond_one_batch() -> None:
    clock = ManualClock()
    backlog = Backlog(clock)
    assert backlog.late_s("a") == 0
    put(backlog, window("b"))
    backlog.take(8, 0)
    clock.now_s += 0.4  # what the worker takes for it
    assert backlog.take(8, 0) == []
    for _ in range(3):
        put(backlog, window("a"))  # newer windows do not make the wait for a turn shorter
        clock.now_s += 0.2
    assert backlog.late_s("a") == pytest.approx(0.2)
    assert streams(backlog.take(1, 0)) == ["a"]
    assert backlog.late_s("a") == 0


def test_a_window_withdrawn_is_gone_and_counted_and_what_waits_behind_it_stays() -> None:
    backlog = Backlog()
    put(backlog, window("a"))
    backlog.note("a", RUNNING.clear)
    backlog.withdraw("a")
    backlog.withdraw("nobody")
    assert backlog.dropped("a") == {"late": 1}
    assert backlog.take(8, 0) == [RUNNING.clear]
    assert backlog.late_s("a") == 0
    backlog.forget("a")
    assert backlog.dropped("a") == {}


def test_what_has_grown_old_goes_after_all_that_is_fresh() -> None:
    clock = ManualClock()
    backlog = Backlog(clock)
    put(backlog, window("old"))
    clock.now_s += 0.2
    put(backlog, window("file"), lossless=True)
    clock.now_s += 0.2
    for stream in ("b", "a"):
        put(backlog, window(stream))
    assert streams(backlog.take(8, 0)) == ["file", "b", "a", "old"]


def test_within_one_slow_batch_nothing_grows_old() -> None:
    clock = ManualClock()
    backlog = Backlog(clock)
    put(backlog, window("first"))
    backlog.take(8, 0)
    clock.now_s += 0.5
    put(backlog, window("a"))
    backlog.note("first", RUNNING.clear)  # which the worker takes at once
    backlog.take(1, 0)
    clock.now_s += 0.9
    put(backlog, window("b"))
    assert [streams(backlog.take(1, 0)), streams(backlog.take(1, 0))] == [["a"], ["b"]]


@pytest.mark.parametrize(("window_s", "batch"), [(0.002, 8), (0.012, 4), (0.09, 1)])
def test_a_batch_is_no_larger_than_the_worker_is_quick(window_s: float, batch: int) -> None:
    clock = ManualClock()
    backlog = Backlog(clock)
    taken = 0
    for _ in range(3):
        for i in range(12):
            put(backlog, window(str(i)))
        taken = len(streams(backlog.take(8, 0)))
        clock.now_s += taken * window_s
    assert taken == batch


@given(st.lists(st.sampled_from([0.2, 0.4, 1.0, 3.0]), min_size=2, max_size=9))
@settings(max_examples=30)
def test_under_overload_streams_have_equal_shares_or_all_they_want(strides: list[float]) -> None:
    clock = ManualClock(0.0)
    backlog = Backlog(clock)
    cost_s = 2 / sum(1 / stride_s for stride_s in strides)  # twice the capacity
    due_s = [stride_s * phase_of(i) for i, stride_s in enumerate(strides)]
    served: Counter[int] = Counter()
    seconds = 400 * cost_s
    while clock.now_s < seconds:
        for i, stride_s in enumerate(strides):
            while due_s[i] <= clock.now_s:
                put(backlog, window(str(i)))
                due_s[i] += stride_s
        taken = backlog.take(1, 0)
        served.update(int(name) for name in streams(taken))
        clock.now_s += cost_s if taken else 0.01
    equal = max(served.values())
    for i, stride_s in enumerate(strides):
        assert served[i] >= 0.6 * min(equal, seconds / stride_s) - 2
