"""Networks of one pathway on a ResNet: C2D, I3D, Slow, R(2+1)D, CSN.

Built for the training crop of 224 pixels, whose last feature map the head pools over; at the test
crop of 256 the head averages over four positions.
"""

from typing import Any

from torch import nn

from streamcls.models.architecture import Architecture, Builder
from streamcls.models.hub.kinetics import CHECKPOINTS, initialised, kinetics_spec
from streamcls.models.torchvision_stub import import_pytorchvideo

_REDUCTION = 32
"""Pixels of the crop per cell of the last feature map, each way."""


def _resnet(
    create: tuple[str, str],
    *,
    clip_length: int,
    temporal_reduction: int,
    dropout: float = 0.5,
    **fixed: Any,
) -> Builder:
    """A builder whose `clip_length` and `crop` size the head's pooling.

    Args:
        create: module of `pytorchvideo.models` and the function in it.
        temporal_reduction: frames of the clip per cell of the last feature map.
    """
    module, function = create

    def build(
        *,
        num_classes: int = 400,
        clip_length: int = clip_length,
        crop: int = 224,
        width: int = 64,
        dropout: float = dropout,
    ) -> nn.Module:
        side = crop // _REDUCTION
        network: nn.Module = getattr(import_pytorchvideo(module), function)(
            model_num_class=num_classes,
            dropout_rate=dropout,
            stem_dim_out=width,
            head_pool_kernel_size=(clip_length // temporal_reduction, side, side),
            head_activation=None,
            **fixed,
        )
        return initialised(network)

    return build


_SPATIAL = ((1, 1, 1),) * 4

NETWORKS = {
    "slow_r50": Architecture(
        build=_resnet(
            ("resnet", "create_resnet"),
            clip_length=8,
            temporal_reduction=1,
            stem_conv_kernel_size=(1, 7, 7),
        ),
        clip_spec=kinetics_spec(8, 8, 256),
        description="Slow-only ResNet-50 8x8, 1.9 s clips",
        parameters=32_454_096,
        gflops=54.52,
        kinetics400_top1=74.58,
        checkpoint=f"{CHECKPOINTS}/SLOW_8x8_R50.pyth",
    ),
    "c2d_r50": Architecture(
        build=_resnet(
            ("resnet", "create_resnet"),
            clip_length=8,
            temporal_reduction=2,
            stem_conv_kernel_size=(1, 7, 7),
            stage1_pool=nn.MaxPool3d,
            stage_conv_a_kernel_size=_SPATIAL,
        ),
        clip_spec=kinetics_spec(8, 8, 256),
        description="C2D ResNet-50 8x8: convolves pictures only, 1.9 s clips",
        parameters=24_327_632,
        gflops=25.89,
        kinetics400_top1=71.46,
        checkpoint=f"{CHECKPOINTS}/C2D_8x8_R50.pyth",
    ),
    "i3d_r50": Architecture(
        build=_resnet(
            ("resnet", "create_resnet"),
            clip_length=8,
            temporal_reduction=2,
            stem_conv_kernel_size=(5, 7, 7),
            stage1_pool=nn.MaxPool3d,
            stage_conv_a_kernel_size=(
                (3, 1, 1),
                [(3, 1, 1), (1, 1, 1)],
                [(3, 1, 1), (1, 1, 1)],
                [(1, 1, 1), (3, 1, 1)],
            ),
        ),
        clip_spec=kinetics_spec(8, 8, 256),
        description="I3D ResNet-50 8x8: convolves time in every second block, 1.9 s clips",
        parameters=28_043_472,
        gflops=37.53,
        kinetics400_top1=73.27,
        checkpoint=f"{CHECKPOINTS}/I3D_8x8_R50.pyth",
    ),
    "r2plus1d_r50": Architecture(
        # As X3D's, the hub's head takes a softmax at each position before it averages them.
        build=_resnet(("r2plus1d", "create_r2plus1d"), clip_length=16, temporal_reduction=4),
        clip_spec=kinetics_spec(16, 4, 256),
        description="R(2+1)D ResNet-50 16x4: space and time in turn, 2.0 s clips",
        parameters=28_107_600,
        gflops=76.45,
        kinetics400_top1=76.01,
        checkpoint=f"{CHECKPOINTS}/R2PLUS1D_16x4_R50.pyth",
    ),
    "csn_r101": Architecture(
        build=_resnet(
            ("csn", "create_csn"),
            clip_length=32,
            temporal_reduction=8,
            dropout=0.0,
            model_depth=101,
            stem_pool=nn.MaxPool3d,
        ),
        clip_spec=kinetics_spec(32, 2, 256),
        description="CSN ResNet-101 32x2: channel-separated convolutions, 2.1 s clips",
        parameters=22_213_776,
        gflops=75.62,
        kinetics400_top1=77.0,
        checkpoint=f"{CHECKPOINTS}/CSN_32x2_R101.pyth",
    ),
}
