"""One network by name: how to build it, and what it sees."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from streamcls.transforms.spec import ClipSpec

Builder = Callable[..., nn.Module]


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """One entry of the zoo.

    Attributes:
        build: takes `num_classes` and further JSON-able arguments by keyword; every one has a
            default. Returns a network of randomly initialised weights that gives logits (batch,
            num_classes) of a clip (batch, 3, time, crop, crop), or of a list of them, one per
            pathway of `clip_spec`.
        clip_spec: the clips it was designed for.
        description: one line for a listing.
        parameters: weights with 400 classes as published, or with its own default classes.
        gflops: multiply-adds of one clip of `clip_spec`, in 10^9: what video papers call FLOPs.
        kinetics400_top1: published accuracy of the official weights, per cent, over many views.
        checkpoint: where those weights are published.
        head: dotted name of the layer that gives the classes, which is linear or whose last linear
            layer is; None: the network's last one in definition order.
    """

    build: Builder
    clip_spec: ClipSpec
    description: str
    parameters: int | None = None
    gflops: float | None = None
    kinetics400_top1: float | None = None
    checkpoint: str | None = None
    head: str | None = None
