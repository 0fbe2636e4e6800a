"""The networks that can be served and finetuned, by name. Every one gives logits.

    pytorchvideo's hub      `streamcls.models.hub`
    MotionNet               `streamcls.models.motion`, of the bundled camera-motion
    of this process         `register_architecture`
    of installed packages   entry points of the group `streamcls.architectures`

A model file names its network and never code to import: what runs is what was installed.
"""

import logging
import re
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from torch import Tensor, nn

from streamcls.errors import ModelError
from streamcls.models.architecture import Architecture, Builder
from streamcls.models.heads import name_head, num_outputs, replace_head
from streamcls.models.hub import HUB
from streamcls.models.manifest import one_line
from streamcls.models.motion import MotionNet
from streamcls.transforms.spec import ClipSpec

__all__ = [
    "ENTRY_POINTS",
    "ZOO",
    "Architecture",
    "architectures",
    "build_network",
    "find_architecture",
    "forward_clips",
    "is_architecture",
    "num_outputs",
    "register_architecture",
    "replace_head",
]

ENTRY_POINTS = "streamcls.architectures"
"""Group of entry points, each `name = package.module:an_architecture`."""

ZOO: dict[str, Architecture] = {
    **HUB,
    "motion_net": Architecture(
        build=MotionNet,
        clip_spec=ClipSpec(num_frames=8, sampling_rate=3, trained_fps=20, short_side=64, crop=64),
        description="MotionNet: compares frames, for camera motion, 1.05 s clips",
        parameters=456_109,
        gflops=0.14,
    ),
}
"""The networks that come with streamcls."""

_log = logging.getLogger(__name__)
_registered: dict[str, Architecture] = {}
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


def register_architecture(
    name: str,
    build: Builder,
    clip_spec: ClipSpec,
    *,
    description: str = "",
    head: str | None = None,
) -> Architecture:
    """Make a network of your own known by name, for as long as this process lives.

    It can then be finetuned, and its model files written and loaded. A daemon is another process:
    for it, install the network in a package with an entry point of the group
    `streamcls.architectures` that names an `Architecture`.

    Args:
        build: as `Architecture.build`: takes `num_classes` by keyword.
        clip_spec: the clips that the network sees.
        head: dotted name of the linear layer that gives the classes, where it is not the last.

    Raises:
        ModelError: the name is not lower-case letters, digits, `_`, `.`, `-`; or is streamcls's.
    """
    if not _NAME.fullmatch(name):
        raise ModelError(f"{name!r} cannot name a network; use a-z, 0-9, _, . and -, at most 64")
    if name in ZOO:
        raise ModelError(f"{name!r} is a network of streamcls; choose another name")
    _registered[name] = Architecture(
        build=build,
        clip_spec=clip_spec,
        description=description or f"{name}, registered from Python",
        head=head,
    )
    return _registered[name]


def is_architecture(name: str) -> bool:
    """Whether a network of that name is known; nothing is imported to tell."""
    return name in ZOO or name in _registered or name in entry_points(group=ENTRY_POINTS).names


def architectures() -> dict[str, Architecture]:
    """All networks by name; a package's that cannot be imported is left out, with a warning."""
    found = ZOO | _registered
    for name in sorted(entry_points(group=ENTRY_POINTS).names - found.keys()):
        try:
            found[name] = find_architecture(name)
        except ModelError as error:
            _log.warning("%s", error)
    return found


def find_architecture(name: str) -> Architecture:
    """The network of that name: streamcls's own, else this process's, else a package's.

    Raises:
        ModelError: there is none, or the package that has it cannot be imported.
    """
    entry = ZOO.get(name) or _registered.get(name)
    if entry is not None:
        return entry
    points = entry_points(group=ENTRY_POINTS)
    found = {point for point in points if point.name == name}
    if not found:
        known = ", ".join([*ZOO, *_registered, *sorted(points.names - ZOO.keys())])
        raise ModelError(f"unknown architecture {name!r}; known: {known}")
    if len(found) > 1:
        values = ", ".join(sorted(point.value for point in found))
        raise ModelError(f"{name!r} is a network of two packages: {values}; uninstall one")
    return _load(found.pop())


def build_network(architecture: str, **arguments: Any) -> nn.Module:
    """Build a network by its name.

    Args:
        arguments: the builder's own, such as `num_classes`.

    Returns:
        A network in training mode with random weights; it gives logits (batch, num_classes).

    Raises:
        ModelError: no such architecture, or an argument it does not take.
    """
    entry = find_architecture(architecture)
    try:
        network = entry.build(**arguments)
    except Exception as error:  # a builder, with arguments of any kind, fails in any way
        raise ModelError(
            f"{architecture} cannot be built with {arguments}: {one_line(error)}"
        ) from None
    if not isinstance(network, nn.Module):
        raise ModelError(f"{architecture} builds a {type(network).__name__}, not a torch module")
    if entry.head is not None:
        name_head(network, entry.head)
    return network


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


def _load(point: EntryPoint) -> Architecture:
    try:
        entry = point.load()
    except Exception as error:  # foreign code, as it is imported
        raise ModelError(
            f"the network {point.name!r} of an installed package cannot be imported from"
            f" {point.value}: {type(error).__name__}: {one_line(error)}"
        ) from None
    if not isinstance(entry, Architecture):
        raise ModelError(
            f"{point.value} is no streamcls Architecture, so {point.name!r} is unknown"
        )
    return entry
