"""The training step as Lightning wants it. Imported only where its packages are installed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as lightning
import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from streamcls.finetune.dataset import Sample
from streamcls.models.zoo import forward_clips, num_outputs
from streamcls.transforms import ClipSpec
from streamcls.transforms.clip import clip_batch, pathways


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples of one step.

    Attributes:
        inputs: per pathway, float32 (batch, 3, time, height, width), on the device.
        labels, videos: int64, shape (batch,), on the device.
    """

    inputs: list[Tensor]
    labels: Tensor
    videos: Tensor


class ClipClassifier(lightning.LightningModule):
    """Trains a network on clips and measures it per clip and per video.

    A video's probabilities are the mean of its clips' (`val_video_accuracy`).

    Args:
        head: the projection layer; with `freeze_backbone` nothing else is trained.
    """

    video_labels: Tensor
    video_scores: Tensor

    def __init__(
        self,
        network: nn.Module,
        head: nn.Linear,
        spec: ClipSpec,
        *,
        lr: float,
        freeze_backbone: bool,
        val_videos: Sequence[int],
    ) -> None:
        super().__init__()
        self.network = network
        self._spec = spec
        self._lr = lr
        self._freeze_backbone = freeze_backbone
        classes = num_outputs(network)
        self._loss = nn.CrossEntropyLoss()
        self._mean_loss = MeanMetric()
        self._clip_accuracy = MulticlassAccuracy(classes, average="micro")
        self._video_accuracy = MulticlassAccuracy(classes, average="micro")
        self.register_buffer("video_labels", torch.tensor(val_videos), persistent=False)
        self.register_buffer("video_scores", torch.zeros(len(val_videos), classes), False)
        if freeze_backbone:
            network.requires_grad_(False)
            head.requires_grad_(True)

    def transfer_batch_to_device(
        self, batch: list[Sample], device: torch.device, dataloader_idx: int
    ) -> Batch:
        """The clip half of the shared transforms, on the device."""
        del dataloader_idx
        clips = clip_batch([sample.clip.numpy() for sample in batch], self._spec, device)
        return Batch(
            pathways(clips, self._spec),
            torch.tensor([sample.label for sample in batch], device=device),
            torch.tensor([sample.video for sample in batch], device=device),
        )

    def on_train_epoch_start(self) -> None:
        """Keep a frozen backbone's running statistics and dropout as they were."""
        if self._freeze_backbone:
            self.network.eval()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Cross entropy of one batch."""
        del batch_idx
        loss: Tensor = self._loss(forward_clips(self.network, batch.inputs), batch.labels)
        self.log("train_loss", loss, prog_bar=True, batch_size=len(batch.labels))
        return loss

    def on_validation_epoch_start(self) -> None:
        """Forget the last epoch's video scores."""
        self.video_scores.zero_()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Score one batch of clips, and add it to its videos."""
        del batch_idx
        logits = forward_clips(self.network, batch.inputs).float()
        scores = logits.softmax(dim=1)
        self.video_scores.index_add_(0, batch.videos, scores)
        self._clip_accuracy.update(scores, batch.labels)
        self._mean_loss.update(self._loss(logits, batch.labels), len(batch.labels))

    def on_validation_epoch_end(self) -> None:
        """Measure the epoch: clips, videos by the mean of their clips, and a rank to keep by."""
        accuracy, loss = self._clip_accuracy.compute(), self._mean_loss.compute()
        clips = self._mean_loss.weight
        by_video = self._video_accuracy(self.video_scores, self.video_labels)
        # More right clips first, then the lower loss: small sets tie, and of two epochs with all
        # clips right the surer one serves thresholds better. The loss term stays below one clip.
        rank = accuracy * clips - loss / (1 + loss)
        metrics = {"val_accuracy": accuracy, "val_video_accuracy": by_video, "val_loss": loss}
        self.log_dict(metrics, prog_bar=True)
        self.log("val_rank", rank)
        for metric in (self._clip_accuracy, self._mean_loss, self._video_accuracy):
            metric.reset()

    def configure_optimizers(self) -> Any:
        """AdamW with a short rise and a cosine fall of the learning rate, by step."""
        weights = [weight for weight in self.parameters() if weight.requires_grad]
        optimizer = AdamW(weights, lr=self._lr, weight_decay=0.01)
        steps = max(2, int(self.trainer.estimated_stepping_batches))
        schedule = OneCycleLR(
            optimizer, self._lr, total_steps=steps, pct_start=0.1, cycle_momentum=False
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }
