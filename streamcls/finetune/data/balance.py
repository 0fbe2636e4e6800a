"""Classes that are rarer than others, made to count as much."""

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum

import torch
from torch import Tensor


class Balance(StrEnum):
    """What is done where some classes have more videos than others."""

    NONE = "none"
    WEIGHTS = "weights"
    """Errors in rare classes cost more."""
    SAMPLER = "sampler"
    """Videos of rare classes are visited more often."""


def class_weights(targets: Sequence[Sequence[int]], classes: int) -> Tensor:
    """For each class a weight in inverse proportion to its videos.

    Over all videos the weights of their classes average 1, so that the loss keeps its scale
    (scikit-learn's "balanced": n / (classes * count)).

    Args:
        targets: each video's classes.

    Returns:
        float32, shape (classes,).
    """
    counts = Counter(index for video in targets for index in video)
    total, present = sum(counts.values()), max(1, len(counts))
    return torch.tensor(
        [total / (present * counts[index]) if counts[index] else 1.0 for index in range(classes)]
    )


def positive_weights(targets: Sequence[Sequence[int]], classes: int) -> Tensor:
    """For each label of multi-label data: videos without it per video with it.

    At most 100, since a label seen once in thousands would else be all that counts.

    Returns:
        float32, shape (classes,), as torch's `BCEWithLogitsLoss(pos_weight=...)` takes it.
    """
    counts = Counter(index for video in targets for index in video)
    return torch.tensor(
        [
            min(100.0, (len(targets) - counts[index]) / counts[index]) if counts[index] else 1.0
            for index in range(classes)
        ]
    )


def visit_weights(targets: Sequence[Sequence[int]], classes: int) -> list[float]:
    """How often each video is to be visited, relative to the others: by its rarest class."""
    weights = class_weights(targets, classes).tolist()
    return [max((weights[index] for index in video), default=1.0) for video in targets]
