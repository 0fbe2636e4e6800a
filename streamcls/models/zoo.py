"""The networks that can be served and finetuned, by name: how to build one and what it sees.

Every network gives logits. All but MotionNet are pytorchvideo's: their builders repeat the
arguments of its hub builders (`pytorchvideo/models/hub/{x3d,resnet,slowfast}.py`), so official
checkpoints fit them. Parameter counts: its `docs/source/model_zoo.md`. Clip numbers: the transform
parameters on pytorch.org/hub/facebookresearch_pytorchvideo_{x3d,resnet,slowfast}.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from streamcls.errors import ModelError
from streamcls.models.motion import MotionNet
from streamcls.models.torchvision_stub import import_pytorchvideo
from streamcls.transforms.spec import ClipSpec

Builder = Callable[..., nn.Module]


@dataclass(frozen=True, slots=True)
class Architecture:
    """One entry of the zoo.

    Attributes:
        build: takes `num_classes` and further JSON-able arguments by keyword; every one has a
            default. Returns a network of randomly initialised weights that gives logits.
        clip_spec: the clips it was designed for.
        description: one line for a listing.
        parameters: weights with 400 classes as published, or with its own default classes.
    """

    build: Builder
    clip_spec: ClipSpec
    description: str
    parameters: int


def build_network(architecture: str, **arguments: Any) -> nn.Module:
    """Build a network by its zoo name.

    Args:
        arguments: the builder's own, such as `num_classes`.

    Returns:
        A network in training mode with random weights; it gives logits (batch, num_classes).

    Raises:
        ModelError: no such architecture, or an argument it does not take.
    """
    entry = find_architecture(architecture)
    try:
        return entry.build(**arguments)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise ModelError(f"{architecture} cannot be built with {arguments}: {error}") from None


def find_architecture(name: str) -> Architecture:
    """The zoo's entry of that name.

    Raises:
        ModelError: there is none.
    """
    if name not in ZOO:
        raise ModelError(f"unknown architecture {name!r}; known: {', '.join(ZOO)}")
    return ZOO[name]


def forward_clips(network: nn.Module, inputs: Sequence[Tensor]) -> Tensor:
    """Logits of a batch, however many pathways the network has.

    Args:
        inputs: one tensor per pathway, each (batch, 3, time, height, width).

    Returns:
        Shape (batch, num_classes).
    """
    # A fresh list: pytorchvideo's multi-pathway networks overwrite the one they are given.
    logits: Tensor = network(inputs[0] if len(inputs) == 1 else list(inputs))
    return logits


def num_outputs(network: nn.Module) -> int:
    """How many classes the network's last projection gives."""
    return _projection(network)[1].out_features


def replace_head(network: nn.Module, num_classes: int) -> nn.Linear:
    """Put a fresh projection to `num_classes` in the place of the network's last one.

    Returns:
        The new layer, already part of the network, on the old one's device.
    """
    name, old = _projection(network)
    new = nn.Linear(old.in_features, num_classes, bias=old.bias is not None)
    # As pytorchvideo initialises its heads (models/weight_init.py, fc_init_std).
    nn.init.normal_(new.weight, mean=0.0, std=0.01)
    if old.bias is not None:
        nn.init.zeros_(new.bias)
    parent, _, leaf = name.rpartition(".")
    setattr(network.get_submodule(parent), leaf, new.to(old.weight.device, old.weight.dtype))
    return new


def _projection(network: nn.Module) -> tuple[str, nn.Linear]:
    """The last linear layer in definition order: in every zoo network, the one to classes."""
    linear = [
        (name, module) for name, module in network.named_modules() if isinstance(module, nn.Linear)
    ]
    if not linear:
        raise ModelError(f"{type(network).__name__} has no linear layer to take as its head")
    return linear[-1]


def _x3d(*, clip_length: int, crop: int) -> Builder:
    def build(
        *,
        num_classes: int = 400,
        clip_length: int = clip_length,
        crop: int = crop,
        width_factor: float = 2.0,
        depth_factor: float = 2.2,
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
        return _initialised(network)

    return build


def _slow_r50(*, num_classes: int = 400, dropout: float = 0.5) -> nn.Module:
    network: nn.Module = import_pytorchvideo("resnet").create_resnet(
        stem_conv_kernel_size=(1, 7, 7),
        head_pool_kernel_size=(8, 7, 7),
        model_depth=50,
        model_num_class=num_classes,
        dropout_rate=dropout,
        head_activation=None,
    )
    return _initialised(network)


def _slowfast_r50(*, num_classes: int = 400, dropout: float = 0.5) -> nn.Module:
    network: nn.Module = import_pytorchvideo("slowfast").create_slowfast(
        model_depth=50,
        slowfast_fusion_conv_kernel_size=(7, 1, 1),
        model_num_class=num_classes,
        dropout_rate=dropout,
        head_activation=None,
    )
    return _initialised(network)


def _initialised(network: nn.Module) -> nn.Module:
    """Draw the weights as the published training did; torch's own way learns much more slowly."""
    import_pytorchvideo("weight_init").init_net_weights(network)
    return network


def _spec(
    num_frames: int, sampling_rate: int, size: int, pathways: tuple[int, ...] = (1,)
) -> ClipSpec:
    return ClipSpec(
        num_frames=num_frames,
        sampling_rate=sampling_rate,
        trained_fps=30,
        short_side=size,
        crop=size,
        pathways=pathways,
    )


# X3D is built for its training crop (160, 160, 224) and tested at the larger crop of its spec
# (182, 182, 256), as the hub pages and the X3D paper (arXiv 2004.04730) do.
ZOO: dict[str, Architecture] = {
    "x3d_xs": Architecture(
        _x3d(clip_length=4, crop=160),
        _spec(4, 12, 182),
        "X3D-XS: smallest of the X3D family, 1.2 s clips",
        3_794_274,
    ),
    "x3d_s": Architecture(
        _x3d(clip_length=13, crop=160),
        _spec(13, 6, 182),
        "X3D-S: X3D with more frames, 2.4 s clips",
        3_794_274,
    ),
    "x3d_m": Architecture(
        _x3d(clip_length=16, crop=224),
        _spec(16, 5, 256),
        "X3D-M: X3D with more frames and pixels, 2.5 s clips",
        3_794_274,
    ),
    "slow_r50": Architecture(
        _slow_r50, _spec(8, 8, 256), "Slow-only ResNet-50 8x8, 1.9 s clips", 32_454_096
    ),
    "slowfast_r50": Architecture(
        _slowfast_r50,
        _spec(32, 2, 256, (4, 1)),
        "SlowFast ResNet-50 8x8, two pathways, 2.1 s clips",
        34_566_488,
    ),
    "motion_net": Architecture(
        MotionNet,
        ClipSpec(num_frames=8, sampling_rate=3, trained_fps=20, short_side=64, crop=64),
        "MotionNet: compares frames, for camera motion, 1.05 s clips",
        456_109,
    ),
}
