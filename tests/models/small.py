"""A network small enough for tests: X3D at a quarter of its width, 4 frames of 32 x 32."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from streamcls.models.bundle import Manifest, write_bundle
from streamcls.models.zoo import build_network
from streamcls.transforms import ClipSpec

SPEC = ClipSpec(num_frames=4, sampling_rate=3, trained_fps=30, short_side=36, crop=32)
ARGUMENTS: dict[str, Any] = {
    "num_classes": 3,
    "clip_length": 4,
    "crop": 32,
    "width_factor": 0.5,
    "depth_factor": 1.0,
}
LABELS = ("rest", "rise", "fall")


def small_network(seed: int = 5, **changes: Any) -> nn.Module:
    """The small X3D, with a seed's own random weights and scores well apart."""
    torch.manual_seed(seed)
    network = build_network("x3d_xs", **(ARGUMENTS | changes))
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=5.0)
    return network


def write_small(
    path: Path, network: nn.Module | None = None, *, seed: int = 5, **changes: Any
) -> Manifest:
    """Write a bundle of the small network; `changes` replace arguments of `write_bundle`."""
    pieces: dict[str, Any] = {
        "name": "small",
        "architecture": "x3d_xs",
        "arguments": ARGUMENTS,
        "labels": LABELS,
        "clip_spec": SPEC,
    }
    return write_bundle(path, network=network or small_network(seed), **(pieces | changes))
