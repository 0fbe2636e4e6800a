"""Train a network on labelled videos; what it learnt is still to be written to a model file."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from streamcls.errors import DataError, MissingExtra
from streamcls.finetune.augment.batch import BatchAugment
from streamcls.finetune.augment.sample import SampleAugment
from streamcls.finetune.clips.cache import FrameCache
from streamcls.finetune.clips.orders import InTurn, Shuffled
from streamcls.finetune.clips.samplers import Uniform, clip_sampler
from streamcls.finetune.data import VideoData
from streamcls.finetune.data.balance import (
    Balance,
    class_weights,
    positive_weights,
    visit_weights,
)
from streamcls.finetune.data.checking import CheckedData, check
from streamcls.finetune.loading import (
    Sample,
    TrainingClips,
    ValidationClips,
    Visits,
    flatten,
    init_worker,
    one_hot,
)
from streamcls.finetune.start import StartingPoint, starting_point
from streamcls.finetune.trained import ScoredClip, Trained
from streamcls.finetune.training.recipe import Custom, Recipe
from streamcls.models.heads import find_head
from streamcls.models.scoring import logits_of
from streamcls.models.zoo import build_network, replace_head
from streamcls.transforms import ClipSpec

_MAY_DIFFER = {"workers", "cache_gb"}  # between the parts of a resumed run


def train(
    data: VideoData,
    *,
    model: str,
    pretrained: str | None,
    recipe: Recipe,
    custom: Custom,
    device: torch.device,
    run_dir: Path,
    resume: bool = False,
    tensorboard: bool = False,
    progress: bool = True,
) -> Trained:
    """Train, and keep the epoch best on the validation videos.

    Args:
        model, pretrained: as `starting_point`.
        run_dir: keeps the checkpoint and the logs.
        resume: go on from the checkpoint in `run_dir`, if there is one.
        tensorboard: write its event files too.
        progress: show a progress bar on standard output.

    Raises:
        MissingExtra: the extra `finetune` is not installed.
        DataError: the data or the recipe cannot be used, or the run's folder holds the checkpoint
            of another run, or of one that was not asked to go on.
        ModelError: `model` or `pretrained` cannot be used.
    """
    try:
        from streamcls.finetune.training import fit as training  # noqa: PLC0415 (needs the extra)
        from streamcls.finetune.training.judge import Judge  # noqa: PLC0415
        from streamcls.finetune.training.module import ClipClassifier  # noqa: PLC0415
    except ImportError:
        raise MissingExtra("Finetuning", "finetune") from None
    start = starting_point(model, pretrained, recipe.seed)
    start = replace(start, clip_spec=recipe.clip_spec(start.clip_spec))
    if recipe.keep_head:
        data = _in_order_of(start, data)
    checked = check(data)
    classes = len(data.labels)
    head = find_head(start.network) if recipe.keep_head else _new_head(start, classes, custom)
    training_loader, validation_loader = _loaders(checked, start.clip_spec, recipe, custom)
    clips = _scored_clips(checked, validation_loader)
    targets = torch.stack([one_hot(clip.video, classes) for clip in clips])
    judge = Judge(
        targets,
        [clip.index for clip in clips],
        multi_label=data.multi_label,
        metrics=custom.metrics,
        fingerprint=_fingerprint(checked, recipe),
    )
    classifier = ClipClassifier(
        start.network,
        start.clip_spec,
        recipe,
        custom,
        val_clips=len(clips),
        classes=classes,
        multi_label=data.multi_label,
        weights=_class_weights(checked, recipe),
        change=_batch_augment(recipe, custom),
    )
    run = training.Run(run_dir, resume, tensorboard, progress)
    training.fit(classifier, judge, head, training_loader, validation_loader, recipe, device, run)
    network = start.network.cpu()
    network.load_state_dict(judge.weights)
    metrics = judge.best_metrics() | _tested(network.eval(), checked, start, recipe, custom, device)
    return Trained(
        network.cpu(),
        head,
        start,
        checked,
        recipe,
        clips,
        judge.logits,
        targets,
        metrics,
        tuple(judge.history),
        (*checked.skipped, *sorted(classifier.broken)),
        run.checkpoint,
    )


@torch.inference_mode()
def _tested(
    network: nn.Module,
    checked: CheckedData,
    start: StartingPoint,
    recipe: Recipe,
    custom: Custom,
    device: torch.device,
) -> dict[str, float]:
    """The metrics of the test videos, if there are any: of the kept weights, once."""
    from streamcls.finetune.training.measures import RANK, measure  # noqa: PLC0415 (the extra)

    if not checked.test:
        return {}
    classes = len(checked.labels)
    clips = ValidationClips(
        checked.test, start.clip_spec, classes=classes, sampler=Uniform(recipe.max_val_clips)
    )
    loader = DataLoader(clips, **_loading(recipe))
    logits, network = torch.full((len(clips), classes), torch.nan), network.to(device)
    for batch in loader:
        whole = [sample for sample in batch if not sample.is_void]
        if whole:
            pixels = [sample.clip.numpy() for sample in whole]
            scored = logits_of(network, pixels, start.clip_spec, device).float().cpu()
            logits[[sample.number for sample in whole]] = scored
    measured = measure(
        logits,
        torch.stack([one_hot(checked.test[index], classes) for index, _ in clips.clips]),
        torch.tensor([index for index, _ in clips.clips]),
        multi_label=checked.data.multi_label,
        metrics=custom.metrics,
    )
    named = {f"test_{name.removeprefix('val_')}": value for name, value in measured.items()}
    del named[f"test_{RANK.removeprefix('val_')}"]
    return {name: round(value, 6) for name, value in named.items()}


def _loading(recipe: Recipe) -> dict[str, Any]:
    """What all loaders have in common."""
    return {
        "batch_size": recipe.batch_size,
        "num_workers": recipe.workers,
        "persistent_workers": recipe.workers > 0,
        "worker_init_fn": init_worker,
        "collate_fn": flatten,
    }


def _in_order_of(start: StartingPoint, data: VideoData) -> VideoData:
    """The data with its labels in the order of the network's outputs."""
    labels = start.labels or ()
    if set(labels) != set(data.labels):
        known = ", ".join(labels) or "none, since the weights are random"
        raise DataError(
            f"keep_head goes on with the labels of the weights to start from ({known}), and the"
            f" data has others: {', '.join(data.labels)}"
        )
    return replace(data, labels=labels)


