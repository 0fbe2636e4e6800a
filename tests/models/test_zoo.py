"""Networks must be those of pytorchvideo's hub, give logits, and take a new head."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from streamcls.errors import ModelError, StreamclsError
from streamcls.models.torchvision_stub import RoIAlign
from streamcls.models.zoo import (
    build_network,
    find_architecture,
    forward_clips,
    replace_head,
)
from streamcls.transforms.clip import pathways


@pytest.mark.parametrize("name", ["x3d_s", "efficient_x3d_xs", "motion_net"])
def test_a_clip_of_the_default_spec_gives_one_logit_per_class(name: str) -> None:
    spec = find_architecture(name).clip_spec
    network = build_network(name, num_classes=5).eval()
    batch = torch.randn(1, 3, spec.num_frames, spec.crop, spec.crop)
    inputs = pathways(batch, spec)
    with torch.inference_mode():
        logits = forward_clips(network, inputs)
        again = forward_clips(network, inputs)
    assert logits.shape == (1, 5)
    torch.testing.assert_close(again, logits)


def test_x3d_pools_by_plain_integers_which_compilers_can_trace() -> None:
    pool: Any = build_network("x3d_xs").get_submodule("blocks.5.pool.pool")
    assert [type(size) for size in pool.kernel_size] == [int, int, int]


def test_an_unknown_architecture_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ModelError, match="'x3d_q'; known: x3d_xs, "):
        build_network("x3d_q")


def test_an_argument_a_builder_does_not_take_is_refused_on_one_line() -> None:
    with pytest.raises(ModelError, match="x3d_xs cannot be built") as caught:
        build_network("x3d_xs", depth=3)
    assert "\n" not in str(caught.value)


def test_a_network_without_a_linear_layer_has_no_head_to_replace() -> None:
    with pytest.raises(ModelError, match="no linear layer"):
        replace_head(nn.Sequential(nn.Conv3d(3, 3, 1)), 2)


def test_the_stand_in_layer_says_what_is_missing() -> None:
    with pytest.raises(StreamclsError, match="needs a working torchvision"):
        RoIAlign(7, 1.0, 2)


IMPORT = """
import sys
from streamcls.models.torchvision_stub import import_pytorchvideo
import_pytorchvideo("x3d")
from pytorchvideo.models.head import RoIAlign
print(RoIAlign.__module__, "torchvision" in sys.modules)
"""


def import_beside(torchvision: Path, source: str) -> str:
    """What `IMPORT` prints beside a torchvision whose __init__ is `source`."""
    (torchvision / "torchvision").mkdir()
    (torchvision / "torchvision" / "__init__.py").write_text(source)
    (torchvision / "torchvision" / "ops.py").write_text("class RoIAlign: ...\n")
    code = f"import sys; sys.path.insert(0, {str(torchvision)!r}){IMPORT}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_working_torchvision_is_used_as_it_is(tmp_path: Path) -> None:
    assert import_beside(tmp_path, "") == "torchvision.ops True"


def test_beside_a_broken_torchvision_the_stand_in_serves_and_leaves(tmp_path: Path) -> None:
    broken = "raise RuntimeError('operator torchvision::nms does not exist')\n"
    assert import_beside(tmp_path, broken) == "streamcls.models.torchvision_stub False"
