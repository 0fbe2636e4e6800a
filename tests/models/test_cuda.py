"""The CUDA backend: each picture sent once, scores those of the oracle, batches begun ahead.

On a CPU everything runs but pinning, streams and graphs; those are in the tests marked `gpu`.
"""

import gc
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from streamcls.frames import RgbImage
from streamcls.models.backends import TorchBackend, resolve_device
from streamcls.models.backends.cuda import CudaBackend, Precision
from streamcls.models.backends.picture_ring import PictureRing
from streamcls.models.bundle import Activation, LoadedModel, load_bundle, write_bundle
from streamcls.models.golden import golden_windows
from streamcls.models.zoo import build_network
from streamcls.transforms.clip import centre_crop
from tests.models.small import SPEC, write_small
from tests.models.test_every_network import SMALL, small_spec

CPU = torch.device("cpu")
SQUARE = 3 * SPEC.crop * SPEC.crop


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    write_small(path)
    return path


@pytest.fixture(scope="module")
def model(model_file: Path) -> LoadedModel:
    return load_bundle(model_file)


def pictures(count: int, seed: int = 0, width: int = 40) -> list[RgbImage]:
    """Pictures of a stream, as its ring holds them."""
    rng = np.random.default_rng(seed)
    made = [rng.integers(0, 256, (36, width, 3), np.uint8) for _ in range(count)]
    for picture in made:
        picture.flags.writeable = False
    return made


def taken(ring: PictureRing, wanted: Sequence[RgbImage], device: torch.device = CPU) -> bool:
    """Place pictures and take them; whether they are the right ones."""
    places = ring.place(wanted)
    out = torch.zeros((len(wanted), SPEC.crop, SPEC.crop, 3), dtype=torch.uint8, device=device)
    ring.take(places, out)
    expected = np.array([centre_crop(picture, SPEC) for picture in wanted])
    return bool((out.cpu().numpy() == expected).all())


def test_a_picture_is_sent_once_as_long_as_it_is_there() -> None:
    ring, shown = PictureRing(SPEC, CPU, 16), pictures(12)
    for at in range(9):
        assert taken(ring, shown[at : at + 4])
    assert ring.uploads == 12
    assert taken(ring, [shown[11], shown[11], shown[3]])
    assert ring.uploads == 12


def test_a_full_ring_gives_the_longest_unused_place_away() -> None:
    ring, shown = PictureRing(SPEC, CPU, 4), pictures(5)
    assert taken(ring, shown[:4])
    assert taken(ring, shown[:1])
    assert taken(ring, shown[4:])  # in the place of the second
    assert taken(ring, [shown[0], shown[2], shown[3], shown[4]])
    assert ring.uploads == 5
    assert taken(ring, shown[1:2])
    assert ring.uploads == 6


def test_pictures_that_are_gone_leave_their_places() -> None:
    ring = PictureRing(SPEC, CPU, 4)
    kept = pictures(1, seed=99)
    assert taken(ring, kept)
    for seed in range(20):
        assert taken(ring, pictures(3, seed))
        gc.collect()
    assert ring.uploads == 61
    assert taken(ring, kept)
    assert ring.uploads == 61


def test_pictures_that_somebody_may_write_to_are_sent_each_time() -> None:
    ring = PictureRing(SPEC, CPU, 4)
    array = np.array(pictures(2))
    for _ in range(5):
        assert taken(ring, tuple(array))
        array[:] = 255 - array
    assert ring.uploads == 10


def test_more_pictures_than_places_are_refused() -> None:
    with pytest.raises(ValueError, match="5 pictures for a ring of 4"):
        PictureRing(SPEC, CPU, 4).place(pictures(5))


@given(st.lists(st.lists(st.integers(0, 29), min_size=1, max_size=8), max_size=30))
@settings(max_examples=60)
def test_whatever_is_asked_for_the_right_pictures_come(calls: list[list[int]]) -> None:
    ring, shown = PictureRing(SPEC, CPU, 8), pictures(30)
    for wanted in calls:
        assert taken(ring, [shown[number] for number in wanted])


def backend_of(model: LoadedModel, precision: Precision = "fp32", **more: bool) -> CudaBackend:
    return CudaBackend(model, precision, ring_bytes=200 * SQUARE, **more)


def test_windows_of_several_streams_score_as_eager_torch_scores_them(model: LoadedModel) -> None:
    backend, oracle = backend_of(model), TorchBackend(model)
    streams = [pictures(12, seed, width=36 + 5 * seed) for seed in range(3)]
    for at in range(8):
        clips = [tuple(shown[at : at + 4]) for shown in streams[: 1 + at % 3]]
        np.testing.assert_allclose(backend.scores(clips), oracle.scores(clips), atol=1e-6)
    assert (backend.name, backend.device) == ("cuda-fp32", "cpu")
    assert np.ptp(backend.scores([tuple(streams[0][:4])])) > 0.05


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 31, 32, 33, 70])
def test_batches_of_every_size_score_as_clips_alone(model: LoadedModel, count: int) -> None:
    backend = backend_of(model)
    windows = list(islice(golden_windows(SPEC, 3), count))
    alone = np.concatenate([backend.scores([window]) for window in windows[:6]])
    together = backend.scores(windows)
    assert together.shape == (count, 3)
    np.testing.assert_allclose(together[:6], alone, atol=1e-6)
    np.testing.assert_allclose(backend.scores(windows[::-1])[::-1], together, atol=1e-6)


