"""Each setting of a recipe does what it says."""

import csv
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import ConstantLR
from torchmetrics.classification import MulticlassF1Score

from streamcls.errors import DataError, StreamclsError
from streamcls.finetune.data import VideoData
from streamcls.finetune.data.balance import (
    Balance,
    class_weights,
    positive_weights,
    visit_weights,
)
from streamcls.finetune.training.module import rise_and_fall
from streamcls.finetune.training.recipe import Custom, Precision, Recipe, Strategy
from streamcls.finetuning import Report, train
from streamcls.models.bundle import Activation, load_bundle
from tests.finetune.ramps import write_ramp, write_ramps
from tests.models.small import ARGUMENTS, small_network, write_small

QUICK = Recipe(epochs=1, batch_size=8, workers=0)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    write_ramps(folder / "data", train=4, val=2)
    write_small(folder / "base.safetensors")
    return folder


def run(home: Path, recipe: Recipe, **more: Any) -> Report:
    data = more.pop("data", home / "data")
    return train(
        data,
        model=str(home / "base.safetensors"),
        out=home / "out.safetensors",
        recipe=recipe,
        progress=False,
        **more,
    )


def changed(home: Path) -> set[str]:
    """The weights, not statistics, that are others than before, but for the head."""
    before = load_bundle(home / "base.safetensors").network
    after = dict(load_bundle(home / "out.safetensors").network.named_parameters())
    return {
        name
        for name, weight in before.named_parameters()
        if not name.startswith("blocks.5.proj") and not torch.equal(weight, after[name])
    }


def statistics_changed(home: Path) -> bool:
    before = load_bundle(home / "base.safetensors").network
    after = dict(load_bundle(home / "out.safetensors").network.named_buffers())
    return any(
        name.endswith("running_mean") and not torch.equal(value, after[name])
        for name, value in before.named_buffers()
    )


def test_frozen_layers_keep_weights_and_statistics(home: Path) -> None:
    run(home, replace(QUICK, strategy=Strategy.FREEZE, lr=0.1))
    assert changed(home) == set()
    assert not statistics_changed(home)


def test_frozen_layers_normalisation_learns_where_asked(home: Path) -> None:
    run(home, replace(QUICK, strategy=Strategy.FREEZE, lr=0.1, train_bn=True))
    assert changed(home)
    assert all("norm" in name for name in changed(home))
    assert statistics_changed(home)


def test_milestones_free_the_last_layers_first(home: Path) -> None:
    recipe = replace(QUICK, strategy=Strategy.UNFREEZE_MILESTONES, lr=0.1, unfreeze_layers=4)
    run(home, replace(recipe, milestones=(0, 9)))
    some = changed(home)
    assert some
    assert all(name.startswith("blocks.5") for name in some)
    run(home, replace(recipe, milestones=(0, 0)))
    assert some < changed(home)
    run(home, replace(recipe, milestones=(5, 9)))
    assert changed(home) == set()


def test_unfreezing_waits_for_its_epoch(home: Path) -> None:
    recipe = replace(QUICK, strategy=Strategy.FREEZE_UNFREEZE, lr=0.1)
    run(home, replace(recipe, unfreeze_epoch=1))
    assert changed(home) == set()
    run(home, replace(recipe, unfreeze_epoch=0))
    assert changed(home)


@given(st.integers(1, 500), st.floats(0, 0.99))
def test_the_learning_rate_rises_to_its_peak_and_falls(steps: int, rise: float) -> None:
    rates = [rise_and_fall(step, steps=steps, rise=rise) for step in range(steps)]
    peak = max(0, round(rise * steps) - 1)
    assert max(rates) == pytest.approx(1)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert min(rates) > 0


def test_precisions_accumulation_and_the_rest_run_to_the_end(home: Path) -> None:
    recipe = Recipe(
        epochs=2,
        batch_size=4,
        workers=0,
        precision=Precision.BF16,
        accumulate=2,
        clip_gradients=1.0,
        label_smoothing=0.1,
        mixup=0.2,
        cutmix=0.2,
        rand_augment=1,
        clips="random_multi",
        balance=Balance.WEIGHTS,
        flip={},
    )
    report = run(home, recipe)
    assert [row["epoch"] for row in report.history] == [0, 1]
    assert all(row["train_loss"] > 0 for row in report.history)


def test_fp16_needs_a_gpu(home: Path) -> None:
    with pytest.raises(DataError, match="fp16 needs a CUDA device; use bf16 or 32"):
        run(home, replace(QUICK, precision=Precision.FP16), device="cpu")


