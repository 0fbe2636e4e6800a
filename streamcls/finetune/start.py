"""Where finetuning starts: fresh weights of a network, or those of a model file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from streamcls.errors import ModelError
from streamcls.models.bundle import LoadedModel, bundled_models, load_bundle
from streamcls.models.zoo import architectures, build_network, find_architecture, is_architecture
from streamcls.transforms import ClipSpec


@dataclass(frozen=True, slots=True)
class StartingPoint:
    """A network in training mode, and what it takes to build and feed it again.

    Attributes:
        labels: what the weights were made to tell; None where they are random.
        described: for the provenance: the network or the file it came from.
    """

    network: nn.Module
    architecture: str
    arguments: dict[str, Any]
    clip_spec: ClipSpec
    described: dict[str, str]
    labels: tuple[str, ...] | None = None


def starting_point(model: str, pretrained: str | None, seed: int) -> StartingPoint:
    """The network that `finetune`'s arguments of the same names ask for.

    Raises:
        ModelError: no such network or file, or the two do not go together.
    """
    torch.manual_seed(seed)
    if is_architecture(model) and pretrained is None:
        network, spec = build_network(model), find_architecture(model).clip_spec
        return StartingPoint(network, model, {}, spec, {"model": model})
    if not is_architecture(model) and pretrained is not None:
        raise ModelError(f"{model!r} already names weights; give a network and a file, or one file")
    loaded = _load(pretrained or model)
    manifest = loaded.manifest
    if pretrained is not None and manifest.architecture != model:
        raise ModelError(f"{pretrained} holds weights of {manifest.architecture}, not of {model}")
    described = {"model": manifest.name, "file_hash": loaded.file_hash}
    # Lightning leaves each layer in the mode it finds it in.
    network = loaded.network.requires_grad_(True).train()
    return StartingPoint(
        network,
        manifest.architecture,
        manifest.arguments,
        manifest.clip_spec,
        described,
        manifest.labels,
    )


def _load(path_or_name: str) -> LoadedModel:
    try:
        return load_bundle(path_or_name)
    except ModelError as error:
        if Path(path_or_name).exists() or path_or_name in bundled_models():
            raise
        raise ModelError(f"{error}; or a network: {', '.join(architectures())}") from None
