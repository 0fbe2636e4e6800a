"""What an epoch came to: its metrics, whether it is the best so far, and the history of all."""

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import pytorch_lightning as lightning
import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics.functional.classification import multilabel_average_precision

from streamcls.finetune.training.module import ClipClassifier

METRICS = ("val_accuracy", "val_video_accuracy", "val_loss")
"""Share of right clips, share of right videos by the mean of their clips, and cross entropy.

Multi-label, a clip is right where every label is; `val_map` is the mean average precision.
"""

RANK = "val_rank"


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
        pl_module.log_dict(measured, prog_bar=True, rank_zero_only=False)
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
        """The metrics of validation's clips, and a rank to keep epochs by.

        Args:
            logits: float32 (clips, classes); NaN where a clip could not be read.
        """
        there = ~logits.isnan().any(dim=1)
        logits, targets, videos = logits[there], self._targets[there], self._videos[there]
        if not len(logits):
            nothing = dict.fromkeys((*METRICS, RANK), math.nan)
            return nothing | {RANK: -math.inf}
        loss = float(self._loss(logits, targets))
        scores = logits.sigmoid() if self._multi_label else logits.softmax(dim=1)
        right = self._right(scores, targets)
        accuracy = float(right.float().mean())
        measured = {
            "val_accuracy": accuracy,
            "val_video_accuracy": self._by_video(scores, targets, videos),
            "val_loss": loss,
        }
        if self._multi_label:
            precision = multilabel_average_precision(scores, targets.long(), scores.shape[1])
            measured["val_map"] = float(precision)
        truth = targets if self._multi_label else targets.argmax(dim=1)
        for name, metric in self._metrics.items():
            metric.reset()
            measured[name] = float(metric(scores, truth.long()))
        # More right clips first, then the lower loss: small sets tie, and of two epochs with all
        # clips right the surer one serves thresholds better. The loss term stays below one clip.
        merit = measured["val_map"] if self._multi_label else accuracy
        return measured | {RANK: merit * len(logits) - loss / (1 + loss)}

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

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        if self._multi_label:
            return functional.binary_cross_entropy_with_logits(logits, targets)
        return functional.cross_entropy(logits, targets)

    def _right(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Whether each row is right."""
        if self._multi_label:
            return ((scores >= 0.5) == (targets >= 0.5)).all(dim=1)
        return scores.argmax(dim=1) == targets.argmax(dim=1)

    def _by_video(self, scores: Tensor, targets: Tensor, videos: Tensor) -> float:
        """Share of videos whose mean score is right."""
        numbers, place = torch.unique(videos, return_inverse=True)
        counts = torch.bincount(place).unsqueeze(1)
        shape = (len(numbers), scores.shape[1])
        means = torch.zeros(shape).index_add_(0, place, scores) / counts
        truth = torch.zeros(shape).index_add_(0, place, targets) / counts
        return float(self._right(means, truth).float().mean())


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