def test_averaged_weights_are_what_is_judged_and_kept(home: Path) -> None:
    def head_after(recipe: Recipe) -> Tensor:
        run(home, recipe)
        network = load_bundle(home / "out.safetensors").network
        return network.get_submodule("blocks.5.proj").get_parameter("weight")

    # The same learning rate in all steps, so that one run's first step is the other's.
    recipe = replace(QUICK, lr=0.1, batch_size=1, strategy=Strategy.FREEZE, warm_up=0.99)
    last, averaged = head_after(recipe), head_after(replace(recipe, ema=0.999))
    first = head_after(replace(recipe, fast_dev_run=True, warm_up=0.0, lr=0.1 / 8))
    assert (averaged - first).abs().max() < 0.05 * (last - first).abs().max()


def test_patience_ends_a_run_that_does_not_gain(home: Path) -> None:
    report = run(home, replace(QUICK, epochs=30, lr=1e-9, patience=2, strategy=Strategy.FREEZE))
    assert len(report.history) < 10


def test_a_fast_run_is_one_batch(home: Path) -> None:
    assert len(run(home, replace(QUICK, epochs=50, fast_dev_run=True)).history) == 1


def test_the_learning_rate_can_be_found(home: Path) -> None:
    recipe = replace(QUICK, batch_size=1, strategy=Strategy.FREEZE, warm_up=0.99)
    found, given = (run(home, replace(recipe, find_lr=on)).history[0]["lr"] for on in (True, False))
    assert given == pytest.approx(recipe.lr)
    assert 0 < found < 1
    assert found != pytest.approx(given)


def test_parts_of_ones_own_take_the_place_of_ours(home: Path) -> None:
    used: set[str] = set()

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        used.add("loss")
        return nn.functional.mse_loss(logits, targets)

    def optimizer(weights: Any, lr: float) -> SGD:
        used.add("optimizer")
        return SGD(weights, lr)

    def schedule(given: Any, steps: int) -> ConstantLR:
        assert steps == 1
        used.add("schedule")
        return ConstantLR(given, 0.5)

    def head(old: nn.Linear, classes: int) -> nn.Linear:
        used.add("head")
        return nn.Linear(old.in_features, classes)

    custom = Custom(
        head=head,
        loss=loss,
        optimizer=optimizer,
        schedule=schedule,
        metrics={"val_f1": MulticlassF1Score(2, average="macro")},
        on_device=lambda clips: clips.flip(2),
    )
    report = run(home, QUICK, custom=custom)
    assert used == {"loss", "optimizer", "schedule", "head"}
    assert 0 <= report.metrics["val_f1"] <= 1


def test_a_head_that_no_model_file_could_hold_is_refused_before_training(home: Path) -> None:
    def deep(old: nn.Linear, classes: int) -> nn.Module:
        return nn.Sequential(nn.Linear(old.in_features, 8), nn.ReLU(), nn.Linear(8, classes))

    with pytest.raises(DataError, match=r"cannot hold this head.*register a network of your own"):
        run(home, QUICK, custom=Custom(head=deep))


def test_labels_that_hold_together_make_a_sigmoid_file(home: Path) -> None:
    folder = home / "data"
    files = sorted(folder.glob("train/*/*.mp4"))
    labels = [["moves", path.parent.name] if i % 3 else [] for i, path in enumerate(files)]
    data = VideoData.from_lists(files, labels, files, labels, multi_label=True)
    report = run(home, replace(QUICK, balance=Balance.WEIGHTS, label_smoothing=0.1), data=data)
    assert report.manifest.activation is Activation.SIGMOID
    assert report.manifest.labels == ("fall", "moves", "rise")
    assert set(report.metrics) == {"val_accuracy", "val_video_accuracy", "val_loss", "val_map"}
    assert "in training and in validation at once" in report.warnings[0]


def test_logs_are_a_csv_file_and_tensorboards_own(home: Path, tmp_path: Path) -> None:
    run(home, replace(QUICK, epochs=2), run_dir=tmp_path, tensorboard=True)
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows if row["val_loss"]] == ["0", "1"]
    assert list(tmp_path.rglob("events.out.tfevents.*"))
    assert not (tmp_path / "last.ckpt").exists()


def test_an_unfinished_run_is_neither_lost_nor_mixed_with_another(
    home: Path, tmp_path: Path
) -> None:
    seen: list[int] = []

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        seen.append(len(logits))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return nn.functional.cross_entropy(logits, targets)

    recipe = replace(QUICK, epochs=3)
    # Lightning makes SystemExit of an interruption; either way nothing is written.
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        run(home, recipe, run_dir=tmp_path, custom=Custom(loss=loss))
    with pytest.raises(DataError, match=r"not finished; resume it, or remove last\.ckpt"):
        run(home, recipe, run_dir=tmp_path)
    with pytest.raises(DataError, match=r"a run with other lr, mixup; go on as it was begun"):
        run(home, replace(recipe, mixup=0.1, lr=0.5), run_dir=tmp_path, resume=True)
    (tmp_path / "last.ckpt").rename(tmp_path / "whole")
    (tmp_path / "last.ckpt").write_bytes((tmp_path / "whole").read_bytes()[:1000])
    with pytest.raises(DataError, match=r"last\.ckpt cannot be read.*; remove it"):
        run(home, recipe, run_dir=tmp_path, resume=True)
    (tmp_path / "whole").rename(tmp_path / "last.ckpt")
    report = run(home, recipe, run_dir=tmp_path, resume=True)
    assert [row["epoch"] for row in report.history] == [0, 1, 2]


