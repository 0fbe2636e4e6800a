"""Each network of the zoo takes a new head, trains a step, becomes a model file, and serves a clip.

At a fraction of its width, and clips of a few small frames; at its default size where it is slow.
"""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from torch import nn

from streamcls.models.backends import TorchBackend
from streamcls.models.bundle import Activation, load_bundle, write_bundle
from streamcls.models.scoring import logits_of, probabilities_of
from streamcls.models.zoo import ZOO, build_network, find_architecture, num_outputs, replace_head
from streamcls.transforms import ClipSpec

CPU = torch.device("cpu")
LABELS = ("rest", "rise", "fall")
TINY_X3D = {"clip_length": 4, "crop": 32, "width_factor": 0.5, "depth_factor": 1.0}
TINY_SLOWFAST = {"clip_length": 8, "crop": 32, "width": 16}
TINY_MVIT = {"clip_length": 4, "crop": 32, "width": 8}

# Arguments, and frames of a clip.
SMALL: dict[str, tuple[dict[str, Any], int]] = {
    "x3d_xs": (TINY_X3D, 4),
    "x3d_s": (TINY_X3D, 4),
    "x3d_m": (TINY_X3D, 4),
    "x3d_l": (TINY_X3D, 4),
    "efficient_x3d_xs": ({}, 4),
    "efficient_x3d_s": ({}, 4),
    "slow_r50": ({"clip_length": 4, "crop": 32, "width": 8}, 4),
    "c2d_r50": ({"clip_length": 4, "crop": 32, "width": 8}, 4),
    "i3d_r50": ({"clip_length": 4, "crop": 32, "width": 8}, 4),
    "r2plus1d_r50": ({"clip_length": 4, "crop": 32, "width": 8}, 4),
    "csn_r101": ({"clip_length": 8, "crop": 32, "width": 8}, 8),
    "slowfast_r50": (TINY_SLOWFAST, 8),
    "slowfast_r101": (TINY_SLOWFAST, 8),
    "slowfast_16x8_r101_50_50": (TINY_SLOWFAST, 8),
    "mvit_base_16x4": (TINY_MVIT, 4),
    "mvit_base_32x3": (TINY_MVIT, 4),
    "motion_net": ({"num_frames": 4, "side": 32}, 4),
}


def small_spec(name: str) -> ClipSpec:
    """The network's own spec, of fewer and smaller frames."""
    spec = find_architecture(name).clip_spec
    return msgspec.structs.replace(spec, num_frames=SMALL[name][1], short_side=32, crop=32)


def shapes(network: nn.Module) -> dict[str, torch.Size]:
    return {key: tensor.shape for key, tensor in network.state_dict().items()}


def clip(spec: ClipSpec, seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (spec.num_frames, 32, 40, 3), np.uint8)


def train_step(network: nn.Module, spec: ClipSpec) -> None:
    """One step of cross entropy on two clips."""
    network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    logits = logits_of(network, [clip(spec, 1), clip(spec, 2)], spec, CPU)
    nn.functional.cross_entropy(logits, torch.eye(3)[:2]).backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def test_every_network_is_tried() -> None:
    assert SMALL.keys() == ZOO.keys()


@pytest.mark.parametrize("name", ZOO)
def test_a_network_trains_a_step_and_serves_a_clip_from_its_model_file(
    name: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    arguments, spec = SMALL[name][0], small_spec(name)
    network = build_network(name, **arguments)
    before = shapes(network)
    head = replace_head(network, len(LABELS))
    changed = {key for key, shape in shapes(network).items() if shape != before.get(key)}
    assert shapes(network).keys() == before.keys(), "the new head stands beside the old one"
    assert {key.rpartition(".")[2] for key in changed} == {"weight", "bias"}
    assert len(changed) == 2
    assert num_outputs(network) == head.out_features == 3
    weights = {key: weight.detach().clone() for key, weight in network.named_parameters()}
    train_step(network, spec)
    idle = {key for key, weight in network.named_parameters() if weight.grad is None}
    assert idle == ({"motion.weight", "motion.bias"} if name == "motion_net" else set())
    moved = {key for key, weight in network.named_parameters() if (weight != weights[key]).any()}
    assert len(moved) > 2, "only the head learns"
    path = tmp_path / "small.safetensors"
    write_bundle(
        path,
        network=network,
        name="small",
        architecture=name,
        arguments={**arguments, "num_classes": 3},
        labels=LABELS,
        clip_spec=spec,
    )
    served = TorchBackend(load_bundle(path)).scores([clip(spec, 3)])
    logits = logits_of(network.eval(), [clip(spec, 3)], spec, CPU)
    assert not 0.999 < float(logits.detach().sum()) < 1.001, "a softmax in the head"
    trained = probabilities_of(network, [clip(spec, 3)], spec, CPU, Activation.SOFTMAX)
    np.testing.assert_allclose(served, trained.numpy(), atol=1e-6)
    assert served.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ZOO)
def test_a_network_of_its_default_size_becomes_a_model_file_that_loads(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / "whole.safetensors"
    network = build_network(name)
    classes = num_outputs(network)
    manifest = write_bundle(
        path,
        network=network,
        name="whole",
        architecture=name,
        arguments={},
        labels=[f"label {index}" for index in range(classes)],
        clip_spec=find_architecture(name).clip_spec,
    )
    loaded = load_bundle(path)
    assert loaded.manifest == manifest
    assert len(loaded.manifest.golden) == classes
