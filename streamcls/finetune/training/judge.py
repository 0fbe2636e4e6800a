"""What an epoch came to: its metrics, whether it is the best so far, and the history of all."""

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import pytorch_lightning as lightning
import torch
from torch import Tensor

from streamcls.finetune.training.measures import RANK, measure
from streamcls.finetune.training.module import ClipClassifier


class Judge(lightning.Callback):
    """Measures validation after each epoch and keeps the best weights, in the checkpoint too.

    Attributes:
        history: for each epoch its metrics by name.
        best: the best epoch's number; -1 before there is one.
        weights: of the network in that epoch.
        logits: what it gave validation's clips, float32 (clips, classes).
    """

    def __init__(
        self,
        targets: Tensor,
        videos: Sequence[int],
        *,
        multi_label: bool,
        metrics: Mapping[str, Any],
        fingerprint: Mapping[str, str],
    ) -> None:
        """Store what clips are to be judged by.

        Args:
            targets: of validation's clips, float32 (clips, classes).
            videos: the index of each clip's video.
            metrics: torchmetrics of the caller's, by name.
            fingerprint: of the run; a checkpoint of another one is not gone on from.
        """
        self.fingerprint = dict(fingerprint)
        self.history: list[dict[str, float]] = []
        self.best = -1
        self.weights: dict[str, Tensor] = {}
        self.logits = torch.empty(0)
        self._best_rank = -math.inf
        self._lr = 0.0
        self._targets = targets
        self._videos = torch.tensor(videos)
        self._multi_label = multi_label
        self._metrics = dict(metrics)

    def on_train_batch_start(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Note the learning rate of the step."""
        del pl_module, batch, batch_idx
        self._lr = float(trainer.optimizers[0].param_groups[0]["lr"])

    def on_validation_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Measure; runs before averaged weights, if that is what was judged, are put away."""
        assert isinstance(pl_module, ClipClassifier)
        logits = _of_all_processes(trainer, pl_module.logits)
        measured = self.measure(logits)
        for name, value in measured.items():
            shown = name in ("val_accuracy", "val_loss")  # a terminal is narrow
            pl_module.log(name, value, prog_bar=shown)
        row = {"epoch": float(trainer.current_epoch), **measured}
        if "train_loss_epoch" in trainer.callback_metrics:
            row["train_loss"] = float(trainer.callback_metrics["train_loss_epoch"])
        row["lr"] = self._lr
        self.history.append(row)
        if measured[RANK] > self._best_rank:
            self._best_rank, self.best = measured[RANK], trainer.current_epoch
            state = pl_module.network.state_dict()
            self.weights = {key: deepcopy(value.detach().cpu()) for key, value in state.items()}
            self.logits = logits

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Add what training came to, which is known only now."""
        del pl_module
        if self.history and "train_loss_epoch" in trainer.callback_metrics:
            loss = trainer.callback_metrics["train_loss_epoch"]
            self.history[-1]["train_loss"] = float(loss)

    def measure(self, logits: Tensor) -> dict[str, float]:
        """The metrics of validation's clips, and a rank to keep epochs by."""
        return measure(
            logits,
            self._targets,
            self._videos,
            multi_label=self._multi_label,
            metrics=self._metrics,
        )

    def state_dict(self) -> dict[str, Any]:
        """What a run that goes on later must know."""
        return {
            "fingerprint": self.fingerprint,
            "history": self.history,
            "best": self.best,
            "best_rank": self._best_rank,
            "weights": self.weights,
            "logits": self.logits,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As `state_dict` gave it."""
        self.history, self.best = state_dict["history"], state_dict["best"]
        self.weights, self.logits = state_dict["weights"], state_dict["logits"]
        self._best_rank = state_dict["best_rank"]

    def best_metrics(self) -> dict[str, float]:
        """Of the best epoch, without its rank."""
        row = next(row for row in self.history if row["epoch"] == self.best)
        apart = {"epoch", "lr", "train_loss", RANK}
        return {name: round(value, 6) for name, value in row.items() if name not in apart}


def _of_all_processes(trainer: lightning.Trainer, logits: Tensor) -> Tensor:
    """Every process scored its own clips and left NaN elsewhere."""
    if trainer.world_size == 1:
        return logits.detach().cpu().clone()
    scored = ~logits.isnan()
    total = trainer.strategy.reduce(logits.nan_to_num(0.0), reduce_op="sum")
    seen = trainer.strategy.reduce(scored.float(), reduce_op="sum")
    assert isinstance(total, Tensor)
    assert isinstance(seen, Tensor)
    return torch.where(seen > 0, total / seen.clamp(min=1), torch.nan).cpu()
