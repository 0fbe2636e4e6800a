"""The model file ("bundle"): written once by training, checked each time before it serves.

One .safetensors file: the weights, and in its metadata the `Manifest`. No pickle is ever loaded.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from streamcls.errors import ConfigError, ModelError
from streamcls.models.golden import check_golden, golden_scores
from streamcls.models.manifest import (
    Activation,
    DecisionDefaults,
    Manifest,
    one_line,
    read_manifest,
)
from streamcls.models.zoo import ZOO, build_network, num_outputs
from streamcls.transforms.spec import ClipSpec

__all__ = [
    "Activation",
    "DecisionDefaults",
    "LoadedModel",
    "Manifest",
    "bundled_models",
    "check_target",
    "find_bundle",
    "load_bundle",
    "read_manifest",
    "write_bundle",
]

_SUFFIX = ".safetensors"
_CPU = torch.device("cpu")
# MViT works out its layers' widths with short vectors of these; layers say a device, if only None.
_SHAPING = (torch.ones, torch.linspace)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model file that passed every check.

    Attributes:
        network: in evaluation mode, on `device`; it gives logits.
        file_hash: SHA-256 of the whole file, hexadecimal.
    """

    path: Path
    manifest: Manifest
    file_hash: str
    network: nn.Module
    device: torch.device

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels in the order of the scores."""
        return self.manifest.labels

    @property
    def clip_spec(self) -> ClipSpec:
        """What one clip is for this model."""
        return self.manifest.clip_spec


def bundled_models() -> dict[str, Path]:
    """The model files that come with the package, by name."""
    return {
        path.stem.replace("_", "-"): path
        for path in sorted(Path(__file__).parent.glob(f"*{_SUFFIX}"))
    }


def find_bundle(path_or_name: str | Path) -> Path:
    """The path of a model file, given that path or a bundled model's name.

    Raises:
        ModelError: it is neither; the text lists the bundled names.
    """
    bundled = bundled_models()
    if str(path_or_name) in bundled:
        return bundled[str(path_or_name)]
    path = Path(path_or_name)
    if path.exists():
        if not path.is_file() and not path.is_dir():
            # Reading a pipe would wait for ever.
            raise ModelError(f"{path} is not a file; name a .safetensors model file")
        return path
    names = ", ".join(bundled) or "none"
    raise ModelError(
        f"no model file {str(path_or_name)!r}; give a path, or a bundled model: {names}"
    )


def load_bundle(path_or_name: str | Path, device: torch.device = _CPU) -> LoadedModel:
    """Load a model file for serving, and replay its golden clip on the device.

    Raises:
        ModelError: anything `read_manifest` refuses; an unknown architecture; labels, weights or
            golden scores that do not fit the network.
    """
    path = find_bundle(path_or_name)
    manifest = read_manifest(path)
    try:
        _check_claims(path, manifest)
        network = build_network(manifest.architecture, **manifest.arguments)
        state = load_file(path)
        _load_state(network, state, manifest.labels)
        if _weights_hash(state) != manifest.weights_hash:
            raise ModelError("its weights were changed after it was written; take a fresh copy")
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} cannot be read: {one_line(error)}") from None
    except ModelError as error:
        raise ModelError(f"{path}: {one_line(error)}") from None
    network.eval().requires_grad_(False).to(device)
    try:
        scores = golden_scores(network, manifest.clip_spec, device, manifest.activation)
    except torch.OutOfMemoryError:
        raise  # which another time need not be
    except Exception as error:  # a network that does not fit its clips fails in any way
        raise ModelError(f"{path} cannot score its golden clip: {one_line(error)}") from None
    check_golden(manifest.golden, scores, str(path))
    return LoadedModel(path, manifest, _sha256(path), network, device)


def file_hash(path_or_name: str | Path) -> str:
    """SHA-256 of a model file as it is on disk now, hexadecimal.

    Raises:
        ModelError: there is no such file, or it cannot be read.
    """
    path = find_bundle(path_or_name)
    try:
        return _sha256(path)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {one_line(error)}") from None


def write_bundle(
    path: Path,
    *,
    network: nn.Module,
    name: str,
    architecture: str,
    arguments: Mapping[str, Any],
    labels: Sequence[str],
    clip_spec: ClipSpec,
    decisions: DecisionDefaults | None = None,
    activation: Activation = Activation.SOFTMAX,
    provenance: Mapping[str, Any] | None = None,
) -> Manifest:
    """Write a model file, whole or not at all.

    The network is rebuilt from `architecture` and `arguments` and given the weights, so that a
    file which could not be loaded is never written; the golden scores are the rebuilt one's.

    Args:
        arguments: what the zoo's builder needs to give this network, `num_classes` included.
        provenance: JSON-able: data, metrics, date, versions.

    Raises:
        ModelError: architecture, arguments, labels and weights do not fit each other.
        ConfigError: the file cannot be written.
    """
    state = {
        key: tensor.detach().cpu().clone().contiguous()
        for key, tensor in network.state_dict().items()
    }
    twin = build_network(architecture, **arguments)
    _load_state(twin, state, labels)
    try:
        manifest = Manifest(
            name=name,
            architecture=architecture,
            arguments=dict(arguments),
            labels=tuple(labels),
            clip_spec=clip_spec,
            clip_spec_hash=clip_spec.hash(),
            weights_hash=_weights_hash(state),
            decisions=decisions or DecisionDefaults(),
            activation=activation,
            golden=golden_scores(twin.eval(), clip_spec, _CPU, activation),
            provenance=dict(provenance or {}),
        )
    except ValueError as error:
        raise ModelError(f"model {name!r} cannot be written: {error}") from None
    _write_atomically(path, state, manifest.to_metadata())
    return manifest


def check_target(path: Path) -> None:
    """Refuse a path that no model file can be written to.

    Raises:
        ConfigError: it does not end in .safetensors, is a directory, or its folder is missing.
    """
    if path.suffix != _SUFFIX or path.is_dir():
        raise ConfigError(f"{path} cannot be a model file; give a file name ending in {_SUFFIX}")
    if not path.parent.is_dir():
        raise ConfigError(f"{path} cannot be written: make the folder {path.parent} first")


def _check_claims(path: Path, manifest: Manifest) -> None:
    """Refuse a network that does not fit the file's weights, before it takes memory."""
    if manifest.architecture not in ZOO:
        return  # a foreign builder may need real numbers; what it built is checked all the same
    with torch.device("meta"), _Sketching():  # shapes without numbers
        sketch = build_network(manifest.architecture, **manifest.arguments)
    with safe_open(path, "pt") as file:
        shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    _check_fit(sketch, shapes, manifest.labels)


