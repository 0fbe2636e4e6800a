"""The benchmarks' own arithmetic: a wrong figure is worse than none."""

import math
from fractions import Fraction
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcls.transforms import ClipSpec, WindowPlan
from tests.benchmarks.capacity import agreement
from tests.benchmarks.films import Film
from tests.benchmarks.line import windows_in
from tests.benchmarks.report import Bar, interleaved, ratio, table

SPEC = ClipSpec(num_frames=13, sampling_rate=6, trained_fps=30, short_side=182, crop=182)


@given(st.integers(1, 900), st.sampled_from([0.2, 0.4, 1.0, 3.0]))
def test_a_film_has_as_many_windows_as_its_grid_closes(frames: int, stride_s: float) -> None:
    plan = WindowPlan.of(SPEC, stride_s)
    instants = int(Fraction(frames - 1, 30) / plan.step_s) + 1
    closed = sum(plan.closes(instant) is not None for instant in range(instants))
    assert windows_in(frames / 30, SPEC, stride_s) == closed


def test_a_table_leaves_open_what_a_row_has_not() -> None:
    lines = table([{"way": "ours", "rate": 12.345}, {"way": "theirs", "more": 1234.5}]).splitlines()
    assert [line.split() for line in lines] == [
        ["way", "rate", "more"],
        ["ours", "12.3"],
        ["theirs", "1234"],
    ]
    assert lines[2].index("1234") == lines[0].index("more")


def test_ways_take_turns_and_every_second_round_is_backwards() -> None:
    order: list[str] = []
    found = interleaved({name: partial(order.append, name) for name in "abc"}, 3)
    assert order == list("abccbaabc")
    assert {name: len(runs) for name, runs in found.items()} == {"a": 3, "b": 3, "c": 3}


def test_ratios_are_of_rounds_and_not_of_medians() -> None:
    # The machine was five times slower in the second round, for both.
    assert ratio([10, 2, 30], [5, 1, 5]) == 2


def test_a_bar_is_held_at_its_limit_on_either_side() -> None:
    assert Bar("more", 6, 6).held
    assert not Bar("more", 5.99, 6).held
    assert Bar("less", 5, 5, at_least=False).held
    assert not Bar("less", math.inf, 5, at_least=False).held
    assert not Bar("less", math.nan, 5, at_least=False).held


def test_agreement_is_the_share_of_equal_best_labels_and_refuses_other_windows() -> None:
    ours = {(0, 2.4): {0: 0.7, 1: 0.3}, (0, 3.4): {1: 0.6, 0: 0.4}}
    theirs = {(0, 2.4): {0: 0.6, 1: 0.3, 2: 0.1}, (0, 3.4): {0: 0.5, 1: 0.4, 2: 0.1}}
    assert agreement(ours, theirs) == pytest.approx((0.5, 0.2))
    with pytest.raises(RuntimeError, match="not the same"):
        agreement(ours, {(0, 2.4): theirs[0, 2.4]})


def test_a_film_knows_what_it_takes_on_the_wire(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(bytes(500_000))
    assert Film(path, "1080p", "camera", 2.0).mbit_per_s == 2
