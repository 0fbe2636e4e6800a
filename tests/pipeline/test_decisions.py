"""Decisions: hysteresis in seconds, for any sequence of scores and times."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcls.pipeline.decisions import Change, Decider, Policy

LABELS = ("still", "pan", "shake")
PLAIN = Policy(
    smoothing_s=0,
    on_threshold=0.6,
    off_threshold=0.4,
    min_duration_s=0,
    cooldown_s=0,
    background_label="still",
)


def policy(**changes: float) -> Policy:
    fields = {name: getattr(PLAIN, name) for name in Policy.__slots__}
    return Policy(**{**fields, **changes})


class Run:
    """Feeds a decider and writes down what it said, as (transition, label, start, end)."""

    def __init__(self, chosen: Policy = PLAIN) -> None:
        self.decider = Decider(LABELS, chosen)
        self.log: list[tuple[str, str, float, float]] = []

    def push(self, time_s: float, pan: float, *, epoch: int = 1, shake: float = 0.0) -> None:
        scores = np.array([1 - pan - shake, pan, shake])
        self._note(self.decider.push(scores, stream_epoch=epoch, time_s=time_s, utc_s=1e9 + time_s))

    def end(self) -> None:
        self._note(self.decider.end_all())

    def _note(self, changes: list[Change]) -> None:
        for change in changes:
            span = change.span
            entry = (change.transition, LABELS[span.index], span.start_s, span.held_s)
            self.log.append(entry)


def test_an_event_starts_at_on_and_lasts_until_below_off() -> None:
    run = Run()
    for time, score in enumerate([0.1, 0.5, 0.7, 0.5, 0.41, 0.39, 0.5]):
        run.push(time, score)
    assert run.log == [("start", "pan", 2, 2), ("end", "pan", 2, 4)]


def test_the_background_label_opens_no_event() -> None:
    run = Run()
    for time in range(5):
        run.push(time, 0.0)
    assert run.log == []


def test_a_label_must_hold_for_the_minimum_duration() -> None:
    run = Run(policy(min_duration_s=2))
    for time, score in enumerate([0.9, 0.9, 0.1, 0.9, 0.9, 0.9, 0.1]):
        run.push(time, score)
    assert run.log == [("start", "pan", 3, 5), ("end", "pan", 3, 5)]


def test_after_an_end_the_label_rests_for_the_cooldown() -> None:
    run = Run(policy(cooldown_s=3))
    for time, score in enumerate([0.9, 0.1, 0.9, 0.9, 0.9]):
        run.push(time, score)
    assert [entry[:3] for entry in run.log] == [
        ("start", "pan", 0),
        ("end", "pan", 0),
        ("start", "pan", 3),
    ]


def test_an_open_event_is_reported_again_at_intervals() -> None:
    run = Run()
    for time in range(12):
        run.push(time, 0.9)
    assert [(entry[0], entry[3]) for entry in run.log] == [
        ("start", 0),
        ("update", 5),
        ("update", 10),
    ]


def test_a_new_stream_epoch_ends_what_was_open() -> None:
    run = Run()
    run.push(10, 0.9, epoch=1)
    run.push(0, 0.9, epoch=2)
    assert [entry[:3] for entry in run.log] == [
        ("start", "pan", 10),
        ("end", "pan", 10),
        ("start", "pan", 0),
    ]


def test_smoothing_forgets_with_its_time_constant_whatever_the_spacing() -> None:
    for spacing in (1.0, 0.5, 0.125):
        run = Run(policy(smoothing_s=2, on_threshold=0.99, off_threshold=0.4))
        run.push(0, 1.0)
        time = 0.0
        while not any(entry[0] == "end" for entry in run.log):
            time += spacing
            run.push(time, 0.0)
        # exp(-t / 2) falls below 0.4 at t = 1.83 s.
        assert 1.83 <= time < 1.84 + spacing


scores = st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 3)), max_size=80)
policies = st.builds(
    lambda smoothing, on, drop, shortest, rest: policy(
        smoothing_s=smoothing,
        on_threshold=on,
        off_threshold=on * drop,
        min_duration_s=shortest,
        cooldown_s=rest,
    ),
    st.floats(0, 5),
    st.floats(0.05, 1),
    st.floats(0, 1),
    st.floats(0, 5),
    st.floats(0, 5),
)


@given(scores, policies)
def test_starts_and_ends_alternate_and_every_event_ends(
    signal: list[tuple[float, float]], chosen: Policy
) -> None:
    run, time = Run(chosen), 0.0
    for score, step in signal:
        time += step
        run.push(time, score, shake=(1 - score) * 0.9)
    run.end()
    for label in LABELS:
        log = [entry for entry in run.log if entry[1] == label]
        marks = [entry for entry in log if entry[0] != "update"]
        assert [entry[0] for entry in marks] == ["start", "end"] * (len(marks) // 2)
        for start, end in zip(marks[::2], marks[1::2], strict=True):
            assert start[2] == end[2]
            assert end[3] - end[2] >= chosen.min_duration_s
        for end, start in pairwise(marks[1:]):
            if end[0] == "end":
                assert start[2] - end[3] >= chosen.cooldown_s - 1e-6
        assert label != "still" or not log


def test_thresholds_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(ValueError, match="above on_threshold"):
        policy(off_threshold=0.7)


def test_scores_that_are_no_numbers_open_nothing() -> None:
    run = Run()
    run.push(0, float("nan"))
    run.push(1, float("nan"))
    run.end()
    assert run.log == []
