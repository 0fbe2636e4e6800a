"""The network that is trained: MotionNet with few channels, from random weights.

A sixth of the bundled model's weights, so that a run takes minutes on a processor, and clips of
the recording's own rate, so that a file's frames are a clip's frames.
"""

from pathlib import Path

import torch

from streamcls.models.bundle import write_bundle
from streamcls.models.zoo import build_network
from streamcls.transforms import ClipSpec
from tests.benchmarks.learning.cutting import LABELS, SIDE
from tests.benchmarks.learning.footage import FPS

SPEC = ClipSpec(num_frames=8, sampling_rate=1, trained_fps=FPS, short_side=SIDE, crop=SIDE)
"""8 frames, 0.1 s apart, 0.7 s in all."""

ARGUMENTS = {"num_classes": len(LABELS), "features": 16, "width": 24, "code": 32, "hidden": 64}


def write_start(path: Path, *, seed: int) -> None:
    """Write the model file that a run starts from; its weights are a seed's own."""
    torch.manual_seed(seed)
    write_bundle(
        path,
        network=build_network("motion_net", **ARGUMENTS),
        name="untrained",
        architecture="motion_net",
        arguments=ARGUMENTS,
        labels=LABELS,
        clip_spec=SPEC,
    )
