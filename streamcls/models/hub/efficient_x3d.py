"""EfficientX3D: X3D written anew for mobile CPUs, from pytorchvideo's accelerator.

Its pooling takes any crop, and it was trained as X3D was: so the specs are X3D's. Top-1 is of 10
views of one crop, where the others' is of 30 views. No FLOPs are published; these are counted
(`tests/models/test_figures.py`).
"""

from torch import nn

from streamcls.models.architecture import Architecture, Builder
from streamcls.models.hub.kinetics import CHECKPOINTS, initialised, kinetics_spec
from streamcls.models.torchvision_stub import import_pytorchvideo


def _efficient_x3d(expansion: str) -> Builder:
    def build(*, num_classes: int = 400, dropout: float = 0.5) -> nn.Module:
        network: nn.Module = import_pytorchvideo("accelerator.mobile_cpu.efficient_x3d").create_x3d(
            expansion=expansion, num_classes=num_classes, dropout=dropout
        )
        return initialised(network)

    return build


NETWORKS = {
    "efficient_x3d_xs": Architecture(
        build=_efficient_x3d("XS"),
        clip_spec=kinetics_spec(4, 12, 182),
        description="X3D-XS in blocks for mobile CPUs, 1.2 s clips",
        parameters=3_794_322,
        gflops=0.84,
        kinetics400_top1=68.5,
        checkpoint=f"{CHECKPOINTS}/efficient_x3d_xs_original_form.pyth",
    ),
    "efficient_x3d_s": Architecture(
        build=_efficient_x3d("S"),
        clip_spec=kinetics_spec(13, 6, 182),
        description="X3D-S in blocks for mobile CPUs, 2.4 s clips",
        parameters=3_794_322,
        gflops=2.72,
        kinetics400_top1=73.0,
        checkpoint=f"{CHECKPOINTS}/efficient_x3d_s_original_form.pyth",
    ),
}
