"""Splitting a network where time first matters: what comes before can be kept between windows.

Slow's stem, res2 and res3, and all of C2D but its head, convolve pictures only. Their features of
a picture are the same in every window that shows it. C2D pools pairs of frames after res2: there,
those of a pair are.
"""

import copy
import math
from dataclasses import dataclass

from torch import Tensor, nn

from streamcls.models.backends.pixels import Scaled
from streamcls.transforms import ClipSpec

_POINTWISE = (nn.ReLU, nn.Identity, nn.Dropout, nn.Dropout3d)
_POOLS: dict[type[nn.Module], type[nn.Module]] = {
    nn.MaxPool3d: nn.MaxPool2d,
    nn.AvgPool3d: nn.AvgPool2d,
}


class OverTime(nn.Module):
    """The greatest, or the mean, of each `count` pictures that follow one another in the batch."""

    def __init__(self, count: int, *, mean: bool) -> None:
        super().__init__()
        self.count = count
        self._mean = mean

    def forward(self, pictures: Tensor) -> Tensor:
        """(units x count, channels, height, width) -> (units, channels, height, width)."""
        grouped = pictures.reshape(-1, self.count, *pictures.shape[1:])
        return grouped.mean(dim=1) if self._mean else grouped.amax(dim=1)


class PerUnit(nn.Module):
    """Pixels of whole units -> their features; no unit's depend on another's."""

    def __init__(self, blocks: list[nn.Module], spec: ClipSpec) -> None:
        super().__init__()
        self.scaled = Scaled(spec)
        self.blocks = nn.Sequential(*blocks)

    def forward(self, pictures: Tensor) -> Tensor:
        """uint8 (units, frames, height, width, 3) -> (units, channels, h, w)."""
        scaled = self.scaled(pictures.flatten(0, 1))
        features: Tensor = self.blocks(scaled.permute(0, 3, 1, 2))
        return features


class Rest(nn.Module):
    """Features of whole clips -> logits."""

    def __init__(self, blocks: list[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)

    def forward(self, features: Tensor) -> Tensor:
        """(batch, units, channels, h, w), each clip's units in order -> (batch, labels)."""
        logits: Tensor = self.blocks(features.transpose(1, 2))
        return logits


@dataclass(frozen=True, slots=True, eq=False)
class SplitNetwork:
    """A network of one pathway in two parts, each of which any engine may compile.

    Attributes:
        per_unit: convolves pictures, in two dimensions, which engines like better than three.
        frames: frames of a clip in a unit: 1, or more where time was pooled.
    """

    per_unit: PerUnit
    rest: Rest
    frames: int


def split_network(network: nn.Module, spec: ClipSpec) -> SplitNetwork | None:
    """Cut a network behind the last block that takes every unit of frames by itself.

    What a block does is read from its layers, not from its name: each must be known, and its
    kernel, stride and padding in time such that no output sees two units. What the blocks do with
    their layers is pytorchvideo's: to run them one after another, and to add up branches.

    Args:
        network: in evaluation mode.

    Returns:
        None where its first block mixes frames already, or it is no chain of blocks.
    """
    blocks = getattr(network, "blocks", None)
    if not isinstance(blocks, nn.ModuleList) or [*network.children()] != [blocks]:
        return None
    kept: list[nn.Module] = []
    frames = 1
    for block in blocks:
        flat = _flat(block)
        # The last block is the head: it may pool what it likes, and there is nothing behind it.
        if flat is None or block is blocks[-1]:
            break
        pooled = math.prod(one.count for one in flat.modules() if isinstance(one, OverTime))
        if spec.num_frames % (frames * pooled):
            break
        frames *= pooled
        kept.append(flat)
    if not kept:
        return None
    device = next(network.parameters()).device
    per_unit, rest = PerUnit(kept, spec).to(device), Rest([*blocks[len(kept) :]])
    return SplitNetwork(per_unit.eval(), rest.eval(), frames)


def _flat(module: nn.Module) -> nn.Module | None:
    """A copy that takes pictures (batch, channels, height, width); None where it mixes frames."""
    if not [*module.children()]:
        return _flat_layer(module)
    if next(module.parameters(recurse=False), None) is not None or not _only_composes(module):
        return None
    copied = copy.copy(module)
    copied._modules = dict(module._modules)
    for name, child in module.named_children():
        flat = _flat(child)
        if flat is None:
            return None
        copied._modules[name] = flat
    return copied


def _only_composes(module: nn.Module) -> bool:
    return type(module).__module__.split(".")[0] in ("pytorchvideo", "torch")


def _flat_layer(layer: nn.Module) -> nn.Module | None:
    if isinstance(layer, _POINTWISE):
        return layer
    if type(layer) is nn.Conv3d:
        return _flat_convolution(layer)
    if type(layer) is nn.BatchNorm3d:
        norm = nn.BatchNorm2d(layer.num_features, layer.eps, affine=layer.affine)
        norm.load_state_dict(layer.state_dict())
        return norm
    if type(layer) in _POOLS:
        return _flat_pool(layer)
    return None


def _flat_convolution(layer: nn.Conv3d) -> nn.Module | None:
    if isinstance(layer.padding, str) or layer.padding_mode != "zeros":
        return None
    if (layer.kernel_size[0], layer.stride[0], layer.padding[0]) != (1, 1, 0):
        return None
    flat = nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        _in_space(layer.kernel_size),
        stride=_in_space(layer.stride),
        padding=_in_space(layer.padding),
        dilation=_in_space(layer.dilation),
        groups=layer.groups,
        bias=layer.bias is not None,
    )
    flat.weight = nn.Parameter(layer.weight.detach().squeeze(2), requires_grad=False)
    flat.bias = layer.bias
    return flat


def _flat_pool(layer: nn.Module) -> nn.Module | None:
    kernel, stride = _three(layer.kernel_size), _three(layer.stride)
    padding = _three(layer.padding)
    if padding[0] or not _is_plain(layer):
        return None
    if (kernel[0], stride[0]) == (1, 1):
        return _POOLS[type(layer)](*map(_in_space, (kernel, stride, padding)))
    if kernel == stride == (kernel[0], 1, 1) and padding == (0, 0, 0):
        return OverTime(kernel[0], mean=isinstance(layer, nn.AvgPool3d))
    return None


def _is_plain(layer: nn.Module) -> bool:
    """Whether a pool has no more to it than kernel, stride and padding."""
    if layer.ceil_mode or getattr(layer, "return_indices", False):
        return False
    if isinstance(layer, nn.AvgPool3d):
        return layer.count_include_pad and layer.divisor_override is None
    return _three(layer.dilation) == (1, 1, 1)


def _three(size: object) -> tuple[int, int, int]:
    """A layer's size for time, height and width, however it was given."""
    if isinstance(size, int):
        return size, size, size
    assert isinstance(size, tuple | list)
    time, height, width = size
    return time, height, width


def _in_space(size: tuple[int, ...]) -> tuple[int, int]:
    _, height, width = size
    return height, width
