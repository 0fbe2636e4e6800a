"""A network's last projection: how many classes it gives, and a fresh one in its place."""

from torch import nn

from streamcls.errors import ModelError

_HEAD = "streamcls_head"
"""Attribute of a network that names its projection, where that is not its last linear layer."""


def name_head(network: nn.Module, head: str) -> None:
    """Say which layer gives the classes, by its dotted name: a linear one, or one that ends so."""
    # Kept on the network: copies of it, such as averaged weights, must know it too.
    vars(network)[_HEAD] = head


def num_outputs(network: nn.Module) -> int:
    """How many classes the network's last projection gives.

    Raises:
        ModelError: it has no linear layer to take as its projection.
    """
    return _projection(network)[1].out_features


def find_head(network: nn.Module) -> nn.Linear:
    """The network's last projection, the one to its classes."""
    return _projection(network)[1]


def replace_head(network: nn.Module, num_classes: int) -> nn.Linear:
    """Put a fresh projection to `num_classes` in the place of the network's last one.

    Returns:
        The new layer, already part of the network, on the old one's device.

    Raises:
        ModelError: it has no linear layer to take as its projection.
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
    """The last linear layer in definition order, of the named head or of the whole network."""
    kind, head = type(network).__name__, vars(network).get(_HEAD)
    linear = {
        name: module for name, module in network.named_modules() if isinstance(module, nn.Linear)
    }
    if not linear:
        raise ModelError(f"{kind} has no linear layer to take as its head")
    within = [name for name in linear if head is None or f"{name}.".startswith(f"{head}.")]
    if not within:
        raise ModelError(f"{kind} has no linear layer {head!r}; its own: {', '.join(linear)}")
    return within[-1], linear[within[-1]]
