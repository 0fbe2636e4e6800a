"""Probabilities that mean what they say: temperature scaling.

A network trained to be right is surer than it is right. Dividing its logits by one number, fitted
on validation clips, mends that without changing which label comes first (Guo et al. 2017,
arXiv 1706.04599). The number goes into the last layer's weights, so that a model file and the
daemon need to know nothing of it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from streamcls.models.manifest import Activation

_LEAST, _MOST = 0.25, 20.0
"""Where every validation clip is right, ever surer is ever better: there it has to end."""

_STEPS = 80  # of golden section search: to a part in 10^16 of the range


@dataclass(frozen=True, slots=True)
class Bin:
    """Predictions of about one confidence.

    Attributes:
        confidence: their mean.
        accuracy: the share of them that is right.
        count: how many.
    """

    confidence: float
    accuracy: float
    count: int


def fit_temperature(logits: Tensor, targets: Tensor, activation: Activation) -> float:
    """The temperature of least cross entropy, from 0.25 to 20; never worse than 1.

    Cross entropy is convex in 1 / T, so a search by sections finds its one minimum.

    Args:
        logits, targets: float32 (clips, classes); rows of NaN are left out.
    """
    there = ~logits.isnan().any(dim=1)
    logits, targets = logits[there].double(), targets[there].double()
    if not len(logits):
        return 1.0

    def cost(inverse: float) -> float:
        return float(_cross_entropy(logits * inverse, targets, activation))

    inverse = _least(cost, 1 / _MOST, 1 / _LEAST)
    return 1 / inverse if cost(inverse) < cost(1.0) else 1.0


def fold_temperature(head: nn.Module, temperature: float) -> None:
    """Divide what a last linear layer gives by the temperature, by dividing its weights.

    What follows it in the networks of the zoo is a mean over places, which divides alike.
    """
    with torch.no_grad():
        for weight in head.parameters():
            weight.div_(temperature)


def reliability(
    logits: Tensor, targets: Tensor, activation: Activation, bins: int = 15
) -> list[Bin]:
    """Confidence against accuracy, in bins of equal width, the empty ones left out.

    Softmax: the first label's probability, and whether it is right. Sigmoid: each label's, and
    whether it holds.
    """
    there = ~logits.isnan().any(dim=1)
    logits, targets = logits[there], targets[there]
    if activation is Activation.SOFTMAX:
        confidence, first = logits.softmax(dim=1).max(dim=1)
        right = (first == targets.argmax(dim=1)).float()
    else:
        confidence, right = logits.sigmoid().flatten(), targets.flatten()
    place = (confidence * bins).long().clamp(max=bins - 1)
    return [
        Bin(float(confidence[inside].mean()), float(right[inside].mean()), int(inside.sum()))
        for n in range(bins)
        if (inside := place == n).any()
    ]


def expected_calibration_error(parts: list[Bin]) -> float:
    """Mean distance of confidence and accuracy, each bin by its count (Naeini et al. 2015)."""
    total = sum(part.count for part in parts)
    gaps = (part.count * abs(part.confidence - part.accuracy) for part in parts)
    return sum(gaps) / total if total else math.nan


def _cross_entropy(logits: Tensor, targets: Tensor, activation: Activation) -> Tensor:
    if activation is Activation.SIGMOID:
        return functional.binary_cross_entropy_with_logits(logits, targets)
    return functional.cross_entropy(logits, targets)


def _least(cost: Callable[[float], float], low: float, high: float) -> float:
    """Where a function of one valley is least, by golden section search."""
    ratio = (math.sqrt(5) - 1) / 2
    inner = [high - ratio * (high - low), low + ratio * (high - low)]
    costs = [cost(inner[0]), cost(inner[1])]
    for _ in range(_STEPS):
        if costs[0] <= costs[1]:
            high, inner[1], costs[1] = inner[1], inner[0], costs[0]
            inner[0] = high - ratio * (high - low)
            costs[0] = cost(inner[0])
        else:
            low, inner[0], costs[0] = inner[0], inner[1], costs[1]
            inner[1] = low + ratio * (high - low)
            costs[1] = cost(inner[1])
    return (low + high) / 2
