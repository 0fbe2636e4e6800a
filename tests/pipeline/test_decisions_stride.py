"""Decisions and the stride: finer windows of the same signal never make more transitions."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from streamcls.pipeline.decisions import Policy
from tests.pipeline.deciding import PAN, Run, policies, policy


def transitions(
    chosen: Policy, windows: Iterable[tuple[float, float]], stride_s: float
) -> list[tuple[str, int]]:
    """Starts and ends of (time, score) windows, each with the coarse interval it was seen in."""
    run = Run(chosen)
    seen: list[tuple[str, int]] = []
    for time, score in windows:
        run.push(time, score)
        known = len(seen)
        seen += [(mark[0], int((time + 1e-9) / stride_s)) for mark in run.of(PAN)[known:]]
    return seen


def held(
    scores: Sequence[float], stride_s: float, fineness: int = 1
) -> Iterable[tuple[float, float]]:
    """Windows at every `fineness`-th part of the stride over a signal that changes with strides."""
    for index, score in enumerate(scores):
        for part in range(fineness):
            yield index * stride_s + part * (stride_s / fineness), score


# Scores are never equal to a threshold, where smoothing in floats, unlike on paper, may decide.
sixteenths = st.lists(st.integers(0, 16).map(lambda n: n / 16), max_size=40)
thresholds = st.tuples(st.integers(0, 15), st.integers(0, 15)).map(
    lambda pair: {"on_threshold": max(pair) / 16 + 1 / 32, "off_threshold": min(pair) / 16 + 1 / 32}
)
fineness = st.integers(2, 6)


# 60 / 64, all of whose parts are exact in binary, and two that are not.
strides = st.sampled_from([0.9375, 0.2, 1 / 3])


@given(sixteenths, thresholds, st.floats(0, 8), strides, fineness)
def test_finer_windows_of_a_smoothed_signal_make_the_same_transitions(
    scores: list[float], marks: dict[str, float], smoothing_s: float, stride_s: float, parts: int
) -> None:
    chosen = policy(**marks, smoothing_s=smoothing_s)
    coarse = transitions(chosen, held(scores, stride_s), stride_s)
    assert transitions(chosen, held(scores, stride_s, parts), stride_s) == coarse


@given(sixteenths, thresholds, st.floats(0, 8), st.integers(0, 4), strides, fineness)
def test_finer_windows_of_a_smoothed_signal_start_no_more_events_after_whole_cooldowns(
    scores: list[float],
    marks: dict[str, float],
    smoothing_s: float,
    rest: int,
    stride_s: float,
    parts: int,
) -> None:
    chosen = policy(**marks, smoothing_s=smoothing_s, cooldown_s=round(rest * stride_s, 6))
    coarse = transitions(chosen, held(scores, stride_s), stride_s)
    assert len(transitions(chosen, held(scores, stride_s, parts), stride_s)) <= len(coarse)


@given(sixteenths, thresholds, st.integers(0, 4), st.floats(0, 2), strides, fineness)
def test_finer_windows_make_the_same_transitions_with_a_minimum_of_whole_strides(
    scores: list[float],
    marks: dict[str, float],
    shortest: int,
    rest_s: float,
    stride_s: float,
    parts: int,
) -> None:
    chosen = policy(
        **marks,
        min_duration_s=round(shortest * stride_s, 6),  # as an operator writes it
        cooldown_s=rest_s,
    )
    coarse = transitions(chosen, held(scores, stride_s), stride_s)
    assert transitions(chosen, held(scores, stride_s, parts), stride_s) == coarse


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=60),
    policies.map(lambda chosen: replace(chosen, cooldown_s=chosen.cooldown_s + 0.1)),
    st.floats(0.02, 2),
    st.integers(1, 12),
)
def test_no_fineness_of_windows_exceeds_the_bound_that_the_durations_set(
    scores: list[float], chosen: Policy, stride_s: float, parts: int
) -> None:
    # Finer windows see what coarser ones do not: here another score at each.
    windows = [
        (index * stride_s / parts, scores[index % len(scores)])
        for index in range(parts * len(scores))
    ]
    run = Run(chosen)
    for time, score in windows:
        run.push(time, score)
    run.end()
    span_s = windows[-1][0]
    shortest_s = chosen.min_duration_s + chosen.cooldown_s - 1e-6  # both are of rounded times
    assert len(run.of(PAN)) <= 2 * (1 + span_s / shortest_s)
