"""SlowFast (arXiv 1812.03982): a slow pathway of every fourth frame beside a fast one of all.

Named frames x rate of the slow pathway: 8x8 takes 32 frames at rate 2, of which 8 at rate 8.
"""

from typing import Any

from torch import nn

from streamcls.models.architecture import Architecture, Builder
from streamcls.models.hub.kinetics import CHECKPOINTS, initialised, kinetics_spec
from streamcls.models.torchvision_stub import import_pytorchvideo

_ALPHA = 4
"""Frames of the fast pathway to one of the slow (the paper's alpha)."""
_BETA = 8
"""Channels of the slow pathway to one of the fast (the paper's 1 / beta)."""
_REDUCTION = 32
"""Pixels of the crop per cell of the last feature map, each way."""


def _slowfast(*, clip_length: int, fusion: int, **fixed: Any) -> Builder:
    """A builder whose `clip_length` and `crop` size the head's pooling.

    Args:
        fusion: frames that the fusing convolutions span.
    """

    def build(
        *,
        num_classes: int = 400,
        clip_length: int = clip_length,
        crop: int = 224,
        width: int = 64,
        dropout: float = 0.5,
    ) -> nn.Module:
        side = crop // _REDUCTION
        network: nn.Module = import_pytorchvideo("slowfast").create_slowfast(
            model_num_class=num_classes,
            dropout_rate=dropout,
            slowfast_fusion_conv_kernel_size=(fusion, 1, 1),
            stem_dim_outs=(width, width // _BETA),
            head_pool_kernel_sizes=((clip_length // _ALPHA, side, side), (clip_length, side, side)),
            head_activation=None,
            **fixed,
        )
        return initialised(network)

    return build


# Of the 23 blocks of a ResNet-101's fourth stage, the first six convolve time.
_SIX_OF_23 = ((3, 1, 1),) * 6 + ((1, 1, 1),) * 17

NETWORKS = {
    "slowfast_r50": Architecture(
        build=_slowfast(clip_length=32, fusion=7, model_depth=50),
        clip_spec=kinetics_spec(32, 2, 256, (_ALPHA, 1)),
        description="SlowFast ResNet-50 8x8, two pathways, 2.1 s clips",
        parameters=34_566_488,
        gflops=65.71,
        kinetics400_top1=76.94,
        checkpoint=f"{CHECKPOINTS}/SLOWFAST_8x8_R50.pyth",
    ),
    "slowfast_r101": Architecture(
        build=_slowfast(clip_length=32, fusion=5, model_depth=101),
        clip_spec=kinetics_spec(32, 2, 256, (_ALPHA, 1)),
        description="SlowFast ResNet-101 8x8, two pathways, 2.1 s clips",
        parameters=62_826_968,
        gflops=127.20,
        kinetics400_top1=77.90,
        checkpoint=f"{CHECKPOINTS}/SLOWFAST_8x8_R101.pyth",
    ),
    "slowfast_16x8_r101_50_50": Architecture(
        build=_slowfast(
            clip_length=64,
            fusion=5,
            model_depth=101,
            stage_conv_a_kernel_sizes=(
                ((1, 1, 1), (1, 1, 1), _SIX_OF_23, (3, 1, 1)),
                ((3, 1, 1), (3, 1, 1), _SIX_OF_23, (3, 1, 1)),
            ),
        ),
        clip_spec=kinetics_spec(64, 2, 256, (_ALPHA, 1)),
        description="SlowFast ResNet-101 16x8, two pathways, 4.2 s clips",
        parameters=53_774_808,
        gflops=215.61,
        kinetics400_top1=78.70,
        checkpoint=f"{CHECKPOINTS}/SLOWFAST_16x8_R101_50_50.pyth",
    ),
}
