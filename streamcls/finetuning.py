"""Finetuning as a whole: from labelled videos to a model file that is right when it goes live.

    train -> make its probabilities honest -> write the model file -> report

What is trained and how is `finetune`'s; what the daemon would make of it is `offline`'s.
"""

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from streamcls.errors import DataError
from streamcls.finetune.data import VideoData
from streamcls.finetune.train import train
from streamcls.finetune.training.recipe import Custom, Recipe
from streamcls.models.backends import resolve_device
from streamcls.models.bundle import DecisionDefaults, Manifest, check_target


@dataclass(frozen=True, slots=True)
class Report:
    """What finetuning came to.

    Attributes:
        metrics: of the kept epoch, by name; see `streamcls.finetune.training.judge`.
        skipped: files that could not be used, and why.
        warnings: why validation may look better than it is.
        history: every epoch's metrics.
    """

    path: Path
    manifest: Manifest
    metrics: dict[str, float]
    skipped: tuple[str, ...]
    warnings: tuple[str, ...]
    history: tuple[dict[str, float], ...]


def finetune(
    data: VideoData | str | Path,
    *,
    model: str,
    out: str | Path,
    pretrained: str | None = None,
    recipe: Recipe | None = None,
    custom: Custom | None = None,
    background_label: str | None = None,
    calibrate: bool = True,
    device: str = "auto",
    run_dir: str | Path | None = None,
    resume: bool = False,
    tensorboard: bool = False,
    progress: bool = True,
) -> Report:
    """Train, keep the epoch best on the validation videos, and write a model file.

    Single-label data makes a softmax file, multi-label data a sigmoid one, whatever the weights to
    start from were made for: below the head they are used all the same.

    Of several processes that train together only the first returns; the others end here.

    Args:
        data: labelled videos; or a folder, read as `VideoData.from_folders`.
        model: a zoo name (`x3d_xs`), with random weights unless `pretrained` is given; or a model
            file or bundled name, whose weights are kept and whose head is replaced.
        out: the model file to write; it ends in .safetensors.
        pretrained: a model file of the same architecture to take weights and clip spec from.
        custom: parts of your own in the place of ours.
        background_label: the class that shall open no event.
        calibrate: divide the logits by the temperature at which probabilities fit best what was
            right in validation.
        device: as `resolve_device`.
        run_dir: keeps the checkpoint and the logs; None: a temporary folder.
        resume: go on from the checkpoint in `run_dir`, if there is one.
        tensorboard: write its event files into `run_dir`, beside metrics.csv.
        progress: show a progress bar on standard output.

    Raises:
        MissingExtra: the extra `finetune` is not installed.
        DataError: the data or the recipe cannot be used, or there is a checkpoint and `resume` was
            not asked for.
        ModelError: `model` or `pretrained` cannot be used.
        ConfigError: the device is not there, or `out` cannot be written.
    """
    recipe, out = recipe or Recipe(), Path(out)
    # What would only fail after hours of training is refused before it.
    check_target(out)
    where = resolve_device(device)
    if not isinstance(data, VideoData):
        data = VideoData.from_folders(data, seed=recipe.seed)
    if background_label is not None and background_label not in data.labels:
        raise DataError(
            f"background label {background_label!r} is no class of {data.described}; its classes:"
            f" {', '.join(data.labels)}"
        )
    with ExitStack() as stack:
        if run_dir is None:
            run_dir = stack.enter_context(tempfile.TemporaryDirectory())
        trained = train(
            data,
            model=model,
            pretrained=pretrained,
            recipe=recipe,
            custom=custom or Custom(),
            device=where,
            run_dir=Path(run_dir),
            resume=resume,
            tensorboard=tensorboard,
            progress=progress,
        )
    temperature = trained.calibrate() if calibrate else 1.0
    manifest = trained.write(
        out,
        DecisionDefaults(background_label=background_label),
        temperature=round(temperature, 6),
    )
    return Report(out, manifest, trained.metrics, trained.skipped, data.warnings, trained.history)
