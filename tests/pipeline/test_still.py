"""A repeated picture is told from a quiet scene."""

from fractions import Fraction

import numpy as np
import pytest

from streamcls.frames import RgbImage
from streamcls.pipeline.still import StillPicture
from streamcls.pipeline.windows import WindowAssembler
from streamcls.transforms import WindowPlan
from tests.models.small import SPEC
from tests.pipeline.stubs import ManualClock, as_is, frame


def scene(seed: int = 0) -> RgbImage:
    return np.random.default_rng(seed).integers(0, 256, (36, 48, 3), np.uint8)


def moved(picture: RgbImage, by: int) -> RgbImage:
    """The picture with one pixel changed by so much."""
    other = picture.astype(np.int16)
    other[7, 9, 1] += by if other[7, 9, 1] + by in range(256) else -by
    return other.astype(np.uint8)


def test_the_same_picture_again_and_again_adds_up() -> None:
    still = StillPicture()
    assert [still.push(scene(), Fraction(i, 5)) for i in range(6)] == [0, 0.2, 0.4, 0.6, 0.8, 1.0]


@pytest.mark.parametrize(("by", "still_s"), [(4, 1.0), (5, 0.0), (200, 0.0)])
def test_what_a_keyframe_requantises_is_no_change_and_any_more_is(by: int, still_s: float) -> None:
    still = StillPicture()
    still.push(scene(), Fraction(0))
    assert still.push(moved(scene(), by), Fraction(1)) == still_s
    assert still.push(moved(scene(), by), Fraction(2)) == still_s + 1


def test_a_slow_drift_is_a_change_though_no_step_of_it_is() -> None:
    still, picture = StillPicture(), np.full((4, 4, 3), 100, np.uint8)
    seconds = [still.push(picture + np.uint8(i), Fraction(i)) for i in range(9)]
    assert max(seconds) == 4


def test_another_size_is_another_picture() -> None:
    still = StillPicture()
    still.push(scene(), Fraction(0))
    assert still.push(scene()[:, :40], Fraction(1)) == 0


@pytest.mark.parametrize(("watched", "expected_s"), [(True, 1.9), (False, 0.0)])
def test_windows_are_watched_only_where_asked(watched: bool, expected_s: float) -> None:
    assembler = WindowAssembler(
        "cam",
        WindowPlan.of(SPEC, 0.1),
        convert=as_is,
        min_coverage=0.5,
        live=True,
        clock=ManualClock(),
        watch_still=watched,
    )
    steps = [assembler.step(frame(Fraction(i, 10), value=9)) for i in range(20)]
    assert steps[-1].unchanged_s == pytest.approx(expected_s)
    # A break begins anew.
    assert assembler.step(frame(Fraction(900), value=9)).unchanged_s == 0
