"""The search for the knee, on boxes of which the answer is known."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcls.bench.knee import largest, percentile, slope


@given(st.lists(st.integers(0, 20), min_size=1), st.fractions(Fraction(1, 100), 1))
def test_a_percentile_is_the_smallest_value_that_the_share_does_not_exceed(
    values: list[int], share: Fraction
) -> None:
    found = percentile(values, float(share))
    enough = [value for value in values if sum(v <= value for v in values) >= share * len(values)]
    assert found == min(enough)


class Box:
    """A box with some cores, which a camera takes a part of; it remembers what it was asked."""

    def __init__(self, cores: int, of_a_camera: Fraction) -> None:
        self.asked: list[int] = []
        self._cores = cores
        self._of_a_camera = of_a_camera

    def holds(self, cameras: int) -> bool:
        self.asked.append(cameras)
        return cameras * self._of_a_camera <= self._cores


@given(
    cores=st.integers(1, 64),
    of_a_camera=st.fractions(Fraction(1, 20), 80, max_denominator=50),
    start=st.integers(1, 40),
    limit=st.integers(1, 2000),
)
def test_the_largest_number_that_a_box_has_cores_for_is_found(
    cores: int, of_a_camera: Fraction, start: int, limit: int
) -> None:
    box = Box(cores, of_a_camera)
    truth = min(int(cores / of_a_camera), limit)
    assert largest(box.holds, start=start, limit=limit) == truth
    assert len(set(box.asked)) == len(box.asked) <= 2 * math.ceil(math.log2(limit + 1)) + 1
    assert all(1 <= asked <= limit for asked in box.asked)


def test_numbers_are_doubled_and_then_halved_in() -> None:
    box = Box(11, Fraction(1))
    assert largest(box.holds, start=2, limit=1000) == 11
    assert box.asked == [2, 4, 8, 16, 12, 10, 11]


@given(st.lists(st.integers(1, 99), min_size=2, unique=True), st.integers(0, 9), st.integers(-9, 9))
def test_the_slope_of_a_line_is_found(numbers: list[int], each: int, before: int) -> None:
    assert slope(numbers, [before + each * n for n in numbers]) == pytest.approx(each)


def test_one_number_has_no_slope() -> None:
    assert slope([4], [330]) is None
    assert slope([], []) is None
    assert slope([1, 4, 8], [330, 420, 540]) == pytest.approx(30)