def _new_head(start: StartingPoint, classes: int, custom: Custom) -> nn.Module:
    """Put a fresh last layer in the place of the network's."""
    head = replace_head(start.network, classes)
    if custom.head is None:
        return head
    network = start.network
    name = next(name for name, module in network.named_modules() if module is head)
    own = custom.head(head, classes)
    parent, _, leaf = name.rpartition(".")
    setattr(network.get_submodule(parent), leaf, own)
    twin = build_network(start.architecture, **start.arguments | {"num_classes": classes})
    shapes = {key: value.shape for key, value in twin.state_dict().items()}
    if shapes != {key: value.shape for key, value in network.state_dict().items()}:
        raise DataError(
            f"a model file of {start.architecture} cannot hold this head: its builder makes"
            " another; register a network of your own that has it"
        )
    return own


def _loaders(
    checked: CheckedData, spec: ClipSpec, recipe: Recipe, custom: Custom
) -> tuple[DataLoader[list[Sample]], DataLoader[list[Sample]]]:
    from streamcls.finetune.training.fit import world  # noqa: PLC0415 (needs the extra)

    rank, of = world(recipe)
    cache = FrameCache(_cache_folder(), round(recipe.cache_gb * 1e9)) if recipe.cache_gb else None
    labels = checked.labels
    augment = SampleAugment(
        spec,
        labels,
        max_scale=recipe.max_scale,
        flip=recipe.flip,
        after_decoding=custom.after_decoding,
    )
    training = TrainingClips(
        checked.train,
        spec,
        classes=len(labels),
        sampler=clip_sampler(recipe.clips, clips=recipe.clips_per_video),
        augment=augment,
        seed=recipe.seed,
        cache=cache,
    )
    validation = ValidationClips(
        checked.val,
        spec,
        classes=len(labels),
        sampler=Uniform(recipe.max_val_clips),
        cache=cache,
    )
    weights = None
    if recipe.balance is Balance.SAMPLER:
        weights = visit_weights([video.targets for video in checked.train], len(labels))
    order = Shuffled(len(training), seed=recipe.seed, weights=weights, rank=rank, world=of)
    common = _loading(recipe)
    return (
        DataLoader(training, sampler=Visits(order), **common),
        DataLoader(validation, sampler=InTurn(len(validation), rank=rank, world=of), **common),
    )


def _cache_folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "streamcls" / "frames"


def _scored_clips(checked: CheckedData, loader: DataLoader[list[Sample]]) -> tuple[ScoredClip, ...]:
    assert isinstance(loader.dataset, ValidationClips)
    return tuple(
        ScoredClip(checked.val[index], index, checked.val[index].start_s + start_s)
        for index, start_s in loader.dataset.clips
    )


def _class_weights(checked: CheckedData, recipe: Recipe) -> Tensor | None:
    if recipe.balance is not Balance.WEIGHTS:
        return None
    weigh = positive_weights if checked.data.multi_label else class_weights
    return weigh([video.targets for video in checked.train], len(checked.labels))


def _batch_augment(recipe: Recipe, custom: Custom) -> BatchAugment:
    return BatchAugment(
        colour_jitter=recipe.colour_jitter,
        frames_alike=recipe.jitter_frames_alike,
        rand_augment=recipe.rand_augment,
        mixup=recipe.mixup,
        cutmix=recipe.cutmix,
        on_device=custom.on_device,
    )


def _fingerprint(checked: CheckedData, recipe: Recipe) -> dict[str, str]:
    """What must be the same for a run to go on."""
    kept = {key: value for key, value in recipe.document().items() if key not in _MAY_DIFFER}
    named = {key: json.dumps(value, sort_keys=True) for key, value in kept.items()}
    videos = json.dumps([video.record.name for video in (*checked.train, *checked.val)])
    return named | {"labels": json.dumps(checked.labels), "videos": videos}
