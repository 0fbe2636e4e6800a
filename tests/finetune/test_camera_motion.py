"""The virtual camera shows what its labels say, and shows the same again from the same seed."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcls.finetune.camera_motion import labels as c
from streamcls.finetune.camera_motion.camera import (
    RAMP_S,
    Motion,
    Stretch,
    content_motion,
    draw_motion,
    poses,
)
from streamcls.finetune.camera_motion.video import write_video

PHOTOS = Path(__file__).parent.parent / "data" / "photos"

seeds = st.integers(0, 2**32 - 1)


def travel(label: str, seed: int, seconds: float = 1.0) -> tuple[Motion, np.ndarray]:
    """A motion of the label and how the content moves under it in a time: x, y, growth, roll."""
    motion = draw_motion(label, np.random.default_rng(seed))
    ends = poses([Stretch(motion, 0.0, seconds)], np.array([0.0, seconds]))
    return motion, content_motion(ends[0], ends[1])


def steady_speed(motion: Motion) -> tuple[float, float, float]:
    return abs(motion.velocity[0]), abs(motion.velocity[1]), abs(motion.velocity[2])


def shift_between(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Pixels by which the content of a picture moved right and down."""
    greys = [cv2.cvtColor(p, cv2.COLOR_RGB2GRAY).astype(np.float64) for p in (first, second)]
    window = cv2.createHanningWindow((greys[0].shape[1], greys[0].shape[0]), cv2.CV_64F)
    (right, down), _ = cv2.phaseCorrelate(greys[0], greys[1], window)
    return right, down


