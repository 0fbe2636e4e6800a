"""The training step as Lightning wants it. Imported only where its packages are installed."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytorch_lightning as lightning
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from streamcls.finetune.loading import Sample, mixed_seed
from streamcls.finetune.training.recipe import Custom, Recipe
from streamcls.models.zoo import forward_clips
from streamcls.transforms import ClipSpec
from streamcls.transforms.clip import gather, pathways, standardise, unit_range

BatchChange = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Changes clips (batch, 3, time, height, width), 0 to 1, and targets (batch, classes)."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples of one step, on the device.

    Attributes:
        inputs: per pathway, float32 (batch, 3, time, height, width).
        targets: float32 (batch, classes).
        numbers: int64 (batch,): which clip, or in training which video, each is.
        void: bool (batch,): whether there is no such clip.
    """

    inputs: list[Tensor]
    targets: Tensor
    numbers: Tensor
    void: Tensor


class ClipClassifier(lightning.LightningModule):
    """Trains a network on clips; what validation clips scored is kept for whoever judges.

    Attributes:
        logits: of validation's clips, float32 (clips, classes); NaN where there is no clip.
        broken: what was wrong with videos that could not be read in this process.
    """

    def __init__(
        self,
        network: nn.Module,
        spec: ClipSpec,
        recipe: Recipe,
        custom: Custom,
        *,
        val_clips: int,
        classes: int,
        multi_label: bool,
        weights: Tensor | None,
        change: BatchChange | None,
    ) -> None:
        """Store the parts.

        Args:
            weights: of the classes in the loss, shape (classes,).
            change: of training batches, before they are normalised.
        """
        super().__init__()
        self.network = network
        self.lr = recipe.lr  # Lightning's finder sets it
        self.broken: set[str] = set()
        self._spec = spec
        self._recipe = recipe
        self._custom = custom
        self._multi_label = multi_label
        self._change = change
        # No buffers: weights are averaged and exchanged with them, and these are none.
        self.logits = torch.full((val_clips, classes), torch.nan)
        self._weights = weights

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Dropout and the like depend on the seed and the step alone, so a run can be resumed."""
        del batch
        self._seed(batch_idx)

    def transfer_batch_to_device(
        self, batch: list[Sample], device: torch.device, dataloader_idx: int
    ) -> Batch:
        """The clip half of the shared transforms, on the device."""
        del dataloader_idx
        self.broken.update(text for sample in batch for text in sample.broken)
        targets = torch.stack([sample.target for sample in batch]).to(device)
        clips = unit_range(gather([sample.clip.numpy() for sample in batch], self._spec, device))
        if self.trainer.training and self._change is not None:
            # As below: by what the batch is, whatever came before it.
            self._seed(*(sample.number for sample in batch))
            clips, targets = self._change(clips, targets)
        return Batch(
            pathways(standardise(clips, self._spec), self._spec),
            targets,
            torch.tensor([sample.number for sample in batch], device=device),
            torch.tensor([sample.is_void for sample in batch], device=device),
        )

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of one batch."""
        del batch_idx
        loss = self.loss(forward_clips(self.network, batch.inputs), batch.targets, training=True)
        self.log(
            "train_loss",
            loss,
            prog_bar=False,
            on_step=True,
            on_epoch=True,
            batch_size=len(batch.targets),
            sync_dist=self.trainer.world_size > 1,
        )
        return loss

    def on_validation_epoch_start(self) -> None:
        """Forget what the last epoch scored."""
        self.logits = torch.full(self.logits.shape, torch.nan, device=self.device)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Score one batch of clips."""
        del batch_idx
        scored = forward_clips(self.network, batch.inputs).float()
        scored[batch.void] = torch.nan
        self.logits[batch.numbers] = scored

    def _seed(self, *parts: int) -> None:
        recipe_seed, rank = self._recipe.seed, self.global_rank
        torch.manual_seed(mixed_seed(recipe_seed, self.current_epoch, rank, *parts))

    def loss(self, logits: Tensor, targets: Tensor, *, training: bool) -> Tensor:
        """Cross entropy, or binary cross entropy where several labels may hold.

        Args:
            training: with what only training does: class weights, smoothing, a loss of one's own.
        """
        logits = logits.float()
        if training and self._custom.loss is not None:
            return self._custom.loss(logits, targets)
        weights = None
        if training and self._weights is not None:
            weights = self._weights.to(logits.device)
        smoothing = self._recipe.label_smoothing if training else 0.0
        if self._multi_label:
            smooth = targets * (1 - smoothing) + smoothing / 2
            return functional.binary_cross_entropy_with_logits(logits, smooth, pos_weight=weights)
        return functional.cross_entropy(logits, targets, weights, label_smoothing=smoothing)

    def configure_optimizers(self) -> Any:
        """AdamW with a short rise and a cosine fall of the learning rate, by step."""
        # Also those that are frozen now: without a gradient they stay as they are.
        given = self._custom.optimizer
        optimizer = (
            given(self.network.parameters(), self.lr)
            if given
            else AdamW(self.network.parameters(), self.lr, weight_decay=self._recipe.weight_decay)
        )
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = (
            self._custom.schedule(optimizer, steps)
            if self._custom.schedule
            else LambdaLR(optimizer, partial(rise_and_fall, steps=steps, rise=self._recipe.warm_up))
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def rise_and_fall(step: int, *, steps: int, rise: float) -> float:
    """The share of the peak learning rate in a step: up in a line, down along half a cosine.

    Args:
        rise: share of all steps in which the rate rises.
    """
    risen = round(rise * steps)
    if step < risen:
        return (step + 1) / risen
    return 0.5 + 0.5 * math.cos(math.pi * (step - risen) / max(1, steps - risen))
