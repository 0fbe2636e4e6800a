"""A network made fit for conversion: what compilers cannot follow is put in plain operations."""

import copy

import torch
from torch import Tensor, nn

from streamcls.models.bundle import LoadedModel
from streamcls.models.zoo import forward_clips
from streamcls.transforms import ClipSpec
from streamcls.transforms.clip import pathway_frames


class PixelsToLogits(nn.Module):
    """The clip half after gathering, and the network, as one graph: uint8 in, logits out.

    Pixels are scaled as they lie, channels last: converted networks want them so, and need no copy
    in another order. Two operations where the transforms take three; equal within rounding.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module, spec: ClipSpec) -> None:
        super().__init__()
        mean, std = torch.tensor(spec.mean), torch.tensor(spec.std)
        self.register_buffer("scale", 1 / (255 * std))
        self.register_buffer("shift", -mean / std)
        self.network = network
        # Worked out here: another library's linspace, truncated, may give other frames.
        self._frames = [
            None if stride == 1 else pathway_frames(spec.num_frames, stride)
            for stride in spec.pathways
        ]

    def forward(self, clips: Tensor) -> Tensor:
        """Logits (batch, labels) of uint8 clips (batch, time, crop, crop, 3)."""
        scaled = clips.to(torch.float32) * self.scale + self.shift
        batch = scaled.permute(0, 4, 1, 2, 3)
        inputs = [
            batch if frames is None else batch.index_select(2, frames) for frames in self._frames
        ]
        return forward_clips(self.network, inputs).to(torch.float32)


def portable(model: LoadedModel) -> PixelsToLogits:
    """A copy of a model's network on the CPU that tracers and compilers can follow.

    pytorchvideo's Swish, of which it has two, is an autograd function of its own to save memory in
    training. X3D's pooling sizes, numpy integers, are made plain where the zoo builds it.
    """
    network = copy.deepcopy(model.network).cpu()
    for name, module in list(network.named_modules()):
        kind = type(module)
        if kind.__name__ == "Swish" and kind.__module__.startswith("pytorchvideo."):
            parent, _, leaf = name.rpartition(".")
            setattr(network.get_submodule(parent), leaf, nn.SiLU())
    return PixelsToLogits(network, model.clip_spec).eval().requires_grad_(False)


def example(spec: ClipSpec) -> Tensor:
    """A batch of one black clip, of the shape and type that the graph takes."""
    return torch.zeros(1, spec.num_frames, spec.crop, spec.crop, 3, dtype=torch.uint8)