class _Sketching(TorchFunctionMode):
    """Leaves out what the meta device does in Python, which costs a second of imports."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.__name__.endswith(("normal_", "uniform_")):
            return args[0] if args else kwargs["tensor"]
        if func is torch.arange:
            return torch.zeros(1, dtype=torch.int64, device="cpu")  # one index stands for all
        if func in _SHAPING and "device" not in kwargs:
            return func(*args, **kwargs, device="cpu")
        return func(*args, **kwargs)


def _check_fit(
    network: nn.Module, shapes: Mapping[str, tuple[int, ...]], labels: Sequence[str]
) -> None:
    """Refuse weights that are not exactly the network's, or labels that are not its outputs."""
    expected = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    problems = [
        *(f"lacks {key}" for key in expected if key not in shapes),
        *(f"has an unknown {key}" for key in shapes if key not in expected),
        *(
            f"has {key} of shape {shapes[key]} instead of {shape}"
            for key, shape in expected.items()
            if shapes.get(key, shape) != shape
        ),
    ]
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise ModelError(f"the weights do not fit the network: it {problems[0]}{more}")
    if len(labels) != num_outputs(network):
        raise ModelError(f"{len(labels)} labels for a network of {num_outputs(network)} outputs")


def _load_state(network: nn.Module, state: Mapping[str, Tensor], labels: Sequence[str]) -> None:
    """Give the network exactly these weights; a label for each output."""
    _check_fit(network, {key: tuple(tensor.shape) for key, tensor in state.items()}, labels)
    network.load_state_dict(state)


def _weights_hash(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of every tensor's name, type, shape and bytes: one flipped bit on disk shows."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _write_atomically(path: Path, state: dict[str, Tensor], metadata: dict[str, str]) -> None:
    check_target(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # Not save_file, which makes files that only their owner, not the daemon's user, can read.
        unfinished.write_bytes(save(state, metadata))
        os.replace(unfinished, path)
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"{path} cannot be written: {one_line(error)}") from None
    finally:
        unfinished.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
