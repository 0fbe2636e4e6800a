"""The networks of pytorchvideo's hub that classify video, by their hub names.

Each builder repeats the arguments of the hub's own (`pytorchvideo/models/hub/*.py`), so official
checkpoints fit it; with one change, wherever the hub does otherwise: no softmax in the head.
Training needs logits, and scoring applies the activation that the model file names.

Left out: `mvit_base_16`, which classifies images, and the `*_detection` networks.
"""

from streamcls.models.architecture import Architecture
from streamcls.models.hub import efficient_x3d, mvit, resnet, slowfast, x3d

HUB: dict[str, Architecture] = (
    x3d.NETWORKS | efficient_x3d.NETWORKS | resnet.NETWORKS | slowfast.NETWORKS | mvit.NETWORKS
)
