"""Official weights come over a real connection, as they are published, and become model files."""

import hashlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from streamcls import cli_models
from streamcls.errors import ConfigError, ModelError
from streamcls.models.bundle import load_bundle
from streamcls.models.hub import HUB
from streamcls.models.hub.kinetics import LABELS_URL
from streamcls.models.pulling import pull
from streamcls.models.torchvision_stub import import_pytorchvideo
from streamcls.models.zoo import build_network
from tests.models.mirror import Mirror, cut, serving

NAMES = [f"action {index}" for index in range(400)]


def checkpoint(name: str, *, bare: bool = False) -> bytes:
    """Weights as they are published: under `model_state`, or bare for the mobile networks."""
    torch.manual_seed(3)
    state = build_network(name).state_dict()
    file = io.BytesIO()
    torch.save(state if bare else {"model_state": state, "epoch": 300, "cfg": "TRAIN: {}"}, file)
    return file.getvalue()


@pytest.fixture(scope="module")
def weights() -> bytes:
    return checkpoint("x3d_xs")


@pytest.fixture
def mirror(weights: bytes) -> Iterator[Mirror]:
    with serving() as mirror:
        # The published names carry quotation marks of their own.
        labels = {f'"{name}"': index for index, name in enumerate(NAMES)}
        mirror.files["kinetics_classnames.json"] = json.dumps(labels).encode()
        mirror.files["X3D_XS.pyth"] = weights
        yield mirror


@pytest.mark.parametrize("name", HUB)
def test_weights_come_from_where_the_hub_takes_them(name: str) -> None:
    paths: dict[str, str] = {}
    for module in ("x3d", "efficient_x3d_mobile_cpu", "resnet", "slowfast", "r2plus1d", "csn"):
        hub = import_pytorchvideo(f"hub.{module}")
        paths |= getattr(hub, "checkpoint_paths", None) or hub._checkpoint_paths
    paths |= import_pytorchvideo("hub.vision_transformers").checkpoint_paths
    assert HUB[name].checkpoint == paths[name]


def test_a_pulled_network_is_a_model_file_that_says_where_it_came_from(
    mirror: Mirror, weights: bytes, tmp_path: Path
) -> None:
    out = tmp_path / "x3d_xs.safetensors"
    pulled = pull("x3d_xs", out, mirror=f"{mirror.url}/kinetics/")
    model = load_bundle(out)
    assert list(model.labels) == NAMES
    state = torch.load(io.BytesIO(weights), weights_only=True)["model_state"]
    assert all(torch.equal(model.network.state_dict()[key], state[key]) for key in state)
    provenance = model.manifest.provenance
    assert provenance["url"] == f"{mirror.url}/kinetics/X3D_XS.pyth"
    assert provenance["sha256"] == hashlib.sha256(weights).hexdigest()
    assert pulled.checkpoint.checked == "length"
    assert list(tmp_path.iterdir()) == [out], "what it was made of is left"
    assert LABELS_URL.endswith("/kinetics_classnames.json")


def test_weights_in_the_layout_of_the_mobile_networks_are_taken(
    mirror: Mirror, tmp_path: Path
) -> None:
    file = "efficient_x3d_xs_original_form.pyth"
    mirror.files[file] = checkpoint("efficient_x3d_xs", bare=True)
    out = tmp_path / "m.safetensors"
    pull("efficient_x3d_xs", out, mirror=mirror.url)
    assert load_bundle(out).manifest.architecture == "efficient_x3d_xs"


def test_the_command_goes_on_after_a_cut_and_prints_the_checksum(
    mirror: Mirror, weights: bytes, tmp_path: Path
) -> None:
    out = tmp_path / "m.safetensors"
    mirror.faults = [lambda handler: handler.serve(handler.body), cut(5_000_000)]
    result = CliRunner().invoke(
        cli_models.app, ["pull", "x3d_xs", "--from", mirror.url, "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    assert mirror.ranges == [None, None, "bytes=5000000-"]
    assert f"SHA-256: {hashlib.sha256(weights).hexdigest()}" in result.output
    assert "X3D_XS.pyth" in result.stderr
    assert load_bundle(out).manifest.name == "m"


def test_a_checksum_can_be_demanded(mirror: Mirror, weights: bytes, tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    with pytest.raises(ConfigError, match="another file, or an altered one"):
        pull("x3d_xs", out, mirror=mirror.url, sha256="0" * 64)
    assert list(tmp_path.iterdir()) == []
    right = hashlib.sha256(weights).hexdigest()
    assert pull("x3d_xs", out, mirror=mirror.url, sha256=right).checkpoint.checked == "sha256"


@pytest.mark.parametrize(
    ("body", "said"),
    [(b"<html>sign in</html>", "tensors only"), (checkpoint("x3d_l"), "does not fit x3d_xs")],
    ids=["a page", "other weights"],
)
def test_what_is_not_its_weights_is_refused_and_removed(
    body: bytes, said: str, mirror: Mirror, tmp_path: Path
) -> None:
    mirror.files["X3D_XS.pyth"] = body
    with pytest.raises(ModelError, match=said) as caught:
        pull("x3d_xs", tmp_path / "m.safetensors", mirror=mirror.url)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_the_users_with_the_same_name_is_left_alone(
    mirror: Mirror, tmp_path: Path
) -> None:
    mine = tmp_path / "X3D_XS.pyth"
    mine.write_text("mine")
    pull("x3d_xs", tmp_path / "m.safetensors", mirror=mirror.url)
    assert mine.read_text() == "mine"


def test_a_network_without_published_weights_names_those_with(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"no weights of motion_net are published.*: x3d_xs, x3d_s"
    ):
        pull("motion_net", tmp_path / "m.safetensors")


def test_what_cannot_be_written_is_refused_before_anything_is_fetched(
    mirror: Mirror, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"ending in \.safetensors"):
        pull("x3d_xs", tmp_path / "m.pth", mirror=mirror.url)
    assert mirror.asked == []


def test_the_listing_tells_each_networks_figures() -> None:
    result = CliRunner().invoke(cli_models.app, ["list"], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    line = next(row for row in result.output.splitlines() if "slowfast_r50" in row)
    assert re.findall(r"[\d.]+ M|[\d.]+ %|\d+ x \d+ px", line) == [
        "34.57 M",
        "76.94 %",
        "32 x 256 px",
    ]
    assert "camera-motion" in result.output


def test_the_listing_is_json_on_demand() -> None:
    result = CliRunner().invoke(cli_models.app, ["list", "--json"])
    document = json.loads(result.output)
    by_name = {entry["name"]: entry for entry in document["networks"]}
    assert HUB.keys() | {"motion_net"} == by_name.keys()
    mvit = by_name["mvit_base_16x4"]
    assert (mvit["parameters"], mvit["gflops"], mvit["kinetics400_top1"]) == (36610672, 70.8, 78.85)
    assert mvit["clip_spec"]["num_frames"] == 16
    assert [entry["name"] for entry in document["model_files"]] == ["camera-motion"]
