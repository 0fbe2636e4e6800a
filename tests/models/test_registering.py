"""Any torch network can be finetuned and served: named from Python, or by an installed package."""

import copy
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from streamcls.errors import ModelError
from streamcls.finetune.training.recipe import Recipe
from streamcls.finetuning import train
from streamcls.models import zoo
from streamcls.models.backends import TorchBackend
from streamcls.models.bundle import load_bundle, write_bundle
from streamcls.models.zoo import (
    architectures,
    build_network,
    find_architecture,
    num_outputs,
    register_architecture,
    replace_head,
)
from streamcls.transforms import ClipSpec
from tests.finetune.ramps import write_ramps
from tests.serving import config, serving, stream
from tests.videos import write_video

SPEC = ClipSpec(num_frames=4, sampling_rate=3, trained_fps=30, short_side=20, crop=16)

PACKAGE = """
import torch
from torch import nn
from streamcls.models.architecture import Architecture
from streamcls.transforms import ClipSpec


class Tiny(nn.Module):
    def __init__(self, num_classes=2, width=4):
        super().__init__()
        self.stem = nn.Conv3d(3, width, 3, stride=2)
        self.classes = nn.Linear(width, num_classes)

    def forward(self, clip):
        return self.classes(self.stem(clip).mean(dim=(2, 3, 4)))


tiny = Architecture(
    build=Tiny,
    clip_spec=ClipSpec(num_frames=4, sampling_rate=3, trained_fps=30, short_side=20, crop=16),
    description="a tiny network of another package",
)
"""


class Backwards(nn.Module):
    """Its classes come from a layer defined before its last one."""

    def __init__(self, num_classes: int = 2) -> None:
        super().__init__()
        self.classes = nn.Linear(6, num_classes)
        self.mix = nn.Linear(3, 6)

    def forward(self, clip: Tensor) -> Tensor:
        logits: Tensor = self.classes(self.mix(clip.mean(dim=(2, 3, 4))))
        return logits


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "_registered", {})


@pytest.fixture
def tiny_nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of an installed package, on this process's path."""
    site = install(tmp_path / "site", "tiny_nets", "tiny_net = tiny_nets:tiny")
    monkeypatch.syspath_prepend(str(site))
    yield site
    sys.modules.pop("tiny_nets", None)


def install(site: Path, name: str, entry_point: str, source: str = PACKAGE) -> Path:
    """Lay a package out as pip does."""
    (site / name).mkdir(parents=True)
    (site / name / "__init__.py").write_text(source)
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{zoo.ENTRY_POINTS}]\n{entry_point}\n")
    return site


def write(path: Path, architecture: str) -> Path:
    torch.manual_seed(0)
    write_bundle(
        path,
        network=build_network(architecture, num_classes=3),
        name="tiny",
        architecture=architecture,
        arguments={"num_classes": 3},
        labels=("rest", "rise", "fall"),
        clip_spec=find_architecture(architecture).clip_spec,
    )
    return path


def test_a_registered_network_is_written_loaded_and_served(tmp_path: Path) -> None:
    register_architecture("backwards", Backwards, SPEC, head="classes")
    model = load_bundle(write(tmp_path / "m.safetensors", "backwards"))
    clip = np.zeros((4, 20, 24, 3), np.uint8)
    assert TorchBackend(model).scores([clip]).shape == (1, 3)


def test_a_registered_network_is_finetuned_into_a_model_file(tmp_path: Path) -> None:
    register_architecture("backwards", Backwards, SPEC, head="classes")
    videos, out = write_ramps(tmp_path / "videos", train=1, val=1), tmp_path / "m.safetensors"
    recipe = Recipe(epochs=1, workers=0)
    train(videos, model="backwards", out=out, recipe=recipe, progress=False)
    model = load_bundle(out)
    assert isinstance(model.network, Backwards)
    assert model.manifest.arguments == {"num_classes": len(model.labels)}
    assert model.clip_spec == SPEC


def test_the_head_that_was_named_is_replaced_in_copies_too() -> None:
    register_architecture("backwards", Backwards, SPEC, head="classes")
    network = copy.deepcopy(build_network("backwards"))
    head = replace_head(network, 5)
    assert isinstance(network, Backwards)
    assert network.classes is head
    assert num_outputs(network) == 5
    assert network(torch.zeros(1, 3, 4, 16, 16)).shape == (1, 5)


