"""Checkpoints from elsewhere become model files once; nothing in them is ever run."""

import json
import os
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from streamcls import cli_models
from streamcls.errors import ModelError
from streamcls.models.bundle import Activation, load_bundle
from streamcls.models.importing import import_checkpoint
from streamcls.models.zoo import build_network

LABELS = ["rest", "rise", "fall"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In the layout of pytorchvideo's published files."""
    path = tmp_path_factory.mktemp("hub") / "X3D_XS.pyth"
    torch.manual_seed(1)
    torch.save({"model_state": build_network("x3d_xs", num_classes=3).state_dict()}, path)
    return path


def labels_file(folder: Path, document: object = LABELS) -> Path:
    path = folder / "labels.json"
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize("document", [LABELS, {'"fall"': 2, "rest": 0, '"rise"': 1}])
def test_a_published_checkpoint_becomes_a_model_file_with_its_labels(
    document: object, checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "x3d_xs.safetensors"
    labels = labels_file(tmp_path, document)
    import_checkpoint(checkpoint, architecture="x3d_xs", labels=labels, out=out)
    model = load_bundle(out)
    assert list(model.labels) == LABELS
    original = torch.load(checkpoint, weights_only=True)["model_state"]
    assert all(torch.equal(model.network.state_dict()[key], original[key]) for key in original)


@pytest.mark.parametrize(
    ("flags", "activation"),
    [([], Activation.SOFTMAX), (["--multi-label"], Activation.SIGMOID)],
)
def test_the_command_line_says_whether_labels_exclude_each_other(
    flags: list[str], activation: Activation, checkpoint: Path, tmp_path: Path
) -> None:
    out, labels = tmp_path / "m.safetensors", labels_file(tmp_path)
    arguments = ["import", str(checkpoint), "--model", "x3d_xs", "--labels", str(labels)]
    result = CliRunner().invoke(cli_models.app, [*arguments, "--out", str(out), *flags])
    assert result.exit_code == 0, result.output
    assert load_bundle(out).manifest.activation is activation


class Malice:
    """Unpickling this would run a command."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.trace}",)


def test_code_inside_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    trace, path = tmp_path / "was-run", tmp_path / "evil.pth"
    torch.save({"model_state": Malice(trace)}, path)
    with pytest.raises(ModelError, match="tensors only"):
        import_checkpoint(
            path, architecture="x3d_xs", labels=labels_file(tmp_path), out=tmp_path / "o"
        )
    assert not trace.exists()


@pytest.mark.parametrize(
    ("labels", "architecture", "word"),
    [
        (["a", "b"], "x3d_xs", "does not fit x3d_xs with 2 labels"),
        (LABELS, "slow_r50", "does not fit slow_r50"),
        (LABELS, "x3d_q", "unknown architecture"),
        ({"a": 0, "b": 2}, "x3d_xs", "without gaps"),
    ],
)
def test_what_does_not_fit_is_one_line(
    labels: object, architecture: str, word: str, checkpoint: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=word) as caught:
        import_checkpoint(
            checkpoint,
            architecture=architecture,
            labels=labels_file(tmp_path, labels),
            out=tmp_path / "o.safetensors",
        )
    assert "\n" not in str(caught.value)


def test_missing_and_foreign_files_are_named(checkpoint: Path, tmp_path: Path) -> None:
    labels, out = labels_file(tmp_path), tmp_path / "o.safetensors"
    text = tmp_path / "notes.pth"
    text.write_text("no weights")
    for bad, word in [(tmp_path / "no.pth", "does not exist"), (text, "tensors only")]:
        with pytest.raises(ModelError, match=word):
            import_checkpoint(bad, architecture="x3d_xs", labels=labels, out=out)
    with pytest.raises(ModelError, match="not JSON"):
        import_checkpoint(checkpoint, architecture="x3d_xs", labels=text, out=out)
