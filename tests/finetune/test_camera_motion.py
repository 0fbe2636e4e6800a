"""The virtual camera shows what its labels say, repeatably, and the network judges clips alone."""

import json
import math
from pathlib import Path
from unittest.mock import patch

import av
import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from typer.testing import CliRunner

from streamcls.errors import DataError
from streamcls.finetune.camera_motion import labels as c
from streamcls.finetune.camera_motion import photos
from streamcls.finetune.camera_motion.__main__ import app
from streamcls.finetune.camera_motion.camera import (
    RAMP_S,
    Motion,
    Stretch,
    content_motion,
    draw_motion,
    poses,
)
from streamcls.finetune.camera_motion.dataset import (
    CLIP_SPEC,
    NET_OPTIONS,
    ClipStream,
    draw_clip,
)
from streamcls.finetune.camera_motion.evaluate import (
    Report,
    evaluate,
    grid_pictures,
    scores,
    windows,
)
from streamcls.finetune.camera_motion.photos import Assets, Pyramid, read_rgb
from streamcls.finetune.camera_motion.video import write_video
from streamcls.models.bundle import bundled_models, load_bundle
from streamcls.models.motion import MotionNet, frame_pairs

PHOTOS = Path(__file__).parent.parent / "data" / "photos"
SPAN_S = float(CLIP_SPEC.span_s)

seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def assets() -> Assets:
    pyramids = tuple(Pyramid.of(read_rgb(PHOTOS / f"{name}.jpg")) for name in ("china", "coffee"))
    ball = np.zeros((40, 40, 4), np.uint8)
    cv2.circle(ball, (20, 20), 18, (200, 40, 40, 255), -1)
    return Assets(pyramids, (ball,))


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
        path = tmp_path / f"{name}.mp4"
        write_video(path, PHOTOS / "china.jpg", segments, fps=10, size=(160, 120), seed=seed)
    a, b, other = (np.stack(decoded(tmp_path / f"{name}.mp4")) for name in "abc")
    assert np.array_equal(a, b)
    assert not np.array_equal(a, other)


@pytest.mark.parametrize("segments", [[], [("still", 0.0)], [("still", -1.0)]])
def test_empty_videos_are_refused(segments: list[tuple[str, float]], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="above 0 seconds"):
        write_video(tmp_path / "x.mp4", PHOTOS / "china.jpg", segments)


def test_clips_are_the_same_again_from_the_same_seed(assets: Assets) -> None:
    for seed in range(20):
        first, again = (draw_clip(assets, np.random.default_rng(seed)) for _ in range(2))
        assert np.array_equal(first.frames, again.frames)
        assert np.array_equal(first.target, again.target)
        assert np.array_equal(first.track, again.track)


def test_clips_have_the_shapes_the_network_is_trained_on(assets: Assets) -> None:
    frames, side = CLIP_SPEC.num_frames, CLIP_SPEC.crop
    for seed in range(60):
        clip = draw_clip(assets, np.random.default_rng(seed))
        assert clip.frames.shape == (frames, side, side, 3)
        assert clip.frames.dtype == np.uint8
        assert clip.track.shape == (frames, 4)
        assert clip.target.sum() == pytest.approx(1)
        assert clip.target.min() >= 0


def test_batches_do_not_depend_on_the_number_of_workers(assets: Assets) -> None:
    alone = list(ClipStream(assets, batches=3, batch_size=2, seed=9))
    loader = torch.utils.data.DataLoader(
        ClipStream(assets, batches=3, batch_size=2, seed=9),
        batch_size=None,
        num_workers=2,
        multiprocessing_context="fork",
    )
    for ours, theirs in zip(alone, loader, strict=True):
        assert torch.equal(ours.frames, theirs.frames)
        assert torch.equal(ours.target, theirs.target)