def test_of_a_head_of_several_layers_the_last_one_counts() -> None:
    register_architecture("backwards", Backwards, SPEC, head="classes")
    network = build_network("backwards")
    network.add_module("classes", nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 3)))
    assert num_outputs(network) == 3
    assert replace_head(network, 5).in_features == 4


def test_a_head_that_is_no_linear_layer_is_refused_with_those_there_are() -> None:
    register_architecture("backwards", Backwards, SPEC, head="stem")
    with pytest.raises(ModelError, match="no linear layer 'stem'; its own: classes, mix"):
        num_outputs(build_network("backwards"))


@pytest.mark.parametrize(
    ("name", "said"), [("x3d_s", "is a network of streamcls"), ("My Net", "cannot name a network")]
)
def test_a_name_that_is_taken_or_odd_is_refused(name: str, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        register_architecture(name, Backwards, SPEC)


def test_a_builder_that_fails_or_builds_no_network_is_one_line() -> None:
    def broken(num_classes: int) -> nn.Module:
        raise KeyError(f"first\nsecond {num_classes}")

    register_architecture("broken", broken, SPEC)
    register_architecture("nothing", lambda num_classes: None, SPEC)  # type: ignore[arg-type, return-value]
    with pytest.raises(ModelError, match="broken cannot be built with") as caught:
        build_network("broken", num_classes=2)
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="nothing builds a NoneType, not a torch module"):
        build_network("nothing", num_classes=2)


def test_weights_that_do_not_fit_a_registered_network_are_refused(tmp_path: Path) -> None:
    register_architecture("backwards", Backwards, SPEC, head="classes")
    path = write(tmp_path / "m.safetensors", "backwards")
    register_architecture("backwards", lambda num_classes: nn.Linear(7, num_classes), SPEC)
    with pytest.raises(ModelError, match="the weights do not fit"):
        load_bundle(path)


def test_an_installed_packages_network_is_listed_and_served(
    tiny_nets: Path, tmp_path: Path
) -> None:
    assert architectures()["tiny_net"].description == "a tiny network of another package"
    model = load_bundle(write(tmp_path / "m.safetensors", "tiny_net"))
    assert type(model.network).__module__ == "tiny_nets"


def test_a_daemon_serves_an_installed_packages_network(
    tiny_nets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write(tmp_path / "m.safetensors", "tiny_net")
    video = write_video(tmp_path / "clip.mp4", frames=50, fps=25, size=(64, 48))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    streams = stream("clip", video, pace='"fastest"', stride_s="0.5")
    with serving(config(tmp_path, streams, model=model)) as served:
        served.until_state("clip", "stopped")
        assert served.process.wait(60) == 0
        served.drain()
        predictions = served.of("clip").predictions
    assert {score.label for score in predictions[0].top} == {"rest", "rise", "fall"}


def test_without_the_package_its_model_file_is_refused_by_the_networks_name(
    tiny_nets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "m.safetensors", "tiny_net")
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(tiny_nets)])
    with pytest.raises(ModelError, match="unknown architecture 'tiny_net'; known: x3d_xs, "):
        load_bundle(path)


def test_a_package_that_cannot_be_imported_is_named_and_disturbs_no_other(
    tiny_nets: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = "raise RuntimeError('no such device')"
    site = install(tmp_path / "bad", "bad_nets", "bad_net = bad_nets:it", source)
    monkeypatch.syspath_prepend(str(site))
    with pytest.raises(ModelError, match=r"'bad_net' .* from bad_nets:it: RuntimeError: no such"):
        find_architecture("bad_net")
    found = architectures()
    assert "bad_net" not in found
    assert found["tiny_net"].clip_spec == SPEC
    assert "bad_nets:it" in caplog.text


def test_an_entry_point_to_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = install(tmp_path / "odd", "odd_nets", "odd_net = odd_nets:it", "it = 7")
    monkeypatch.syspath_prepend(str(site))
    with pytest.raises(ModelError, match="odd_nets:it is no streamcls Architecture"):
        find_architecture("odd_net")


def test_two_packages_with_one_name_are_refused(
    tiny_nets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = install(tmp_path / "other", "other_nets", "tiny_net = other_nets:tiny")
    monkeypatch.syspath_prepend(str(site))
    with pytest.raises(ModelError, match="two packages: other_nets:tiny, tiny_nets:tiny"):
        find_architecture("tiny_net")
