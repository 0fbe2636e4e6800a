"""Clip half, on the device: T small RGB pictures -> the network's normalised input.

Serving, finetune's validation and evaluation all call these functions; training puts its
augmentation between the two halves and changes nothing else.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from streamcls.frames import RgbClip
from streamcls.transforms.spec import ClipSpec


def clip_batch(clips: Sequence[RgbClip], spec: ClipSpec, device: torch.device) -> Tensor:
    """Gather clips into one normalised batch on the device.

    The crop is a view, so what travels is one uint8 batch of just the pixels that count, a quarter
    of the bytes of floats; to a GPU from pinned memory, without waiting for it. All arithmetic is
    on the device. Clips may differ in their long side; the crop makes them equal.

    Args:
        clips: each uint8, shape (time, height, width, 3).

    Returns:
        float32, shape (batch, 3, time, crop, crop).

    Raises:
        ValueError: a clip's frame count or size does not fit the spec.
    """
    return normalise(gather(clips, spec, device), spec)


def gather(clips: Sequence[RgbClip], spec: ClipSpec, device: torch.device) -> Tensor:
    """The clips' central squares as one uint8 batch (batch, time, crop, crop, 3) on the device.

    Raises:
        ValueError: a clip's frame count or size does not fit the spec.
    """
    batch = torch.stack([_centre_crop(torch.from_numpy(clip), spec) for clip in clips])
    if device.type == "cuda":
        batch = batch.pin_memory()
    return batch.to(device, non_blocking=True)


def normalise(clips: Tensor, spec: ClipSpec) -> Tensor:
    """uint8 (batch, time, height, width, 3) -> float32 (batch, 3, time, height, width)."""
    return standardise(unit_range(clips), spec)


def unit_range(clips: Tensor) -> Tensor:
    """uint8 (batch, time, height, width, 3) -> float32 (batch, 3, time, height, width), 0 to 1."""
    return clips.permute(0, 4, 1, 2, 3).to(torch.float32) / 255


def standardise(clips: Tensor, spec: ClipSpec) -> Tensor:
    """Each channel less the spec's mean, over its standard deviation."""
    mean = torch.tensor(spec.mean, device=clips.device).view(1, 3, 1, 1, 1)
    std = torch.tensor(spec.std, device=clips.device).view(1, 3, 1, 1, 1)
    return (clips - mean) / std


def pathways(batch: Tensor, spec: ClipSpec) -> list[Tensor]:
    """The network's inputs, one per pathway: every `stride`-th frame of the batch, evenly spread.

    As pytorchvideo's SlowFast recipe: indices `linspace(0, T - 1, T // stride)`, truncated.

    Args:
        batch: shape (batch, 3, time, height, width).
    """
    frames = batch.shape[2]
    return [
        batch
        if stride == 1
        else batch.index_select(
            2, torch.linspace(0, frames - 1, frames // stride).long().to(batch.device)
        )
        for stride in spec.pathways
    ]


def _centre_crop(clip: Tensor, spec: ClipSpec) -> Tensor:
    """The central crop x crop square of a clip, (time, crop, crop, 3)."""
    frames, height, width, _ = clip.shape
    if frames != spec.num_frames or min(height, width) < spec.crop:
        raise ValueError(
            f"a clip of {frames} frames of {width}x{height} does not fit {spec.num_frames} frames"
            f" with a crop of {spec.crop}"
        )
    top, left = (height - spec.crop) // 2, (width - spec.crop) // 2
    return clip[:, top : top + spec.crop, left : left + spec.crop]
