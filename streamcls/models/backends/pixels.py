"""What stands before a network when it is compiled: uint8 pixels in, normalised floats out."""

import torch
from torch import Tensor, nn

from streamcls.transforms import ClipSpec


class Scaled(nn.Module):
    """Normalises pixels as they lie, channels last, in two operations where transforms take three.

    Equal within float rounding. Its numbers are buffers, so that nothing comes from the host.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, spec: ClipSpec, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        mean, std = torch.tensor(spec.mean), torch.tensor(spec.std)
        self.register_buffer("scale", 1 / (255 * std))
        self.register_buffer("shift", -mean / std)
        self._dtype = dtype

    def forward(self, pixels: Tensor) -> Tensor:
        """uint8 (..., 3) -> the same shape in the network's arithmetic."""
        return (pixels.to(torch.float32) * self.scale + self.shift).to(self._dtype)
