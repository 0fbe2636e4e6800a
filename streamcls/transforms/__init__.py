"""The one transform stack that serving and finetuning share, in the order a frame meets it.

spec    ClipSpec: what a network was trained on, stored in its model file
grid    which decoded frames show at which instants (uniform temporal subsampling)
pixels  frame half: a decoder's picture -> small RGB, once per grid frame
clip    clip half, on the device: T pictures -> the network's normalised input

`clip` is imported by its own name: it needs torch, and what only decodes does not.
"""

from streamcls.transforms.grid import GridSampler, WindowPlan, phase_of
from streamcls.transforms.pixels import scaled_size, to_small_rgb
from streamcls.transforms.spec import ClipSpec, PixelRecipe

__all__ = [
    "ClipSpec",
    "GridSampler",
    "PixelRecipe",
    "WindowPlan",
    "phase_of",
    "scaled_size",
    "to_small_rgb",
]
