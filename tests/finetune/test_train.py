"""Finetuning learns what only the order of frames tells, and writes a file that serves it."""

import json
import shutil
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from streamcls.errors import ConfigError, DataError, MissingExtra, ModelError
from streamcls.finetune.clips.reader import read_clip
from streamcls.finetune.data import VideoData
from streamcls.finetune.data.checking import CheckedData, check
from streamcls.finetune.start import starting_point
from streamcls.finetune.training.measures import METRICS
from streamcls.finetune.training.recipe import Precision, Recipe, Strategy
from streamcls.finetuning import train
from streamcls.models.backends import TorchBackend
from streamcls.models.bundle import load_bundle
from tests.finetune.ramps import LABELS, write_ramp, write_ramps
from tests.models.small import SPEC, write_small

QUICK = Recipe(epochs=1, batch_size=8, workers=0)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Small layers gain nothing from threads, and on a busy machine wait long for them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def ramps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ramps(tmp_path_factory.mktemp("ramps"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("base") / "base.safetensors"
    write_small(path)
    return str(path)


def test_it_learns_frame_order_and_the_file_serves(
    ramps: Path, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    out = tmp_path / "models" / "ramps.safetensors"
    recipe = Recipe(epochs=12, batch_size=4, lr=0.01, workers=0)
    report = train(
        ramps, model=base, out=out, recipe=recipe, background_label="fall", progress=False
    )
    assert report.metrics["val_video_accuracy"] == 1
    assert tuple(report.metrics) == METRICS

    model = load_bundle(out)
    assert model.labels == LABELS
    assert model.clip_spec == SPEC
    assert model.manifest == report.manifest
    assert model.manifest.decisions.background_label == "fall"
    provenance = model.manifest.provenance
    assert provenance["metrics"] == report.metrics
    assert provenance["data"]["videos"]["train"] == {"fall": 12, "rise": 12}
    assert provenance["recipe"]["lr"] == 0.01
    assert "torch" in provenance["versions"]

    backend = TorchBackend(model)
    for rising in (False, True):
        new = write_ramp(tmp_path / f"{rising}.mp4", rising=rising, seed=999)
        scores = backend.scores([read_clip(new, Fraction(1, 5), SPEC)])
        assert scores[0].argmax() == rising
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["False.mp4", "True.mp4", "models"], "training left files behind"


def test_a_frozen_backbone_keeps_every_weight_but_the_heads(
    ramps: Path, base: str, tmp_path: Path
) -> None:
    out = tmp_path / "m.safetensors"
    recipe = Recipe(epochs=2, batch_size=8, lr=0.1, workers=0, strategy=Strategy.FREEZE)
    train(ramps, model=base, out=out, recipe=recipe, progress=False)
    before = load_bundle(base).network.state_dict()
    after = load_bundle(out).network.state_dict()
    changed = {
        key
        for key, value in after.items()
        if value.shape != before[key].shape or not torch.equal(value, before[key])
    }
    assert changed == {"blocks.5.proj.weight", "blocks.5.proj.bias"}


def test_loader_processes_give_what_this_process_gives(
    ramps: Path, base: str, tmp_path: Path
) -> None:
    metrics = []
    for workers in (0, 1):
        recipe = Recipe(epochs=1, batch_size=8, lr=1e-9, workers=workers, strategy=Strategy.FREEZE)
        report = train(
            ramps, model=base, out=tmp_path / "m.safetensors", recipe=recipe, progress=False
        )
        metrics.append(report.metrics)
    assert metrics[0] == pytest.approx(metrics[1], abs=1e-5)


def test_the_same_seed_gives_the_same_weights(ramps: Path, base: str, tmp_path: Path) -> None:
    goldens = [
        train(
            ramps, model=base, out=tmp_path / "m.safetensors", recipe=QUICK, progress=False
        ).manifest.golden
        for _ in range(2)
    ]
    assert goldens[0] == goldens[1]


def test_training_starts_in_training_mode_with_all_weights_free(base: str) -> None:
    network = starting_point(base, None, seed=0).network
    assert all(module.training for module in network.modules())
    assert all(weight.requires_grad for weight in network.parameters())


def test_a_zoo_name_starts_fresh_or_from_a_file_of_its_kind(base: str) -> None:
    fresh = starting_point("x3d_xs", None, seed=0)
    assert (fresh.architecture, fresh.arguments) == ("x3d_xs", {})
    given = starting_point("x3d_xs", base, seed=0)
    assert given.clip_spec == SPEC
    assert given.described["model"] == "small"


def test_a_start_that_does_not_go_together_is_refused(base: str) -> None:
    with pytest.raises(ModelError, match="holds weights of x3d_xs, not of slow_r50"):
        starting_point("slow_r50", base, seed=0)
    with pytest.raises(ModelError, match="already names weights"):
        starting_point(base, base, seed=0)
    with pytest.raises(ModelError, match=r"no model file 'x3d_q'.*; or a network: x3d_xs, "):
        starting_point("x3d_q", None, seed=0)


def test_what_would_fail_after_training_is_refused_before(
    ramps: Path, base: str, tmp_path: Path
) -> None:
    out = tmp_path / "m.safetensors"
    with pytest.raises(ConfigError, match="make the folder"):
        train(ramps, model=base, out=tmp_path / "no" / "m.safetensors", progress=False)
    with pytest.raises(ConfigError, match=r"ending in \.safetensors"):
        train(ramps, model=base, out=tmp_path / "m.pth", progress=False)
    with pytest.raises(DataError, match="'sky' is no class"):
        train(ramps, model=base, out=out, background_label="sky", progress=False)
    with pytest.raises(DataError, match="epochs is 0; it must be above 0"):
        Recipe(epochs=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("workers", [0, 1])
def test_files_that_break_in_mid_training_are_skipped_and_named(
    base: str, tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_ramps(tmp_path / "data", train=2, val=2)
    doomed = [tmp_path / "data" / split / "rise" / "00.mp4" for split in ("train", "val")]

    def lose_files(data: VideoData) -> CheckedData:
        checked = check(data)
        for path in doomed:
            path.unlink()
        return checked

    monkeypatch.setattr("streamcls.finetune.train.check", lose_files)
    report = train(
        tmp_path / "data",
        model=base,
        out=tmp_path / "m.safetensors",
        recipe=Recipe(epochs=1, workers=workers),
        progress=False,
    )
    assert [str(path) in why for path, why in zip(doomed, report.skipped, strict=True)] == [
        True,
        True,
    ]


def test_a_disk_that_is_gone_ends_it_with_one_line(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_ramps(tmp_path / "data", train=3, val=1)

    def lose_all(data: VideoData) -> CheckedData:
        checked = check(data)
        shutil.rmtree(tmp_path / "data" / "train")
        return checked

    monkeypatch.setattr("streamcls.finetune.train.check", lose_all)
    with pytest.raises(
        DataError, match=r"videos in a row cannot be read, the first: .*\.mp4"
    ) as caught:
        train(
            tmp_path / "data",
            model=base,
            out=tmp_path / "m.safetensors",
            recipe=Recipe(epochs=1, workers=1),
            progress=False,
        )
    assert "\n" not in str(caught.value)


def test_without_the_extra_it_says_what_to_install(
    ramps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "streamcls.finetune.training.module", raising=False)
    monkeypatch.setitem(sys.modules, "pytorch_lightning", None)
    with pytest.raises(MissingExtra, match=r"pip install 'streamcls\[finetune\]'"):
        train(ramps, model="x3d_xs", out=tmp_path / "m.safetensors")


def test_the_file_is_calibrated_and_tuned_for_events(
    ramps: Path, base: str, tmp_path: Path
) -> None:
    recipe = Recipe(epochs=10, batch_size=4, lr=0.01, workers=0)
    report = train(ramps, model=base, out=tmp_path / "m.safetensors", recipe=recipe, progress=False)
    manifest = load_bundle(tmp_path / "m.safetensors").manifest
    assert manifest == report.manifest
    assert manifest.provenance["temperature"] != 1
    assert set(manifest.decisions.labels) == set(LABELS)
    assert report.events is not None
    assert (report.events.after.f1 or 0) >= (report.events.before.f1 or 0)
    plain = train(
        ramps,
        model=base,
        out=tmp_path / "plain.safetensors",
        recipe=recipe,
        progress=False,
        calibrate=False,
        tune=False,
    )
    assert plain.manifest.decisions.labels == {}
    assert plain.events is None
    assert plain.manifest.golden != manifest.golden


def test_thresholds_are_chosen_on_labelled_recordings_where_there_are_some(
    ramps: Path, base: str, tmp_path: Path
) -> None:
    (tmp_path / "long").mkdir()
    for number in range(2):
        video = tmp_path / "long" / f"{number}.mp4"
        write_ramp(video, rising=bool(number), seed=3 + number, frames=120)
        segment = {"start_s": 0.0, "end_s": 4.0, "label": LABELS[number]}
        video.with_suffix(".json").write_text(json.dumps([segment]))
    report = train(
        ramps,
        model=base,
        out=tmp_path / "m.safetensors",
        recipe=QUICK,
        recordings=tmp_path / "long",
        run_dir=tmp_path / "run",
        progress=False,
    )
    assert report.events is not None
    assert report.events.streams == "2 recording(s)"
    assert report.events.before.segments == 2
    assert "2 recording(s)" in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.gpu
def test_a_gpu_trains_in_half_precision_and_its_file_serves_on_the_cpu(
    ramps: Path, base: str, tmp_path: Path
) -> None:
    recipe = Recipe(
        epochs=12, batch_size=4, lr=0.01, workers=0, precision=Precision.FP16, colour_jitter=0.1
    )
    report = train(
        ramps,
        model=base,
        out=tmp_path / "m.safetensors",
        recipe=recipe,
        device="cuda",
        progress=False,
    )
    assert report.metrics["val_video_accuracy"] == 1
    model = load_bundle(tmp_path / "m.safetensors", torch.device("cpu"))
    clip = read_clip(write_ramp(tmp_path / "n.mp4", rising=True, seed=9), Fraction(1, 5), SPEC)
    assert TorchBackend(model).scores([clip])[0].argmax() == 1
