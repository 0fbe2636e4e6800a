"""X3D (arXiv 2004.04730): one small network, expanded along time, pixels and depth.

Each is built for its training crop (160, 160, 224, 312) and tested at the larger crop of its spec
(182, 182, 256, 356), as the hub's page and the paper do.
"""

from typing import Any

from torch import nn

from streamcls.models.architecture import Architecture, Builder
from streamcls.models.hub.kinetics import CHECKPOINTS, initialised, kinetics_spec
from streamcls.models.torchvision_stub import import_pytorchvideo


def _x3d(*, clip_length: int, crop: int, depth_factor: float = 2.2) -> Builder:
    def build(
        *,
        num_classes: int = 400,
        clip_length: int = clip_length,
        crop: int = crop,
        width_factor: float = 2.0,
        depth_factor: float = depth_factor,
        dropout: float = 0.5,
    ) -> nn.Module:
        network: nn.Module = import_pytorchvideo("x3d").create_x3d(
            input_clip_length=clip_length,
            input_crop_size=crop,
            model_num_class=num_classes,
            width_factor=width_factor,
            depth_factor=depth_factor,
            dropout_rate=dropout,
            # The hub's X3D averages probabilities over head positions; this averages logits, as
            # training needs. With one position (crop as built) the two are the same.
            head_activation=None,
        )
        # pytorchvideo leaves numpy integers here, which torch.compile cannot trace.
        pool: Any = network.get_submodule("blocks.5.pool.pool")
        pool.kernel_size = tuple(int(size) for size in pool.kernel_size)
        return initialised(network)

    return build


NETWORKS = {
    "x3d_xs": Architecture(
        build=_x3d(clip_length=4, crop=160),
        clip_spec=kinetics_spec(4, 12, 182),
        description="X3D-XS: smallest of the X3D family, 1.2 s clips",
        parameters=3_794_274,
        gflops=0.91,
        kinetics400_top1=69.12,
        checkpoint=f"{CHECKPOINTS}/X3D_XS.pyth",
    ),
    "x3d_s": Architecture(
        build=_x3d(clip_length=13, crop=160),
        clip_spec=kinetics_spec(13, 6, 182),
        description="X3D-S: X3D with more frames, 2.4 s clips",
        parameters=3_794_274,
        gflops=2.96,
        kinetics400_top1=73.33,
        checkpoint=f"{CHECKPOINTS}/X3D_S.pyth",
    ),
    "x3d_m": Architecture(
        build=_x3d(clip_length=16, crop=224),
        clip_spec=kinetics_spec(16, 5, 256),
        description="X3D-M: X3D with more frames and pixels, 2.5 s clips",
        parameters=3_794_274,
        gflops=6.72,
        kinetics400_top1=75.94,
        checkpoint=f"{CHECKPOINTS}/X3D_M.pyth",
    ),
    "x3d_l": Architecture(
        build=_x3d(clip_length=16, crop=312, depth_factor=5.0),
        clip_spec=kinetics_spec(16, 5, 356),
        description="X3D-L: X3D-M with more pixels and layers, 2.5 s clips",
        parameters=6_153_384,
        gflops=26.64,
        kinetics400_top1=77.44,
        checkpoint=f"{CHECKPOINTS}/X3D_L.pyth",
    ),
}
