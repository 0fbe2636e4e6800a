"""Clips lie within their stretch, at the trained rate, wherever a sampler puts them."""

import itertools
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from streamcls.errors import DataError
from streamcls.finetune.clips.samplers import (
    ConstantPerVideo,
    RandomMulti,
    Uniform,
    clip_sampler,
)
from streamcls.transforms import ClipSpec

SPEC = ClipSpec(num_frames=4, sampling_rate=3, trained_fps=30, short_side=36, crop=32)
LENGTHS = st.fractions(0, 30)


@given(LENGTHS, st.integers(1, 12))
def test_uniform_clips_lie_in_the_video_on_the_grid_and_reach_both_ends(
    length_s: Fraction, max_clips: int
) -> None:
    starts = Uniform(max_clips)(length_s, SPEC)
    interval_s = SPEC.frame_interval_s
    assert 1 <= len(starts) <= max_clips
    assert starts == sorted(set(starts))
    assert all((start_s / interval_s).denominator == 1 for start_s in starts)
    if length_s < SPEC.span_s:
        assert starts == [0]
        return
    assert starts[-1] + SPEC.span_s <= length_s
    if len(starts) > 1:
        assert starts[0] == 0
        assert length_s - (starts[-1] + SPEC.span_s) < interval_s
    if len(starts) < max_clips:
        gaps = [b - a for a, b in itertools.pairwise(starts)]
        assert all(gap <= SPEC.num_frames * interval_s for gap in gaps)


@given(LENGTHS, st.integers(1, 12))
def test_constant_clips_are_as_many_of_every_video(length_s: Fraction, clips: int) -> None:
    starts = ConstantPerVideo(clips)(length_s, SPEC)
    assert len(starts) == clips
    assert starts == sorted(starts)
    assert all(0 <= start_s <= max(Fraction(0), length_s - SPEC.span_s) for start_s in starts)


@given(LENGTHS, st.integers(1, 5), st.integers(0, 2**31))
def test_random_clips_fit_and_depend_on_their_chance_alone(
    length_s: Fraction, clips: int, seed: int
) -> None:
    def drawn() -> list[Fraction]:
        return RandomMulti(clips)(length_s, SPEC, torch.Generator().manual_seed(seed))

    assert len(drawn()) == clips
    assert all(0 <= start_s <= max(Fraction(0), length_s - SPEC.span_s) for start_s in drawn())
    assert drawn() == drawn()


def test_random_clips_come_from_everywhere() -> None:
    chance = torch.Generator().manual_seed(0)
    starts = [RandomMulti()(Fraction(10), SPEC, chance)[0] for _ in range(300)]
    assert min(starts) < Fraction(1, 4)
    assert max(starts) > Fraction(19, 2)


def test_samplers_are_known_by_name() -> None:
    assert clip_sampler("uniform", max_clips=3) == Uniform(3)
    assert clip_sampler("random", clips=7) == RandomMulti(1)
    assert clip_sampler("random_multi", clips=7) == RandomMulti(7)
    assert clip_sampler("constant_per_video", clips=7) == ConstantPerVideo(7)
    with pytest.raises(DataError, match="unknown clip sampler 'best'; use uniform, random"):
        clip_sampler("best")