def decoded(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@given(st.sampled_from(sorted(c.DIRECTIONS)), seeds)
def test_turns_are_fast_enough_and_along_one_axis(label: str, seed: int) -> None:
    motion, _ = travel(label, seed)
    right, down = c.DIRECTIONS[label]
    along = motion.velocity[0] * right + motion.velocity[1] * down
    across = abs(motion.velocity[0] * down) + abs(motion.velocity[1] * right)
    assert c.TURN_SPEED.low <= along <= c.TURN_SPEED.high
    assert across <= c.CROSS_RATIO_MAX * along
    assert abs(motion.velocity[2]) <= c.TURN_ZOOM_RATIO_MAX * along
    # Even where its speed swells, a turn stays as fast as the slowest of turns.
    assert along * (1 - motion.swell[0]) >= c.TURN_SPEED.low * 0.999


@given(st.sampled_from(sorted(c.GROWTH)), seeds)
def test_zooms_grow_or_shrink_and_hardly_drift(label: str, seed: int) -> None:
    motion, content = travel(label, seed)
    rate = motion.velocity[2] * c.GROWTH[label]
    assert c.ZOOM_RATE.low <= rate <= c.ZOOM_RATE.high
    assert np.hypot(motion.velocity[0], motion.velocity[1]) <= c.ZOOM_DRIFT_RATIO_MAX * rate
    assert content[2] * c.GROWTH[label] > 0


@given(st.sampled_from(["still", "covered"]), seeds)
def test_still_is_far_slower_than_the_slowest_motion(label: str, seed: int) -> None:
    motion, _ = travel(label, seed)
    right, down, growth = steady_speed(motion)
    assert np.hypot(right, down) <= c.STILL_SPEED_MAX < c.TURN_SPEED.low / 4
    assert growth <= c.STILL_ZOOM_MAX < c.ZOOM_RATE.low / 4
    sway = np.sqrt((motion.shake[:, 4:6] ** 2).sum() / 2)
    assert sway <= c.STILL_JITTER_MAX * 1.001 < c.SHAKE_AMPLITUDE.low / 4


@given(seeds)
def test_shaking_goes_nowhere_but_moves_much(seed: int) -> None:
    motion = draw_motion("shaking", np.random.default_rng(seed))
    path = poses([Stretch(motion, 0.0, 20.0)], np.arange(0, 20, 0.01))
    rms = np.sqrt((path[:, :2].std(axis=0) ** 2).sum())
    assert motion.velocity == (0.0, 0.0, 0.0, 0.0)
    assert c.SHAKE_AMPLITUDE.low * 0.9 <= rms <= c.SHAKE_AMPLITUDE.high * 1.1
    assert np.abs(path[:, :2].mean(axis=0)).max() < 0.1 * rms
    assert c.SHAKE_FREQUENCY.low <= motion.shake[:, 0].min()
    assert motion.shake[:, 0].max() <= c.SHAKE_FREQUENCY.high


@given(st.sampled_from([*c.DIRECTIONS, *c.GROWTH]), seeds)
def test_jitter_stays_small_beside_the_motion_it_accompanies(label: str, seed: int) -> None:
    motion, _ = travel(label, seed)
    sway = np.sqrt((motion.shake[:, 4:6] ** 2).sum() / 2)
    assert sway <= min(c.JITTER_MAX, c.TURN_JITTER_RATIO_MAX * max(steady_speed(motion))) * 1.001


@given(st.lists(st.sampled_from(c.LABELS), min_size=2, max_size=4), seeds)
@settings(max_examples=40)
def test_successive_motions_join_without_a_jump(names: list[str], seed: int) -> None:
    rng = np.random.default_rng(seed)
    stretches = [Stretch(draw_motion(n, rng), 1.0 * i, i + 1.0) for i, n in enumerate(names)]
    path = poses(stretches, np.arange(0, len(names), 0.002))
    assert np.array_equal(path[0, :2] * 0, [0, 0])
    # The fastest shake: 12 Hz at the largest amplitude, all components in phase.
    fastest = c.TURN_SPEED.high * 2 + 2 * np.pi * 12 * c.SHAKE_AMPLITUDE.high * 4
    ramp = 4 * c.SHAKE_AMPLITUDE.high / RAMP_S
    assert np.abs(np.diff(path[:, :2], axis=0)).max() / 0.002 <= fastest + ramp


@given(seeds)
def test_a_path_is_the_same_whichever_instants_are_asked_for(seed: int) -> None:
    motion = draw_motion("pan_left", np.random.default_rng(seed))
    stretch = [Stretch(motion, 0.0, 2.0)]
    whole = poses(stretch, np.linspace(0, 2, 21))
    part = poses(stretch, np.linspace(0, 2, 21)[7:9])
    assert part == pytest.approx(whole[7:9])


@pytest.mark.parametrize("label", sorted(c.DIRECTIONS))
def test_content_moves_against_the_camera(label: str, tmp_path: Path) -> None:
    path = tmp_path / "turn.mp4"
    segments = [(label, 1.0)]
    write_video(path, PHOTOS / "china.jpg", segments, fps=20, size=(256, 256), foreground=False)
    frames = decoded(path)
    right, down = shift_between(frames[6], frames[9])
    camera = c.DIRECTIONS[label]
    along = right * camera[0] + down * camera[1]
    assert along < -1
    assert abs(right * camera[1]) + abs(down * camera[0]) < 0.5 * abs(along)


@pytest.mark.parametrize(("label", "grows"), [("zoom_in", True), ("zoom_out", False)])
def test_content_grows_when_the_camera_zooms_in(label: str, grows: bool, tmp_path: Path) -> None:
    path = tmp_path / "zoom.mp4"
    segments = [(label, 1.5)]
    write_video(path, PHOTOS / "coffee.jpg", segments, fps=20, size=(256, 256), foreground=False)
    frames = decoded(path)
    left, _ = shift_between(frames[5][:, :128], frames[11][:, :128])
    right, _ = shift_between(frames[5][:, 128:], frames[11][:, 128:])
    assert (right - left > 1) if grows else (left - right > 1)


def test_a_video_shows_its_segments_when_it_says(tmp_path: Path) -> None:
    path = tmp_path / "cover.mkv"
    wanted = [("still", 1.0), ("covered", 1.0), ("still", 1.0)]
    truth = write_video(path, PHOTOS / "china.jpg", wanted, fps=10, size=(160, 120), seed=4)
    assert truth == [("still", 0.0, 1.0), ("covered", 1.0, 2.0), ("still", 2.0, 3.0)]
    frames = decoded(path)
    assert len(frames) == 30
    detail = [cv2.Laplacian(frame, cv2.CV_64F).std() for frame in frames]
    assert max(detail[16:20]) < 0.4 * min(*detail[:10], *detail[26:])


def test_a_video_is_the_same_again_from_the_same_seed(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        segments = [("pan_left", 0.5), ("shaking", 0.5)]
        path = tmp_path / f"{name}.mkv"
        photo, size = PHOTOS / "china.jpg", (160, 120)
        write_video(path, photo, segments, fps=10, size=size, seed=seed, codec="ffv1")
    a, b, other = (np.stack(decoded(tmp_path / f"{name}.mkv")) for name in "abc")
    assert np.array_equal(a, b)
    assert not np.array_equal(a, other)


@pytest.mark.parametrize("segments", [[], [("still", 0.0)], [("still", -1.0)]])
def test_empty_videos_are_refused(segments: list[tuple[str, float]], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="above 0 seconds"):
        write_video(tmp_path / "x.mp4", PHOTOS / "china.jpg", segments)
