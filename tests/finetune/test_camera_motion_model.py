"""Training clips are repeatable, the network judges each alone, and the bundled model is good."""

import json
import math
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from streamcls.errors import DataError
from streamcls.finetune.camera_motion import films, photos
from streamcls.finetune.camera_motion import labels as c
from streamcls.finetune.camera_motion.__main__ import app
from streamcls.finetune.camera_motion.dataset import CLIP_SPEC, NET_OPTIONS, ClipStream, draw_clip
from streamcls.finetune.camera_motion.evaluate import (
    Report,
    evaluate,
    grid_pictures,
    scores,
    windows,
)
from streamcls.finetune.camera_motion.photos import Assets, Pyramid, read_rgb
from streamcls.finetune.camera_motion.video import write_video
from streamcls.finetune.data import VideoData
from streamcls.models.bundle import bundled_models, load_bundle
from streamcls.models.motion import MotionNet, frame_pairs
from streamcls.offline.predict import VideoPrediction, predict

PHOTOS = Path(__file__).parent.parent / "data" / "photos"
SPAN_S = float(CLIP_SPEC.span_s)


@pytest.fixture(scope="module")
def assets() -> Assets:
    pyramids = tuple(Pyramid.of(read_rgb(PHOTOS / f"{name}.jpg")) for name in ("china", "coffee"))
    ball = np.zeros((40, 40, 4), np.uint8)
    cv2.circle(ball, (20, 20), 18, (200, 40, 40, 255), -1)
    return Assets(pyramids, (ball,))


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
    with pytest.raises(DataError, match=r"nowhere\.jpg"):
        read_rgb(tmp_path / "nowhere.jpg")


def test_without_apt_the_way_to_the_photographs_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(DataError, match=r"apt-get download .*mate-backgrounds"):
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


def test_films_lie_in_folders_that_finetune_takes_and_show_what_they_are_called(
    assets: Assets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(films, "_SIZES", ((320, 240),))
    films.write_films(assets, tmp_path, per_label=1, seed=4)
    data = VideoData.from_folders(tmp_path)
    assert set(data.labels) == set(c.LABELS)
    results = predict([record.path for record in data.train], output="labels")
    right = [
        one.label == one.path.parent.name for one in results if isinstance(one, VideoPrediction)
    ]
    assert sum(right) >= 8
