"""A model file comes back as it was written, and anything else is refused on one line."""

import hashlib
import io
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from streamcls.errors import ConfigError, ModelError
from streamcls.models.bundle import (
    Activation,
    DecisionDefaults,
    bundled_models,
    find_bundle,
    load_bundle,
    read_manifest,
    write_bundle,
)
from streamcls.models.golden import GOLDEN_TOLERANCE, check_golden, golden_clip, golden_scores
from tests.models.small import ARGUMENTS, LABELS, SPEC, small_network, write_small

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    write_small(
        path,
        decisions=DecisionDefaults(on_threshold=0.7, background_label="rest"),
        provenance={"data": "none", "metrics": {"val_accuracy": 0.5}},
    )
    return path


def edited(sound: Path, target: Path, edit: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of a model file with its document changed and its weights left."""
    with safe_open(sound, "pt") as file:
        document = json.loads(file.metadata()["streamcls"])
    edit(document)
    save_file(load_file(sound), target, {"streamcls": json.dumps(document)})
    return target


def refusal(path: Path) -> str:
    """The one line with which loading a file is refused."""
    with pytest.raises(ModelError) as caught:
        load_bundle(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_a_file_comes_back_as_it_was_written(sound: Path) -> None:
    model = load_bundle(sound)
    assert model.labels == LABELS
    assert model.clip_spec == SPEC
    assert model.manifest.decisions.on_threshold == 0.7
    assert model.manifest.provenance["metrics"] == {"val_accuracy": 0.5}
    assert not model.network.training
    assert model.file_hash == hashlib.sha256(sound.read_bytes()).hexdigest()
    for name, tensor in small_network().state_dict().items():
        torch.testing.assert_close(model.network.state_dict()[name], tensor, rtol=0, atol=0)


def test_a_file_that_names_no_activation_is_single_label(sound: Path, tmp_path: Path) -> None:
    def age(document: dict[str, Any]) -> None:
        del document["activation"], document["decisions"]["update_s"]

    old = load_bundle(edited(sound, tmp_path / "old.safetensors", age))
    assert old.manifest == load_bundle(sound).manifest
    assert old.manifest.activation is Activation.SOFTMAX


def test_the_bundled_model_is_single_label() -> None:
    assert read_manifest(find_bundle("camera-motion")).activation is Activation.SOFTMAX


def test_the_same_model_gives_the_same_bytes(sound: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.safetensors"
    first = load_bundle(sound).manifest
    write_small(again, decisions=first.decisions, provenance=first.provenance)
    assert again.read_bytes() == sound.read_bytes()


def test_the_document_is_read_without_the_weights(sound: Path, tmp_path: Path) -> None:
    assert read_manifest(sound) == load_bundle(sound).manifest


def test_the_golden_clip_is_its_documented_formula() -> None:
    clip = golden_clip(SPEC)
    assert clip.shape == (4, 32, 32, 3)
    t, y, x, c = 3, 21, 9, 2
    slide = 3 * abs((x + 5 * t) % 64 - 32) + 2 * abs((y - 3 * t + 16 * c) % 64 - 32)
    assert clip[t, y, x, c] == slide + 40 * ((x // 8 + y // 8 + t) % 2)


def test_golden_scores_depend_on_frame_order_and_layout() -> None:
    network = small_network().eval()
    scores = np.array(golden_scores(network, SPEC, CPU, Activation.SOFTMAX))
    clip = torch.from_numpy(golden_clip(SPEC)).permute(3, 0, 1, 2)[None] / 255
    clip = (clip - 0.45) / 0.225
    with torch.inference_mode():
        same = network(clip).softmax(1)[0].numpy()
        backwards = network(clip.flip(2)).softmax(1)[0].numpy()
        turned = network(clip.transpose(3, 4)).softmax(1)[0].numpy()
    assert np.abs(same - scores).max() < 1e-5
    assert np.abs(backwards - scores).max() > GOLDEN_TOLERANCE
    assert np.abs(turned - scores).max() > GOLDEN_TOLERANCE


def test_scores_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(ModelError, match="golden clip"):
        check_golden((0.5, 0.5), (float("nan"), 0.5), "m.safetensors")


def test_a_missing_file_is_named_beside_the_bundled_models() -> None:
    with pytest.raises(ModelError, match=r"no model file 'nowhere\.safetensors'.*bundled model:"):
        load_bundle("nowhere.safetensors")


def test_a_bundled_model_is_found_by_its_name() -> None:
    for name, path in bundled_models().items():
        assert "_" not in name
        assert find_bundle(name) == path


def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert "is a directory" in refusal(tmp_path)


@pytest.mark.parametrize("kept", [0, 5, 60, 0.5, -1], ids=str)
def test_a_cut_file_is_refused(sound: Path, tmp_path: Path, kept: float) -> None:
    whole = sound.read_bytes()
    length = int(len(whole) * kept) if isinstance(kept, float) else kept
    path = tmp_path / "cut.safetensors"
    path.write_bytes(whole[:length])
    message = refusal(path)
    assert "cut short" in message or "not a safetensors file" in message


def test_bytes_after_the_end_are_refused(sound: Path, tmp_path: Path) -> None:
    path = tmp_path / "long.safetensors"
    path.write_bytes(sound.read_bytes() + b"more")
    assert "has bytes after its end" in refusal(path)


def test_a_pickle_is_refused_and_never_loaded(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    checkpoint = io.BytesIO()
    torch.save({"weights": Trap()}, checkpoint)
    for name, content in [("new.pth", checkpoint.getvalue()), ("old.pth", pickle.dumps(Trap()))]:
        path = tmp_path / name
        path.write_bytes(content)
        assert "is a pickle" in refusal(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "content", [b"not a model\n" * 40, b"\x10" + b"\0" * 7 + b"{ broken json :("]
)
def test_another_kind_of_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.safetensors"
    path.write_bytes(content)
    assert "is not a safetensors file" in refusal(path)


def test_weights_without_a_document_are_refused(sound: Path, tmp_path: Path) -> None:
    path = tmp_path / "bare.safetensors"
    save_file(load_file(sound), path)
    assert "no streamcls document" in refusal(path)


def change(place: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """An edit that sets `a.b` in the document."""

    def edit(document: dict[str, Any]) -> None:
        *path, last = place.split(".")
        for key in path:
            document = document[key]
        document[last] = value

    return edit


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("clip_spec.sampling_rate", 4, "clip spec does not match its hash"),
        ("clip_spec.mean", [0.5, 0.5, 0.5], "clip spec does not match its hash"),
        ("clip_spec.crop", 99, "larger than short_side"),
        ("clip_spec_hash", "0" * 64, "clip spec does not match its hash"),
        ("format_version", 2, "has format version 2"),
        ("architecture", "x3d_q", "unknown architecture 'x3d_q'"),
        ("arguments.colour", "red", "cannot be built"),
        ("arguments.num_classes", 4, "the weights do not fit"),
        ("labels", ["rest", "rise"], "2 labels for a network of 3 outputs"),
        ("labels", ["rest", "rise", "rise"], "not distinct"),
        ("decisions.background_label", "sky", "'sky' is not one of the labels"),
        ("decisions.off_threshold", 0.9, "above on_threshold"),
        ("decisions.on_threshold", 0, "> 0"),
        ("activation", "tanh", "invalid document"),
        ("activation", "sigmoid", "does not score its golden clip"),
        ("golden", [0.5, 0.5], "2 golden scores for 3 labels"),
        ("golden", [1.0, 0.0, 0.0], "does not score its golden clip"),
        ("surprise", 1, "unknown field `surprise`"),
    ],
)
def test_a_changed_document_is_refused(
    sound: Path, tmp_path: Path, place: str, value: Any, said: str
) -> None:
    assert said in refusal(edited(sound, tmp_path / "edited.safetensors", change(place, value)))


def test_one_flipped_bit_in_the_weights_is_refused(sound: Path, tmp_path: Path) -> None:
    data = bytearray(sound.read_bytes())
    data[-1001] ^= 1
    path = tmp_path / "m.safetensors"
    path.write_bytes(data)
    assert "weights were changed" in refusal(path)


def test_a_network_that_scores_its_golden_clip_otherwise_is_refused(
    sound: Path, tmp_path: Path
) -> None:
    """What changed pixels, code or a faulty device would give: other scores from these weights."""

    def edit(document: dict[str, Any]) -> None:
        document["golden"] = document["golden"][::-1]

    path = edited(sound, tmp_path / "m.safetensors", edit)
    assert "does not score its golden clip" in refusal(path)


def test_weights_of_another_network_are_refused(sound: Path, tmp_path: Path) -> None:
    weights = load_file(sound)
    weights["extra.weight"] = weights.pop("blocks.5.proj.bias")
    with safe_open(sound, "pt") as file:
        save_file(weights, tmp_path / "m.safetensors", file.metadata())
    assert "it lacks blocks.5.proj.bias and 1 more" in refusal(tmp_path / "m.safetensors")


def test_a_file_that_could_not_be_loaded_is_never_written(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    with pytest.raises(ModelError, match="2 labels for a network of 3 outputs"):
        write_small(path, labels=LABELS[:2])
    with pytest.raises(ModelError, match="the weights do not fit"):
        write_small(path, arguments=ARGUMENTS | {"width_factor": 1.0})
    with pytest.raises(ModelError, match="'sky' is not one of the labels"):
        write_small(path, decisions=DecisionDefaults(background_label="sky"))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file_and_no_scraps(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(sound.read_bytes())

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(ConfigError, match="No space left"):
        write_small(path)
    assert [file.name for file in tmp_path.iterdir()] == ["m.safetensors"]
    assert load_bundle(path).labels == LABELS


def test_writing_leaves_the_network_as_it_was(tmp_path: Path) -> None:
    network = small_network().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    write_small(tmp_path / "m.safetensors", network)
    assert network.training
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


@pytest.mark.parametrize("name", ["m.pth", "missing/m.safetensors"])
def test_an_unfit_path_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"m\.(pth|safetensors)"):
        write_bundle(
            tmp_path / name,
            network=small_network(),
            name="small",
            architecture="x3d_xs",
            arguments=ARGUMENTS,
            labels=LABELS,
            clip_spec=SPEC,
        )
