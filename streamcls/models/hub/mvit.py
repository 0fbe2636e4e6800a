"""MViT (arXiv 2104.11227): a transformer that trades resolution for channels as it goes.

Its position embeddings are of one size, so it is served at the crop it was trained at.
"""

from torch import nn

from streamcls.models.architecture import Architecture, Builder
from streamcls.models.hub.kinetics import CHECKPOINTS, kinetics_spec
from streamcls.models.torchvision_stub import import_pytorchvideo

_GROWING_BLOCKS = (1, 3, 14)
"""Blocks before which channels and heads double, and in which height and width halve."""


def _mvit(*, clip_length: int) -> Builder:
    def build(
        *,
        num_classes: int = 400,
        clip_length: int = clip_length,
        crop: int = 224,
        width: int = 96,
        dropout: float = 0.5,
        drop_path: float = 0.0,
    ) -> nn.Module:
        # It draws its weights itself, as published (init_net_weights, style "vit").
        network: nn.Module = import_pytorchvideo(
            "vision_transformers"
        ).create_multiscale_vision_transformers(
            spatial_size=crop,
            temporal_size=clip_length,
            patch_embed_dim=width,
            embed_dim_mul=[[block, 2.0] for block in _GROWING_BLOCKS],
            atten_head_mul=[[block, 2.0] for block in _GROWING_BLOCKS],
            pool_q_stride_size=[[block, 1, 2, 2] for block in _GROWING_BLOCKS],
            pool_kv_stride_adaptive=[1, 8, 8],
            pool_kvq_kernel=[3, 3, 3],
            droppath_rate_block=drop_path,
            head_dropout_rate=dropout,
            head_num_classes=num_classes,
        )
        return network

    return build


NETWORKS = {
    "mvit_base_16x4": Architecture(
        build=_mvit(clip_length=16),
        clip_spec=kinetics_spec(16, 4, 224),
        description="MViT-B 16x4: multiscale vision transformer, 2.0 s clips",
        parameters=36_610_672,
        gflops=70.80,
        kinetics400_top1=78.85,
        checkpoint=f"{CHECKPOINTS}/MVIT_B_16x4.pyth",
    ),
    "mvit_base_32x3": Architecture(
        build=_mvit(clip_length=32),
        clip_spec=kinetics_spec(32, 3, 224),
        description="MViT-B 32x3: multiscale vision transformer, 3.1 s clips",
        parameters=36_611_440,
        gflops=170.37,
        kinetics400_top1=80.30,
        checkpoint=f"{CHECKPOINTS}/MVIT_B_32x3_f294077834.pyth",
    ),
}
