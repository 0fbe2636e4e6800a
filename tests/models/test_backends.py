"""A backend turns clips into probabilities, the same whatever else is in the batch."""

from pathlib import Path

import numpy as np
import pytest
import torch

from streamcls.errors import ConfigError
from streamcls.frames import RgbClip
from streamcls.models.backends import Backend, TorchBackend, resolve_device
from streamcls.models.bundle import Activation, load_bundle
from streamcls.models.golden import golden_clip
from tests.models.small import SPEC, write_small


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    write_small(path)
    return path


def clips(count: int) -> list[RgbClip]:
    """Clips of several widths, as cameras of several shapes give them."""
    rng = np.random.default_rng(0)
    return [
        rng.integers(0, 256, (SPEC.num_frames, 36, 36 + 7 * index, 3), np.uint8)
        for index in range(count)
    ]


def test_scores_are_probabilities_in_float32(model_file: Path) -> None:
    backend: Backend = TorchBackend(load_bundle(model_file))
    scores = backend.scores(clips(3))
    assert scores.shape == (3, 3)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)
    assert (backend.name, backend.device) == ("torch", "cpu")


def test_a_multi_label_model_scores_each_label_by_itself(model_file: Path, tmp_path: Path) -> None:
    write_small(tmp_path / "multi.safetensors", activation=Activation.SIGMOID)
    scores = TorchBackend(load_bundle(tmp_path / "multi.safetensors")).scores(clips(3))
    assert scores.dtype == np.float32
    assert ((scores >= 0) & (scores <= 1)).all()
    # The same weights: softmax is the sigmoids' odds, s / (1 - s), over their sum.
    odds = scores.astype(np.float64) / (1 - scores.astype(np.float64))
    single = TorchBackend(load_bundle(model_file)).scores(clips(3))
    np.testing.assert_allclose(odds / odds.sum(axis=1, keepdims=True), single, atol=1e-4)
    assert np.abs(scores.sum(axis=1) - 1).max() > 0.1


def test_a_clip_scores_the_same_alone_and_in_a_batch(model_file: Path) -> None:
    backend = TorchBackend(load_bundle(model_file))
    batch = clips(5)
    alone = np.concatenate([backend.scores([clip]) for clip in batch])
    np.testing.assert_allclose(backend.scores(batch), alone, atol=1e-6)
    np.testing.assert_allclose(backend.scores(batch[::-1])[::-1], alone, atol=1e-6)


def test_the_golden_clip_scores_what_the_file_says(model_file: Path) -> None:
    model = load_bundle(model_file)
    scores = TorchBackend(model).scores([golden_clip(SPEC)])
    np.testing.assert_allclose(scores[0], model.manifest.golden, atol=1e-6)


def test_warming_up_changes_no_score(model_file: Path) -> None:
    backend = TorchBackend(load_bundle(model_file))
    before = backend.scores(clips(2))
    backend.warm_up([1, 2, 4])
    np.testing.assert_array_equal(backend.scores(clips(2)), before)


def test_cpu_is_always_there_and_auto_finds_something() -> None:
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type in {"cpu", "cuda"}


@pytest.mark.parametrize("setting", ["gpu", "cuda:", "cuda:one", "cpu:0", "mps", ""])
def test_an_unknown_device_is_refused(setting: str) -> None:
    with pytest.raises(ConfigError, match="use auto, cpu, cuda or cuda:N"):
        resolve_device(setting)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_cuda_is_refused_where_there_is_none() -> None:
    with pytest.raises(ConfigError, match=r"'cuda:0' is not there: .*; use auto or cpu"):
        resolve_device("cuda:0")


@pytest.mark.gpu
def test_a_gpu_scores_as_the_cpu_does(model_file: Path) -> None:
    device = resolve_device("cuda")
    on_gpu = TorchBackend(load_bundle(model_file, device))
    on_cpu = TorchBackend(load_bundle(model_file))
    assert on_gpu.device == "cuda:0"
    np.testing.assert_allclose(on_gpu.scores(clips(4)), on_cpu.scores(clips(4)), atol=2e-3)


@pytest.mark.gpu
def test_a_device_number_beyond_the_last_is_refused() -> None:
    with pytest.raises(ConfigError, match="CUDA device"):
        resolve_device("cuda:99")
