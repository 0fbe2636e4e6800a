"""One-time conversion of a PyTorch checkpoint into a model file. The daemon never reads pickles."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from streamcls.errors import ModelError
from streamcls.models.bundle import Activation, DecisionDefaults, Manifest, write_bundle
from streamcls.models.zoo import build_network, find_architecture


def import_checkpoint(
    checkpoint: Path,
    *,
    architecture: str,
    labels: Path,
    out: Path,
    activation: Activation = Activation.SOFTMAX,
    provenance: Mapping[str, Any] | None = None,
) -> Manifest:
    """Convert a checkpoint in pytorchvideo's hub layout, `{"model_state": {name: tensor}}`.

    A bare state dict is taken too. Only tensors are unpickled (`weights_only=True`), so a
    malicious file can run nothing.

    Args:
        architecture: a network's name; the weights must fit it exactly.
        labels: JSON: a list of names, or an object name -> index as pytorchvideo publishes.
        activation: what the network was trained with; no checkpoint says so.
        provenance: more to say of where the checkpoint came from.

    Raises:
        ModelError: a file is missing or unreadable, or the weights do not fit.
    """
    names = _read_labels(labels)
    network = build_network(architecture, num_classes=len(names))
    try:
        network.load_state_dict(_read_state(checkpoint))
    except RuntimeError as error:
        first = str(error).strip().splitlines()[-1].strip()
        raise ModelError(
            f"{checkpoint} does not fit {architecture} with {len(names)} labels: {first}"
        ) from None
    return write_bundle(
        out,
        network=network,
        name=out.stem.replace("_", "-"),
        architecture=architecture,
        arguments={"num_classes": len(names)},
        labels=names,
        clip_spec=find_architecture(architecture).clip_spec,
        decisions=DecisionDefaults(),
        activation=activation,
        provenance={"imported_from": checkpoint.name, **(provenance or {})},
    )


def _read_state(checkpoint: Path) -> Mapping[str, Any]:
    try:
        document = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ModelError(f"{checkpoint} does not exist; check the checkpoint's path") from None
    except Exception as error:  # torch's reader of foreign bytes raises almost anything
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{checkpoint} is not a checkpoint of tensors only: {first}") from None
    state = document.get("model_state", document) if isinstance(document, Mapping) else None
    if not isinstance(state, Mapping):
        raise ModelError(f"{checkpoint} holds no state dict; expected a `model_state` table")
    return state


def _read_labels(path: Path) -> list[str]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path} does not exist; name a JSON file of labels") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is not JSON: {error}") from None
    indices = set(document.values()) if isinstance(document, dict) else set()
    if isinstance(document, dict) and indices == set(range(len(document))):
        # pytorchvideo's published names carry quotation marks of their own.
        return [name.strip('"') for name in sorted(document, key=document.__getitem__)]
    if isinstance(document, list) and all(isinstance(name, str) for name in document):
        return document
    raise ModelError(f"{path} must be a JSON list of names, or name -> index from 0 without gaps")