def test_a_batch_may_begin_before_the_last_ones_scores_are_taken(model: LoadedModel) -> None:
    backend, oracle = backend_of(model), TorchBackend(model)
    windows = list(islice(golden_windows(SPEC, 2), 8))
    first, second = backend.begin(windows[:3]), backend.begin(windows[3:])
    np.testing.assert_allclose(first(), oracle.scores(windows[:3]), atol=1e-6)
    np.testing.assert_allclose(second(), oracle.scores(windows[3:]), atol=1e-6)


def test_warming_up_runs_every_size_and_changes_no_score(model: LoadedModel) -> None:
    backend = backend_of(model)
    clip = tuple(pictures(4))
    before = backend.scores([clip])
    backend.warm_up([1, 6])
    np.testing.assert_array_equal(backend.scores([clip]), before)


def test_a_multi_label_model_keeps_its_activation(tmp_path: Path) -> None:
    write_small(tmp_path / "multi.safetensors", activation=Activation.SIGMOID)
    model = load_bundle(tmp_path / "multi.safetensors")
    clips = [tuple(pictures(4))]
    np.testing.assert_allclose(
        backend_of(model).scores(clips), TorchBackend(model).scores(clips), atol=1e-6
    )


def test_several_pathways_get_their_frames(tmp_path: Path) -> None:
    model = small(tmp_path, "slowfast_r50")
    clips = [tuple(pictures(8, seed)) for seed in range(2)]
    expected = TorchBackend(model).scores(clips)
    assert np.abs(expected[0] - expected[1]).max() > 1e-4
    np.testing.assert_allclose(backend_of(model).scores(clips), expected, atol=1e-5)


def test_half_precision_agrees_to_its_own_rounding(tmp_path: Path) -> None:
    model = small(tmp_path, "motion_net")  # torch has no average pool in bf16 for CPUs
    clips = [tuple(pictures(4, seed)) for seed in range(4)]
    expected = TorchBackend(model).scores(clips)
    backend = backend_of(model, "bf16")
    assert backend.name == "cuda-bf16"
    difference = np.abs(backend.scores(clips) - expected).max()
    assert 0 < difference < 0.05
    np.testing.assert_array_equal(TorchBackend(model).scores(clips), expected)


def test_a_clip_that_does_not_fit_is_refused(model: LoadedModel) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        backend_of(model).scores([tuple(pictures(3))])


def small(folder: Path, name: str, device: torch.device = CPU) -> LoadedModel:
    """A model file of a small network with scores apart."""
    torch.manual_seed(3)
    network = build_network(name, num_classes=3, **SMALL[name][0])
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=1.0)
    path = folder / f"{name}.safetensors"
    write_bundle(
        path,
        network=network,
        name="small",
        architecture=name,
        arguments={"num_classes": 3, **SMALL[name][0]},
        labels=("rest", "rise", "fall"),
        clip_spec=small_spec(name),
    )
    return load_bundle(path, device)


@pytest.mark.gpu
@pytest.mark.parametrize(("precision", "atol"), [("fp32", 2e-3), ("fp16", 2e-2), ("bf16", 5e-2)])
@pytest.mark.parametrize("graphs", [False, True])
def test_a_gpu_scores_as_the_cpu_does(
    model_file: Path, precision: Precision, atol: float, graphs: bool
) -> None:
    on_gpu = backend_of(load_bundle(model_file, resolve_device("cuda")), precision, graphs=graphs)
    oracle = TorchBackend(load_bundle(model_file))
    on_gpu.warm_up([1, 8])
    shown = pictures(40)
    for at in range(30):
        clips = [tuple(shown[place : place + 4]) for place in range(at, min(at + 7, 36))]
        np.testing.assert_allclose(on_gpu.scores(clips), oracle.scores(clips), atol=atol)
    assert on_gpu.ring.uploads <= 40 + 4 * 15


@pytest.mark.gpu
def test_a_ring_on_a_gpu_gives_the_right_pictures_while_it_is_overwritten() -> None:
    device = resolve_device("cuda")
    ring = PictureRing(SPEC, device, 8)
    shown = pictures(64)
    for at in range(56):
        assert taken(ring, shown[at : at + 8], device)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["slow_r50", "slowfast_r50", "csn_r101", "mvit_base_16x4"])
def test_other_networks_run_on_a_gpu_with_or_without_a_graph(name: str, tmp_path: Path) -> None:
    model = small(tmp_path, name, resolve_device("cuda"))
    frames = model.clip_spec.num_frames
    clips = [tuple(pictures(frames, seed)) for seed in range(3)]
    expected = TorchBackend(model).scores(clips)
    np.testing.assert_allclose(backend_of(model).scores(clips), expected, atol=2e-3)


@pytest.mark.gpu
def test_batches_begun_ahead_do_not_overwrite_each_other(model_file: Path) -> None:
    backend = backend_of(load_bundle(model_file, resolve_device("cuda")))
    oracle = TorchBackend(load_bundle(model_file))
    windows = list(islice(golden_windows(SPEC, 2), 60))
    backend.warm_up([4])
    waits = [backend.begin(windows[at : at + 4]) for at in range(0, 60, 4)]
    scores = np.concatenate([wait() for wait in waits])
    np.testing.assert_allclose(scores, oracle.scores(windows), atol=2e-3)
