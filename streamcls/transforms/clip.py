"""Clip half, on the device: T small RGB pictures -> the network's normalised input.

Serving, finetune's validation and evaluation all call these functions; training puts its
augmentation between the two halves and changes nothing else.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from streamcls.frames import RgbClip, RgbImage
from streamcls.transforms.spec import ClipSpec


def clip_batch(clips: Sequence[RgbClip], spec: ClipSpec, device: torch.device) -> Tensor:
    """Gather clips into one normalised batch on the device.

    Just the pixels that count are copied, once, into one uint8 batch, a quarter of the bytes of
    floats; to a GPU it travels from pinned memory, without waiting for it. All arithmetic is
    on the device. Clips may differ in their long side; the crop makes them equal.

    Args:
        clips: each of `num_frames` pictures, uint8, shape (height, width, 3).

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
    for clip in clips:
        check_clip(clip, spec)
    pictures = [picture for clip in clips for picture in clip]
    batch = gather_pictures(pictures, spec, device)
    return batch.reshape(len(clips), spec.num_frames, *batch.shape[1:])


def gather_pictures(pictures: Sequence[RgbImage], spec: ClipSpec, device: torch.device) -> Tensor:
    """Central squares of pictures as one uint8 batch (pictures, crop, crop, 3) on the device."""
    shape = (len(pictures), spec.crop, spec.crop, 3)
    batch = torch.empty(shape, dtype=torch.uint8, pin_memory=device.type == "cuda")
    for place, picture in zip(batch.numpy(), pictures, strict=True):
        place[:] = centre_crop(picture, spec)
    return batch.to(device, non_blocking=True)


def check_clip(clip: RgbClip, spec: ClipSpec) -> None:
    """Refuse what the spec's network does not take.

    Raises:
        ValueError: the frame count or the size does not fit.
    """
    height, width, _ = clip[0].shape
    if len(clip) != spec.num_frames or min(height, width) < spec.crop:
        raise ValueError(
            f"a clip of {len(clip)} frames of {width}x{height} does not fit {spec.num_frames}"
            f" frames with a crop of {spec.crop}"
        )


def centre_crop(picture: RgbImage, spec: ClipSpec) -> RgbImage:
    """The central crop x crop square of a picture, a view."""
    height, width, _ = picture.shape
    top, left = (height - spec.crop) // 2, (width - spec.crop) // 2
    return picture[top : top + spec.crop, left : left + spec.crop]


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

    Args:
        batch: shape (batch, 3, time, height, width).
    """
    frames = batch.shape[2]
    return [
        batch
        if stride == 1
        else batch.index_select(2, pathway_frames(frames, stride).to(batch.device))
        for stride in spec.pathways
    ]


def pathway_frames(frames: int, stride: int) -> Tensor:
    """Indices of one pathway's frames, int64, shape (frames // stride,).

    As pytorchvideo's SlowFast recipe: `linspace(0, frames - 1, frames // stride)`, truncated.
    """
    return torch.linspace(0, frames - 1, frames // stride).long()