def test_rare_classes_weigh_more() -> None:
    targets = [(0,)] * 9 + [(1,)]
    weights = class_weights(targets, 3)
    assert weights.tolist() == pytest.approx([10 / 18, 5.0, 1.0])
    mean = sum(float(weights[video[0]]) for video in targets) / len(targets)
    assert mean == pytest.approx(1)
    assert visit_weights(targets, 3)[-1] / visit_weights(targets, 3)[0] == pytest.approx(9)
    assert positive_weights(targets, 3).tolist() == pytest.approx([1 / 9, 9, 1])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"epochs": 0}, "epochs is 0; it must be above 0"),
        ({"ema": 1.0}, "ema is 1.0; use 0 or more, below 1"),
        ({"mixup": -1.0}, "mixup is -1.0; it must be 0 or more"),
        ({"milestones": (5, 2)}, "the first comes before the second"),
        ({"clips": "best"}, "clips is 'best'; use random or random_multi"),
    ],
)
def test_a_recipe_that_means_nothing_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        Recipe(**settings)


def test_clips_of_another_duration_are_served_at_that_duration(home: Path) -> None:
    run(home, replace(QUICK, clip_duration_s=0.8))
    spec = load_bundle(home / "out.safetensors").clip_spec
    assert (spec.num_frames, spec.frame_interval_s) == (4, Fraction(1, 5))


def test_sound_is_refused_with_the_reason() -> None:
    with pytest.raises(DataError, match="the daemon decodes no sound, so what was learnt"):
        Recipe(decode_audio=True)


def test_a_cache_changes_nothing_but_the_time(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    plain = run(home, QUICK).manifest
    for _ in range(2):
        assert run(home, replace(QUICK, cache_gb=0.1)).manifest.weights_hash == plain.weights_hash
    assert len(list((tmp_path / "streamcls" / "frames").glob("*.frames"))) == 12


def test_test_videos_are_measured_once_on_the_kept_weights(home: Path) -> None:
    data = VideoData.from_folders(train=home / "data" / "train", val=home / "data" / "val")
    # The same videos, so the same figures, whatever they are.
    both = VideoData.of(data.train, data.val, data.val)
    report = run(home, replace(QUICK, epochs=2, ema=0.5), data=both)
    for name in ("accuracy", "video_accuracy", "loss"):
        assert report.metrics[f"test_{name}"] == pytest.approx(
            report.metrics[f"val_{name}"], abs=1e-5
        )
    assert "test_rank" not in report.metrics


def test_a_head_may_be_kept_for_more_data_of_the_same_labels(home: Path, tmp_path: Path) -> None:
    turned = tmp_path / "turned.safetensors"
    network = small_network(num_classes=2)
    arguments = ARGUMENTS | {"num_classes": 2}
    write_small(turned, network, labels=("rise", "fall"), arguments=arguments)
    report = train(
        home / "data",
        model=str(turned),
        out=tmp_path / "kept.safetensors",
        recipe=replace(QUICK, keep_head=True, lr=1e-9, strategy=Strategy.FREEZE),
        progress=False,
        calibrate=False,
    )
    assert report.manifest.labels == ("rise", "fall")
    before, after = (load_bundle(path).manifest for path in (turned, report.path))
    assert after.golden == pytest.approx(before.golden, abs=1e-6)
    with pytest.raises(DataError, match=r"keep_head goes on with .* the data has others"):
        run(home, replace(QUICK, keep_head=True))


def test_what_fails_after_training_can_be_done_again_without_training(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: Any, **__: Any) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr("streamcls.finetuning._tuned", full_disk)
        with pytest.raises(OSError, match="no space left"):
            run(home, replace(QUICK, epochs=2), run_dir=tmp_path)
    assert (tmp_path / "last.ckpt").exists()
    whole = run(home, replace(QUICK, epochs=2)).manifest
    with monkeypatch.context() as patched:
        step = "streamcls.finetune.training.module.ClipClassifier.training_step"
        patched.setattr(step, full_disk)
        report = run(home, replace(QUICK, epochs=2), run_dir=tmp_path, resume=True)
    assert report.manifest.weights_hash == whole.weights_hash
    assert len(report.history) == 2
    assert not (tmp_path / "last.ckpt").exists()


def test_recordings_without_tracks_are_refused_before_training(home: Path, tmp_path: Path) -> None:
    write_ramp(tmp_path / "long.mp4", rising=True, seed=1)
    with pytest.raises(StreamclsError, match=r"long\.mp4"):
        run(home, QUICK, recordings=tmp_path)
