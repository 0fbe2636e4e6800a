"""The run: devices, checkpoints, logs; and going on where it was killed."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import EarlyStopping, EMAWeightAveraging, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger
from pytorch_lightning.strategies import DDPStrategy
from torch import nn
from torch.utils.data import DataLoader

from streamcls.errors import DataError, MissingExtra
from streamcls.finetune.loading import Sample, Visits
from streamcls.finetune.training.judge import Judge
from streamcls.finetune.training.measures import RANK
from streamcls.finetune.training.module import ClipClassifier
from streamcls.finetune.training.recipe import Precision, Recipe, Strategy
from streamcls.finetune.training.unfreezing import Unfreezing

CHECKPOINT = "last.ckpt"

_PRECISION: dict[Precision, Any] = {
    Precision.FP32: "32-true",
    Precision.BF16: "bf16-mixed",
    Precision.FP16: "16-mixed",
}


@dataclass(frozen=True, slots=True)
class Run:
    """Where a run keeps what it needs to go on, and whether it does.

    Attributes:
        folder: holds the checkpoint and the logs.
        resume: go on from the folder's checkpoint if there is one.
        tensorboard: write its event files too.
        progress: show a progress bar on standard output.
    """

    folder: Path
    resume: bool = False
    tensorboard: bool = False
    progress: bool = True

    @property
    def checkpoint(self) -> Path:
        """Written after every epoch, and put in place whole."""
        return self.folder / CHECKPOINT


def fit(
    classifier: ClipClassifier,
    judge: Judge,
    head: nn.Module,
    training: DataLoader[list[Sample]],
    validation: DataLoader[list[Sample]],
    recipe: Recipe,
    device: torch.device,
    run: Run,
) -> None:
    """Train; the judge holds the best weights afterwards, and so does the checkpoint.

    Of several processes that train together only the first returns; the others end here.

    Raises:
        DataError: videos cannot be read, the recipe does not fit the device, or the checkpoint is
            of another run.
    """
    if recipe.precision is Precision.FP16 and device.type != "cuda":
        raise DataError("precision fp16 needs a CUDA device; use bf16 or 32 on the CPU")
    last = ModelCheckpoint(
        run.folder,
        filename=Path(CHECKPOINT).stem,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    # The judge first: it measures while averaged weights are still in place.
    callbacks: list[lightning.Callback] = [judge, Unfreezing(recipe, head), last]
    if recipe.ema:
        callbacks.append(EMAWeightAveraging(decay=recipe.ema))
    if recipe.patience:
        callbacks.append(EarlyStopping(RANK, mode="max", patience=recipe.patience))
    with _quiet():
        lightning.seed_everything(recipe.seed, workers=True, verbose=False)
        common = {
            "precision": _PRECISION[recipe.precision],
            "accumulate_grad_batches": recipe.accumulate,
            "gradient_clip_val": recipe.clip_gradients or None,
            "enable_progress_bar": run.progress,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            "use_distributed_sampler": False,  # ours know of the others already
            "default_root_dir": run.folder,
            **_machines(recipe, device),
        }
        checkpoint = _checkpoint(run, judge, training)
        if recipe.find_lr and checkpoint is None:
            _find_rate(classifier, training, Unfreezing(recipe, head), common)
        trainer = lightning.Trainer(
            max_epochs=1 if recipe.fast_dev_run else recipe.epochs,
            limit_train_batches=1 if recipe.fast_dev_run else None,
            limit_val_batches=1 if recipe.fast_dev_run else None,
            callbacks=callbacks,
            logger=_loggers(run),
            log_every_n_steps=10,
            **common,
        )
        with _worker_errors():
            trainer.fit(classifier, training, validation, ckpt_path=checkpoint, weights_only=False)
    if trainer.interrupted:
        raise KeyboardInterrupt
    trainer.strategy.barrier()
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    if not trainer.is_global_zero:
        sys.exit()


def world(recipe: Recipe) -> tuple[int, int]:
    """This process's rank, and how many train together.

    `torchrun` tells both; where Lightning starts the other processes itself, it tells their
    number on this machine only.
    """
    size = recipe.devices * recipe.nodes
    if "RANK" in os.environ:
        return int(os.environ["RANK"]), size
    node, local = (int(os.environ.get(name, "0")) for name in ("NODE_RANK", "LOCAL_RANK"))
    return node * recipe.devices + local, size


def _machines(recipe: Recipe, device: torch.device) -> dict[str, Any]:
    """What Lightning is told of devices and of the processes beside this one."""
    on_gpu = device.type == "cuda"
    accelerator = "gpu" if on_gpu else "cpu"
    if recipe.devices * recipe.nodes == 1:
        devices = [device.index or 0] if on_gpu else 1
        return {"accelerator": accelerator, "devices": devices}
    return {
        "accelerator": accelerator,
        "devices": recipe.devices,
        "num_nodes": recipe.nodes,
        # Frozen weights get no gradient, which the processes must not wait for.
        "strategy": DDPStrategy(
            find_unused_parameters=recipe.strategy is not Strategy.NO_FREEZE,
            timeout=timedelta(minutes=30),
        ),
        "sync_batchnorm": on_gpu,
    }


def _loggers(run: Run) -> list[Logger]:
    loggers: list[Logger] = [CSVLogger(run.folder, name="", version="")]
    if run.tensorboard:
        if find_spec("tensorboard") is None:
            raise MissingExtra("Logging for TensorBoard", "tensorboard")
        loggers.append(TensorBoardLogger(run.folder, name="", version="tensorboard"))
    return loggers


def _checkpoint(run: Run, judge: Judge, training: DataLoader[list[Sample]]) -> Path | None:
    """The checkpoint to go on from, with the order of videos set to its epoch."""
    if not run.checkpoint.exists():
        return None
    if not run.resume:
        raise DataError(
            f"{run.folder} holds a run that was not finished; resume it, or remove {CHECKPOINT}"
        )
    try:
        document = torch.load(run.checkpoint, map_location="cpu", weights_only=False)
        done, state = int(document["epoch"]), document["callbacks"][judge.state_key]
        before = state["fingerprint"]
    except Exception as error:  # torch's reader of damaged bytes raises almost anything
        raise DataError(f"{run.checkpoint} cannot be read: {error!r}; remove it") from None
    if odd := [key for key, value in judge.fingerprint.items() if before.get(key) != value]:
        raise DataError(
            f"{run.checkpoint} is of a run with other {', '.join(odd)}; go on as it was begun, or"
            " remove it"
        )
    assert isinstance(training.sampler, Visits)
    # The loader draws its first videos before Lightning says which epoch it is.
    training.sampler.set_epoch(done + 1)
    return run.checkpoint


def _find_rate(
    classifier: ClipClassifier,
    training: DataLoader[list[Sample]],
    unfreezing: Unfreezing,
    common: dict[str, Any],
) -> None:
    """Let Lightning's finder set the classifier's learning rate; the weights stay as they are."""
    from pytorch_lightning.tuner.tuning import Tuner  # noqa: PLC0415 (slow, and seldom used)

    # Far more epochs than its hundred steps take.
    trainer = lightning.Trainer(max_epochs=1000, callbacks=[unfreezing], logger=False, **common)
    found = Tuner(trainer).lr_find(classifier, training, update_attr=False)
    suggested = found.suggestion() if found else None
    if suggested is None:
        raise DataError("no learning rate was found: the loss fell at none; give one instead")
    classifier.lr = float(suggested)


@contextmanager
def _worker_errors() -> Iterator[None]:
    """Take off the traceback that a loader's worker wraps round a message."""
    try:
        yield
    except DataError as error:
        last_line = str(error).strip().splitlines()[-1]
        raise DataError(last_line.partition("DataError: ")[2] or last_line) from None


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
