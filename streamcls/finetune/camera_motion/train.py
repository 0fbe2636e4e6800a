"""Training of the bundled camera-motion model, on clips drawn as it goes."""

import copy
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from streamcls.finetune.camera_motion.camera import content_motion
from streamcls.finetune.camera_motion.dataset import CLIP_SPEC, NET_OPTIONS, ClipBatch, ClipStream
from streamcls.finetune.camera_motion.photos import Assets
from streamcls.models.motion import MotionNet, frame_pairs
from streamcls.transforms.clip import normalise

BATCH_SIZE = 64
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 0.01
WARM_UP = 0.03  # share of the steps in which the learning rate rises
MOTION_UNIT = 0.05  # sides, rad or log growth per unit of the network's motion output
MOTION_WEIGHT = 1.0  # of the motion loss at the start; it fades to a fifth
LABEL_SMOOTHING = 0.02
AVERAGE_DECAY = 0.995  # of the exponential moving average of the weights


class MotionTask(pl.LightningModule):
    """The network with its losses, optimiser and averaged weights.

    Args:
        net: the network to train.
        steps: optimiser steps in all; the learning rate falls to 0 at the last.
    """

    def __init__(self, net: MotionNet, steps: int) -> None:
        super().__init__()
        self.net, self.steps = net, steps
        self.average = copy.deepcopy(net).requires_grad_(False).eval()
        pairs = frame_pairs(CLIP_SPEC.num_frames)
        self.pairs = ([i for i, _ in pairs], [j for _, j in pairs])

    def training_step(self, batch: ClipBatch, _index: int) -> Tensor:
        """Class loss, plus the loss of the motion within each frame pair."""
        logits, motion = self.net.forward_with_motion(normalise(batch.frames, CLIP_SPEC))
        class_loss = functional.cross_entropy(
            logits.float(), batch.target, label_smoothing=LABEL_SMOOTHING
        )
        wanted = self._pair_motion(batch.track).clamp(-8, 8)
        error = functional.smooth_l1_loss(motion.float(), wanted, reduction="none", beta=0.1)
        tracked = batch.tracked.float()
        motion_loss = (error.mean(dim=(1, 2)) * tracked).sum() / tracked.sum().clamp(min=1)
        fade = 1 - 0.8 * self.global_step / self.steps
        right = (logits.argmax(1) == batch.target.argmax(1))[batch.target.amax(1) > 0.99]
        self.log("class_loss", class_loss, prog_bar=True)
        self.log("motion_loss", motion_loss, prog_bar=True)
        self.log("accuracy", right.float().mean(), prog_bar=True)
        return class_loss + MOTION_WEIGHT * fade * motion_loss

    def on_train_batch_end(self, *_: object) -> None:
        """Follow the weights with their moving average."""
        decay = min(AVERAGE_DECAY, (1 + self.global_step) / (10 + self.global_step))
        with torch.no_grad():
            live = self.net.state_dict()
            for name, value in self.average.state_dict().items():
                if value.is_floating_point():
                    value.lerp_(live[name], 1 - decay)
                else:
                    value.copy_(live[name])

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW; the learning rate warms up, then falls along a cosine."""
        optimiser = torch.optim.AdamW(
            self.net.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser,
            LEARNING_RATE,
            total_steps=self.steps,
            pct_start=WARM_UP,
            final_div_factor=1e3,
        )
        return {
            "optimizer": optimiser,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def _pair_motion(self, track: Tensor) -> Tensor:
        """The network's motion targets (batch, pairs, 4) from poses (batch, time, 4)."""
        poses = track.double().numpy(force=True)
        motion = content_motion(poses[:, self.pairs[0]], poses[:, self.pairs[1]]) / MOTION_UNIT
        return torch.from_numpy(motion.astype(np.float32)).to(track.device)


class _Keep(pl.Callback):
    """Writes the averaged weights every so many steps, so that a run can be judged early."""

    def __init__(self, path: Path, every: int) -> None:
        self.path, self.every = path, every

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object
    ) -> None:
        step = trainer.global_step
        if step % self.every == 0:
            assert isinstance(pl_module, MotionTask)
            save_file(pl_module.average.state_dict(), self.path)
            metrics = {name: round(float(v), 4) for name, v in trainer.callback_metrics.items()}
            print(f"step {step} {metrics}", flush=True)


def train(
    assets: Assets,
    *,
    clips: int,
    seed: int,
    weights: Path,
    workers: int = 1,
    bf16: bool = True,
    keep_every: int = 200,
) -> nn.Module:
    """Train from scratch.

    Args:
        assets: training pictures.
        clips: how many clips to draw; the schedule is stretched over them.
        seed: of the weights and of the clips.
        weights: where the averaged weights are written from time to time and at the end.
        workers: processes that draw clips.
        bf16: whether layers compute in bfloat16 where that is safe; twice as fast on newer CPUs.
        keep_every: steps between two writes of `weights`.

    Returns:
        The network with averaged weights, ready for inference.
    """
    pl.seed_everything(seed)
    steps = clips // BATCH_SIZE
    task = MotionTask(MotionNet(**NET_OPTIONS), steps)
    stream = ClipStream(assets, steps, BATCH_SIZE, seed)
    loader = DataLoader(
        stream,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        multiprocessing_context="fork" if workers else None,
    )
    trainer = pl.Trainer(
        max_steps=steps,
        precision="bf16-mixed" if bf16 else "32-true",
        accelerator="auto",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        gradient_clip_val=1.0,
        callbacks=[_Keep(weights, keep_every)],
    )
    trainer.fit(task, loader)
    save_file(task.average.state_dict(), weights)
    return task.average
