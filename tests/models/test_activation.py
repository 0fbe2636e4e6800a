"""Single-label finetuning may start from a multi-label model file."""

from pathlib import Path

import pytest
import torch

from streamcls.finetune.training.recipe import Recipe, Strategy
from streamcls.finetuning import train
from streamcls.models.bundle import Activation, load_bundle
from tests.finetune.ramps import write_ramps
from tests.models.small import write_small


def test_finetuning_takes_a_multi_label_files_weights_and_writes_a_single_label_file(
    tmp_path: Path,
) -> None:
    base, out = tmp_path / "multi.safetensors", tmp_path / "m.safetensors"
    write_small(base, activation=Activation.SIGMOID)
    videos = write_ramps(tmp_path / "videos", train=1, val=1)
    recipe = Recipe(epochs=1, workers=0, strategy=Strategy.FREEZE)
    train(videos, model=str(base), out=out, recipe=recipe, progress=False)
    before, after = load_bundle(base), load_bundle(out)
    assert after.manifest.activation is Activation.SOFTMAX
    assert sum(after.manifest.golden) == pytest.approx(1)
    weights = before.network.state_dict()
    kept = {
        key
        for key, value in after.network.state_dict().items()
        if ".proj." not in key
        if torch.equal(value, weights[key])
    }
    assert kept == {key for key in weights if ".proj." not in key}
