"""What all of the hub's networks share: how they were trained and where their weights are.

Figures of the entries: parameters, FLOPs and top-1 from pytorchvideo's `docs/source/model_zoo.md`;
frames, sampling rate and crop from pytorch.org/hub/facebookresearch_pytorchvideo_{x3d,resnet,
slowfast}, and, for networks that have no page there, from the configurations of their training,
facebookresearch/SlowFast `configs/Kinetics/pytorchvideo/*.yaml` (TEST_CROP_SIZE).
"""

from torch import nn

from streamcls.models.torchvision_stub import import_pytorchvideo
from streamcls.transforms.spec import ClipSpec

CHECKPOINTS = "https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics"
LABELS_URL = (
    "https://dl.fbaipublicfiles.com/pyslowfast/dataset/class_names/kinetics_classnames.json"
)
"""The 400 class names by index, as the hub's pages load them."""


def kinetics_spec(
    num_frames: int, sampling_rate: int, crop: int, pathways: tuple[int, ...] = (1,)
) -> ClipSpec:
    """Clips at 30 fps whose short side is scaled to the crop; mean and std are the defaults."""
    return ClipSpec(
        num_frames=num_frames,
        sampling_rate=sampling_rate,
        trained_fps=30,
        short_side=crop,
        crop=crop,
        pathways=pathways,
    )


def initialised(network: nn.Module) -> nn.Module:
    """Draw the weights as the published training did; torch's own way learns much more slowly."""
    import_pytorchvideo("weight_init").init_net_weights(network)
    return network
