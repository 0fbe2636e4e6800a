"""Finetune a network on a data folder and write the model file that the daemon serves."""

import dataclasses
import importlib.metadata
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader

from streamcls.errors import DataError, MissingExtra
from streamcls.finetune.augment import Augment
from streamcls.finetune.dataset import (
    Sample,
    TrainingClips,
    ValidationClips,
    VideoFolder,
    init_worker,
    scan_folder,
)
from streamcls.finetune.start import starting_point
from streamcls.models.backends import resolve_device
from streamcls.models.bundle import (
    DecisionDefaults,
    Manifest,
    check_target,
    write_bundle,
)
from streamcls.models.zoo import replace_head
from streamcls.transforms import ClipSpec

if TYPE_CHECKING:
    from streamcls.finetune.module import ClipClassifier

METRICS = ("val_accuracy", "val_video_accuracy", "val_loss")
"""Share of right clips, share of right videos by the mean of their clips, and cross entropy."""

_PACKAGES = ("streamcls", "torch", "pytorchvideo", "pytorch-lightning", "av")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to train.

    Attributes:
        freeze_backbone: train the new head alone: quick, and hard to overfit.
        flip: as `Augment`: None for no mirror images, else labels they turn into each other.
        max_val_clips: most clips taken of one validation video.
        workers: processes that read videos; 0 reads in this one.
    """

    epochs: int = 10
    batch_size: int = 8
    lr: float = 1e-3
    freeze_backbone: bool = False
    max_scale: float = 1.25
    flip: Mapping[str, str] | None = None
    max_val_clips: int = 10
    seed: int = 0
    workers: int = 2

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "lr", "max_val_clips"):
            if getattr(self, name) <= 0:
                raise DataError(f"{name} is {getattr(self, name)}; it must be above 0")


@dataclass(frozen=True, slots=True)
class Report:
    """What finetuning came to.

    Attributes:
        metrics: of the kept epoch, named by `METRICS`.
        skipped: files that could not be used, and why.
    """

    path: Path
    manifest: Manifest
    metrics: dict[str, float]
    skipped: tuple[str, ...]


def finetune(
    data_dir: Path,
    *,
    model: str,
    out: Path,
    pretrained: str | None = None,
    recipe: Recipe | None = None,
    background_label: str | None = None,
    device: str = "auto",
    progress: bool = True,
) -> Report:
    """Train on `train/<class>/`, keep the epoch best on `val/<class>/`, write a model file.

    Each video is of one class, so the file written is single-label (softmax). Of a multi-label file
    (sigmoid) to start from, the weights below the head are used all the same.

    Args:
        model: a zoo name (`x3d_xs`), with random weights unless `pretrained` is given; or a model
            file or bundled name, whose weights are kept and whose head is replaced.
        out: the model file to write; it ends in .safetensors.
        pretrained: a model file of the same architecture to take weights and clip spec from.
        background_label: the class that shall open no event.
        device: as `resolve_device`.
        progress: show a progress bar on standard output.

    Raises:
        MissingExtra: the extra `finetune` is not installed.
        DataError: the folder or the recipe cannot be used.
        ModelError: `model` or `pretrained` cannot be used.
        ConfigError: the device is not there, or `out` cannot be written.
    """
    try:
        from streamcls.finetune.module import ClipClassifier  # noqa: PLC0415 (needs the extra)
    except ImportError:
        raise MissingExtra("finetuning", "finetune") from None
    recipe = recipe or Recipe()
    # What would only fail after hours of training is refused before it.
    check_target(out)
    where = resolve_device(device)
    folder = scan_folder(data_dir)
    if background_label is not None and background_label not in folder.labels:
        raise DataError(
            f"background label {background_label!r} is no class of {data_dir}; its classes:"
            f" {', '.join(folder.labels)}"
        )
    start = starting_point(model, pretrained, recipe.seed)
    head = replace_head(start.network, len(folder.labels))
    classifier = ClipClassifier(
        start.network,
        head,
        start.clip_spec,
        lr=recipe.lr,
        freeze_backbone=recipe.freeze_backbone,
        val_videos=[video.label for video in folder.val],
    )
    training, validation = _loaders(folder, start.clip_spec, recipe)
    metrics = _fit(classifier, training, validation, recipe, where, progress=progress)
    manifest = write_bundle(
        out,
        network=classifier.network,
        name=out.stem,
        architecture=start.architecture,
        arguments=start.arguments | {"num_classes": len(folder.labels)},
        labels=folder.labels,
        clip_spec=start.clip_spec,
        decisions=DecisionDefaults(background_label=background_label),
        provenance={
            "created_utc": datetime.now(UTC).isoformat(timespec="seconds"),
            "data": {
                "folder": data_dir.resolve().name,
                "videos": folder.counts(),
                "skipped": len(folder.skipped),
            },
            "started_from": start.described,
            "recipe": dataclasses.asdict(recipe),
            "metrics": metrics,
            "versions": _versions(),
        },
    )
    return Report(out, manifest, metrics, folder.skipped)


def _loaders(
    folder: VideoFolder, spec: ClipSpec, recipe: Recipe
) -> tuple[DataLoader[Sample], DataLoader[Sample]]:
    augment = Augment(spec, folder.labels, max_scale=recipe.max_scale, flip=recipe.flip)
    common: dict[str, Any] = {
        "batch_size": recipe.batch_size,
        "num_workers": recipe.workers,
        "persistent_workers": recipe.workers > 0,
        "worker_init_fn": init_worker,
        "collate_fn": list,
    }
    training = TrainingClips(folder.train, spec, augment)
    validation = ValidationClips(folder.val, spec, max_clips=recipe.max_val_clips)
    return DataLoader(training, shuffle=True, **common), DataLoader(validation, **common)


def _fit(
    classifier: "ClipClassifier",
    training: DataLoader[Sample],
    validation: DataLoader[Sample],
    recipe: Recipe,
    device: torch.device,
    *,
    progress: bool,
) -> dict[str, float]:
    """Train, leave the best epoch's weights in the classifier, and measure them once more."""
    import pytorch_lightning as lightning  # noqa: PLC0415 (an extra)
    from pytorch_lightning.callbacks import ModelCheckpoint  # noqa: PLC0415

    with _quiet(), tempfile.TemporaryDirectory() as scratch:
        lightning.seed_everything(recipe.seed, workers=True, verbose=False)
        best = ModelCheckpoint(scratch, monitor="val_rank", mode="max", save_weights_only=True)
        trainer = lightning.Trainer(
            max_epochs=recipe.epochs,
            accelerator="gpu" if device.type == "cuda" else "cpu",
            devices=[device.index or 0] if device.type == "cuda" else 1,
            callbacks=[best],
            logger=False,
            enable_progress_bar=progress,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            default_root_dir=scratch,
        )
        try:
            trainer.fit(classifier, training, validation)
            state = torch.load(best.best_model_path, weights_only=True)["state_dict"]
            classifier.load_state_dict(state)
            measured = trainer.validate(classifier, validation, verbose=False)[0]
        except DataError as error:
            # A loader's worker wraps its own traceback round the message.
            last_line = str(error).strip().splitlines()[-1]
            raise DataError(last_line.partition("DataError: ")[2] or last_line) from None
    return {name: round(measured[name], 6) for name in METRICS}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning from advertising and from advising about worker counts."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    before = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"pytorch_lightning|lightning_fabric|torch")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for package in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found