def test_the_network_judges_a_clip_alone_as_in_a_batch() -> None:
    torch.manual_seed(0)
    network = MotionNet(**NET_OPTIONS).eval()
    clips = torch.randn(5, 3, CLIP_SPEC.num_frames, CLIP_SPEC.crop, CLIP_SPEC.crop)
    with torch.inference_mode():
        together = network(clips)
        apart = torch.cat([network(clip[None]) for clip in clips])
        logits, motion = network.forward_with_motion(clips)
    assert together.shape == (5, len(c.LABELS))
    assert motion.shape == (5, len(frame_pairs(CLIP_SPEC.num_frames)), 4)
    assert torch.allclose(together, apart, atol=1e-4)
    assert torch.equal(together, logits)


def test_the_network_refuses_a_side_it_cannot_divide() -> None:
    with pytest.raises(ValueError, match="multiple of 16"):
        MotionNet(side=60)


def test_training_takes_steps_and_leaves_averaged_weights(assets: Assets, tmp_path: Path) -> None:
    pytest.importorskip("pytorch_lightning")
    from streamcls.finetune.camera_motion.train import BATCH_SIZE, train

    weights = tmp_path / "weights"
    network = train(
        assets, clips=2 * BATCH_SIZE, seed=3, weights=weights, workers=0, bf16=False, keep_every=1
    )
    stored = load_file(weights)
    assert all(torch.equal(stored[name], value) for name, value in network.state_dict().items())
    torch.manual_seed(3)
    fresh = MotionNet(**NET_OPTIONS).state_dict()
    assert not torch.equal(stored["head.3.weight"], fresh["head.3.weight"])


def test_the_command_line_evaluates_a_model(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = ["evaluate", "--model", "camera-motion", "--held-out", str(PHOTOS)]
    command += ["--clips-per-label", "1", "--report", str(report)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    counts = json.loads(report.read_text())
    assert counts["labels"] == list(c.LABELS)
    assert np.sum(counts["confusion"]) == len(c.LABELS)


def test_the_sample_comes_with_its_truth(tmp_path: Path) -> None:
    out = tmp_path / "sample.mp4"
    with patch("streamcls.finetune.camera_motion.sample.SEGMENTS", (("still", 0.2),)):
        result = CliRunner().invoke(
            app, ["sample", "--photo", str(PHOTOS / "china.jpg"), "--out", str(out)]
        )
    assert result.exit_code == 0, result.output
    truth = json.loads(out.with_suffix(".json").read_text())
    assert truth == [{"label": "still", "start_s": 0.0, "end_s": 0.2}]


def test_missing_pictures_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere.jpg"):
        read_rgb(tmp_path / "nowhere.jpg")


def test_without_apt_the_way_to_the_photographs_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(DataError, match="apt-get download .*mate-backgrounds"):
        photos.fetch(tmp_path / "cache")


def test_a_report_counts_per_label() -> None:
    report = Report(("a", "b"), np.array([[9, 1], [4, 6]]))
    assert report.accuracy == pytest.approx(0.75)
    assert report.per_label == {"a": pytest.approx(0.9), "b": pytest.approx(0.6)}
    assert "0.750" in report.table()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_bundled_model_knows_held_out_photographs() -> None:
    model = load_bundle("camera-motion")
    report = evaluate(model.network, PHOTOS, clips_per_label=20, seed=5, spec=model.clip_spec)
    assert report.accuracy >= 0.95, report.table()


def test_the_bundled_model_follows_a_video(tmp_path: Path) -> None:
    assert "camera-motion" in bundled_models()
    model = load_bundle("camera-motion")
    path = tmp_path / "walk.mp4"
    segments = [("still", 2.0), ("pan_left", 2.0), ("still", 2.0)]
    truth = write_video(path, PHOTOS / "china.jpg", segments, fps=15, size=(320, 240), seed=2)
    spec = model.clip_spec
    said = scores(model.network, windows(grid_pictures(path, spec), spec), spec).argmax(axis=1)
    for label, start_s, end_s in truth:
        # Windows that straddle a change may say either.
        first = math.ceil((start_s + 0.2) / float(spec.frame_interval_s))
        last = math.floor((end_s - SPAN_S) / float(spec.frame_interval_s))
        assert {c.LABELS[index] for index in said[first : last + 1]} == {label}
