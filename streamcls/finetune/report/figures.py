"""The numbers of the report."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics.functional.classification import (
    binary_average_precision,
    multiclass_confusion_matrix,
)

from streamcls.models.manifest import Activation


@dataclass(frozen=True, slots=True)
class Scored:
    """Validation's clips that could be read.

    Attributes:
        scores, targets: float32 (clips, classes).
        losses: float32 (clips,), each clip's cross entropy.
        numbers: int64 (clips,), each clip's place among all.
    """

    labels: tuple[str, ...]
    activation: Activation
    scores: Tensor
    targets: Tensor
    losses: Tensor
    numbers: Tensor


@dataclass(frozen=True, slots=True)
class ClassScores:
    """How one class fared. Shares are from 0 to 1; None where nothing is there to share.

    Attributes:
        clips: how many show it.
        average_precision: over all thresholds.
    """

    label: str
    clips: int
    precision: float | None
    recall: float | None
    f1: float | None
    average_precision: float | None


def scored(
    labels: tuple[str, ...], logits: Tensor, targets: Tensor, activation: Activation
) -> Scored:
    """Scores and losses of what could be read.

    Args:
        logits, targets: float32 (clips, classes); rows of NaN are left out.
    """
    there = ~logits.isnan().any(dim=1)
    numbers = there.nonzero().squeeze(1)
    logits, targets = logits[there], targets[there]
    if activation is Activation.SIGMOID:
        each = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        losses, scores = each.sum(dim=1), logits.sigmoid()
    else:
        losses = functional.cross_entropy(logits, targets, reduction="none")
        scores = logits.softmax(dim=1)
    return Scored(labels, activation, scores, targets, losses, numbers)


def confusion(clips: Scored) -> list[list[int]] | None:
    """Clips by what they show (rows) and what was said; None where several labels may hold."""
    if clips.activation is Activation.SIGMOID:
        return None
    truth, said = clips.targets.argmax(dim=1), clips.scores.argmax(dim=1)
    matrix = multiclass_confusion_matrix(said, truth, len(clips.labels))
    counts: list[list[int]] = matrix.tolist()
    return counts


def most_confused(
    labels: Sequence[str], matrix: Sequence[Sequence[int]], most: int = 20
) -> list[tuple[str, str, int]]:
    """Pairs of what was shown and what was said instead, and how often; the most often first."""
    pairs = [
        (shown, said, matrix[i][j])
        for i, shown in enumerate(labels)
        for j, said in enumerate(labels)
        if i != j and matrix[i][j]
    ]
    return sorted(pairs, key=lambda pair: -pair[2])[:most]


def by_class(clips: Scored) -> list[ClassScores]:
    """Precision, recall, F1 and average precision of each class."""
    if clips.activation is Activation.SIGMOID:
        said = clips.scores >= 0.5
    else:
        said = functional.one_hot(clips.scores.argmax(dim=1), len(clips.labels)).bool()
    truth = clips.targets >= 0.5
    found: list[ClassScores] = []
    for index, label in enumerate(clips.labels):
        hits = int((said[:, index] & truth[:, index]).sum())
        shown, named = int(truth[:, index].sum()), int(said[:, index].sum())
        found.append(
            ClassScores(
                label,
                shown,
                hits / named if named else None,
                hits / shown if shown else None,
                2 * hits / (shown + named) if shown + named else None,
                float(binary_average_precision(clips.scores[:, index], truth[:, index].long()))
                if shown
                else None,
            )
        )
    return found


def worst(clips: Scored, most: int) -> list[int]:
    """Places of the clips of highest loss among those given, the worst first."""
    return torch.argsort(clips.losses, descending=True, stable=True)[:most].tolist()
