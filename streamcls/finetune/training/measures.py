"""What clips' scores are worth."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics.functional.classification import multilabel_average_precision

METRICS = ("val_accuracy", "val_video_accuracy", "val_loss")
"""Share of right clips, share of right videos by the mean of their clips, and cross entropy.

Multi-label, a clip is right where every label is; `val_map` is the mean average precision.
"""

RANK = "val_rank"


def measure(
    logits: Tensor,
    targets: Tensor,
    videos: Tensor,
    *,
    multi_label: bool,
    metrics: Mapping[str, Any],
) -> dict[str, float]:
    """The metrics of some clips by name, and a rank to keep epochs by.

    Args:
        logits, targets: float32 (clips, classes); rows of NaN are left out.
        videos: int64 (clips,): the number of each clip's video.
        metrics: torchmetrics of the caller's, by name.
    """
    there = ~logits.isnan().any(dim=1)
    logits, targets, videos = logits[there], targets[there], videos[there]
    if not len(logits):
        return dict.fromkeys(METRICS, math.nan) | {RANK: -math.inf}
    if multi_label:
        loss = float(functional.binary_cross_entropy_with_logits(logits, targets))
        scores = logits.sigmoid()
    else:
        loss, scores = float(functional.cross_entropy(logits, targets)), logits.softmax(dim=1)
    accuracy = float(_right(scores, targets, multi_label).float().mean())
    measured = {
        "val_accuracy": accuracy,
        "val_video_accuracy": _by_video(scores, targets, videos, multi_label),
        "val_loss": loss,
    }
    if multi_label:
        precision = multilabel_average_precision(scores, targets.long(), scores.shape[1])
        measured["val_map"] = float(precision)
    truth = targets if multi_label else targets.argmax(dim=1)
    for name, metric in metrics.items():
        metric.reset()
        measured[name] = float(metric(scores, truth.long()))
    # More right clips first, then the lower loss: small sets tie, and of two epochs with all clips
    # right the surer one serves thresholds better. The loss term stays below one clip.
    merit = measured["val_map"] if multi_label else accuracy
    return measured | {RANK: merit * len(logits) - loss / (1 + loss)}


def _right(scores: Tensor, targets: Tensor, multi_label: bool) -> Tensor:
    """Whether each row is right."""
    if multi_label:
        return ((scores >= 0.5) == (targets >= 0.5)).all(dim=1)
    return scores.argmax(dim=1) == targets.argmax(dim=1)


def _by_video(scores: Tensor, targets: Tensor, videos: Tensor, multi_label: bool) -> float:
    """Share of videos whose mean score is right."""
    numbers, place = torch.unique(videos, return_inverse=True)
    counts = torch.bincount(place).unsqueeze(1)
    shape = (len(numbers), scores.shape[1])
    means = torch.zeros(shape).index_add_(0, place, scores) / counts
    truth = torch.zeros(shape).index_add_(0, place, targets) / counts
    return float(_right(means, truth, multi_label).float().mean())
