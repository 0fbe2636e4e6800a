"""Decisions: hysteresis in seconds, for any sequence of scores and times."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcls.pipeline.decisions import Decider, Policy
from tests.pipeline.deciding import PAN, SHAKE, Run, policies, policy


def test_an_event_starts_at_on_and_lasts_until_below_off() -> None:
    run = Run()
    for time, score in enumerate([0.1, 0.5, 0.7, 0.5, 0.41, 0.39, 0.5]):
        run.push(time, score)
    assert run.log == [("start", PAN, 2, 2), ("end", PAN, 2, 4)]


def test_an_event_tells_its_times_its_peak_and_its_mean() -> None:
    decider = Decider([policy()])
    for time, score in enumerate([0.6, 0.9, 0.75, 0.1]):
        changes = decider.push(np.array([score]), stream_epoch=7, time_s=time, utc_s=50.0 + time)
    span = changes[0].span
    assert (span.start_s, span.held_s, span.start_utc_s, span.held_utc_s) == (0, 2, 50, 52)
    assert (span.peak, span.stream_epoch) == (0.9, 7)
    assert span.mean == pytest.approx(0.75)


def test_a_label_without_a_policy_opens_no_event() -> None:
    run = Run()
    for time in range(5):
        run.push(time, 0.0)
    assert run.log == []


def test_a_label_must_hold_for_the_minimum_duration() -> None:
    run = Run(policy(min_duration_s=2))
    for time, score in enumerate([0.9, 0.9, 0.1, 0.9, 0.9, 0.9, 0.1]):
        run.push(time, score)
    assert run.log == [("start", PAN, 3, 5), ("end", PAN, 3, 5)]


def test_rounding_of_times_does_not_put_a_start_off() -> None:
    run = Run(policy(min_duration_s=0.2))
    assert 0.3 - 0.1 < 0.2
    for time in (0.1, 0.2, 0.3):
        run.push(time, 0.9)
    assert run.log == [("start", PAN, 0.1, 0.3)]


def test_after_an_end_the_label_rests_for_the_cooldown() -> None:
    run = Run(policy(cooldown_s=3))
    for time, score in enumerate([0.9, 0.1, 0.9, 0.9, 0.9]):
        run.push(time, score)
    assert [entry[:3] for entry in run.log] == [
        ("start", PAN, 0),
        ("end", PAN, 0),
        ("start", PAN, 3),
    ]


def test_a_window_that_comes_after_the_end_of_all_finds_the_cooldown() -> None:
    run = Run(policy(cooldown_s=3))
    run.push(0, 0.9)
    run.end()
    run.push(1, 0.9)
    assert [entry[0] for entry in run.log] == ["start", "end"]
    run.push(1, 0.9, epoch=2)  # other times, which the old ones say nothing about
    assert [entry[0] for entry in run.log] == ["start", "end", "start"]


def test_an_open_event_is_reported_again_at_each_labels_own_intervals() -> None:
    run = Run(policy(update_s=5), policy(update_s=8))
    for time in range(12):
        run.push(time, 0.9, shake=0.9)
    assert [(entry[1], entry[3]) for entry in run.log if entry[0] == "update"] == [
        (PAN, 5),
        (SHAKE, 8),
        (PAN, 10),
    ]


def test_labels_are_independent_and_several_may_be_open() -> None:
    run = Run(policy(min_duration_s=1), policy(on_threshold=0.9))
    for time, (pan, shake) in enumerate([(0.7, 0.8), (0.7, 0.95), (0.1, 0.5), (0.1, 0.3)]):
        run.push(time, pan, shake=shake)
    assert run.log == [
        ("start", PAN, 0, 1),
        ("start", SHAKE, 1, 1),
        ("end", PAN, 0, 1),
        ("end", SHAKE, 1, 2),
    ]


def test_a_new_stream_epoch_ends_what_was_open() -> None:
    run = Run()
    run.push(10, 0.9, epoch=1)
    run.push(0, 0.9, epoch=2)
    assert [entry[:3] for entry in run.log] == [
        ("start", PAN, 10),
        ("end", PAN, 10),
        ("start", PAN, 0),
    ]


def test_smoothing_forgets_with_each_labels_time_constant_whatever_the_spacing() -> None:
    for spacing in (1.0, 0.5, 0.125):
        run = Run(policy(smoothing_s=2), policy(smoothing_s=4))
        times = np.arange(0, 8, spacing)
        for time in times:
            run.push(float(time), float(time == 0), shake=float(time == 0))
        # exp(-t / 2) falls below 0.4 at t = 1.83 s, exp(-t / 4) at 3.67 s.
        for index, limit in ((PAN, 1.83), (SHAKE, 3.67)):
            assert run.of(index)[1][3] == times[times < limit][-1]


@given(st.floats(0.01, 1), st.floats(0, 50), st.lists(st.floats(0.01, 9), min_size=1))
def test_smoothing_leaves_a_score_that_stays_as_it_is(
    score: float, smoothing_s: float, steps: list[float]
) -> None:
    run = Run(policy(on_threshold=score, off_threshold=score, smoothing_s=smoothing_s))
    for time in np.cumsum(steps):
        run.push(float(time), score)
    assert [entry[0] for entry in run.of(PAN)] == ["start"]


def test_a_score_that_is_no_number_counts_as_none() -> None:
    run = Run(policy(smoothing_s=0.01))
    nan = float("nan")
    for time, score in enumerate([nan, 0.9, nan, nan, 0.9]):
        run.push(time, score)
    assert run.log == [("start", PAN, 1, 1), ("end", PAN, 1, 1), ("start", PAN, 4, 4)]


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("off_threshold", 0.7, "above on_threshold"),
        ("off_threshold", float("nan"), "off_threshold"),
        ("on_threshold", 0.0, "every score reaches"),
        ("on_threshold", float("nan"), "on_threshold is nan"),
        ("smoothing_s", -1.0, "smoothing_s is -1"),
        ("cooldown_s", float("nan"), "cooldown_s is nan"),
        ("min_duration_s", float("inf"), "min_duration_s is inf"),
    ],
)
def test_a_policy_that_means_nothing_is_refused(field: str, value: float, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        policy(**{field: value})


score_or_nan = st.floats(0, 1) | st.sampled_from([0.0, 1.0, float("nan")])
window = st.tuples(
    score_or_nan, score_or_nan, st.floats(0.01, 3), st.sampled_from(["", "", "", "epoch", "end"])
)


@given(policies, policies, st.lists(window, max_size=80))
def test_any_policies_windows_and_interruptions_give_whole_events(
    pan: Policy, shake: Policy, windows: list[tuple[float, float, float, str]]
) -> None:
    run, time, epoch = Run(pan, shake), 0.0, 0
    breaks: list[float] = []
    for pan_score, shake_score, step, event in windows:
        time += step
        if event == "epoch":
            epoch, breaks = epoch + 1, [*breaks, time]
        elif event == "end":
            run.end()
        run.push(time, pan_score, shake=shake_score, epoch=epoch)
    run.end()
    assert all(entry[1] in (PAN, SHAKE) for entry in run.log)
    for index, chosen in ((PAN, pan), (SHAKE, shake)):
        marks = run.of(index)
        assert [mark[0] for mark in marks] == ["start", "end"] * (len(marks) // 2)
        for start, end in zip(marks[::2], marks[1::2], strict=True):
            assert start[2] == end[2]
            assert round(end[3] - end[2], 6) >= chosen.min_duration_s
        for end, start in pairwise(marks[1:]):
            if end[0] == "end" and not any(end[3] < time <= start[2] for time in breaks):
                assert round(start[2] - end[3], 6) >= chosen.cooldown_s
