"""Clips in, probabilities out: the one path of the golden check, serving and evaluation."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from streamcls.frames import RgbClip
from streamcls.models.manifest import Activation
from streamcls.models.zoo import forward_clips
from streamcls.transforms import ClipSpec
from streamcls.transforms.clip import clip_batch, pathways


def logits_of(
    network: nn.Module, clips: Sequence[RgbClip], spec: ClipSpec, device: torch.device
) -> Tensor:
    """Logits of a batch of clips, through both halves of what follows the frame half.

    Args:
        clips: each uint8, shape (time, height, width, 3), at the spec's short side.

    Returns:
        On the device, shape (batch, num_classes). Gradients follow the caller's mode.
    """
    return forward_clips(network, pathways(clip_batch(clips, spec, device), spec))


@torch.inference_mode()
def probabilities_of(
    network: nn.Module,
    clips: Sequence[RgbClip],
    spec: ClipSpec,
    device: torch.device,
    activation: Activation,
) -> Tensor:
    """Probabilities of a batch of clips by a network in evaluation mode.

    Returns:
        float32 on the device, shape (batch, num_classes), each in [0, 1]; with softmax each row
        sums to 1, with sigmoid every score stands alone.
    """
    return activated(logits_of(network, clips, spec, device), activation)


def activated(logits: Tensor, activation: Activation) -> Tensor:
    """Probabilities of logits (batch, num_classes), float32 whatever the network's arithmetic."""
    logits = logits.float()
    return logits.sigmoid() if activation is Activation.SIGMOID else logits.softmax(dim=1)
