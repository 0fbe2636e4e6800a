"""OpenVINO scores as eager torch does, and leaves the process as it was."""

import logging
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from streamcls.config import BackendName
from streamcls.errors import ConfigError, MissingExtra
from streamcls.frames import ClipArray
from streamcls.models.backends import TorchBackend, choose, use_threads
from streamcls.models.backends import openvino as module
from streamcls.models.backends.cache import NetworkCache
from streamcls.models.backends.machine import computes_bf16, cpu_flags
from streamcls.models.backends.openvino import openvino_backend
from streamcls.models.backends.portable import example, portable
from streamcls.models.backends.trial import trial_clips
from streamcls.models.bundle import LoadedModel, load_bundle, write_bundle
from streamcls.models.heads import find_head
from streamcls.models.zoo import ZOO, build_network, num_outputs
from streamcls.transforms import ClipSpec
from tests.models.small import SPEC, write_small
from tests.models.test_every_network import SMALL, small_spec

# The others differ in size alone.
ONE_OF_A_KIND = ["x3d_xs", "efficient_x3d_xs", "slow_r50", "c2d_r50", "i3d_r50", "r2plus1d_r50"]
ONE_OF_A_KIND += ["csn_r101", "slowfast_r50", "mvit_base_16x4", "motion_net"]

needs_bf16 = pytest.mark.skipif(
    not computes_bf16(cpu_flags()), reason="this processor only emulates bf16"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    write_small(path)
    return load_bundle(path)


@pytest.fixture
def cache(tmp_path: Path) -> NetworkCache:
    return NetworkCache(tmp_path / "cache")


def clips(count: int) -> list[ClipArray]:
    """Of several widths, as cameras of several shapes give them."""
    rng = np.random.default_rng(0)
    return [
        rng.integers(0, 256, (SPEC.num_frames, 36, 36 + 7 * index, 3), np.uint8)
        for index in range(count)
    ]


def test_it_scores_clips_of_any_width_as_torch_does(
    model: LoadedModel, cache: NetworkCache
) -> None:
    backend = openvino_backend(model, cache, "f32")
    scores = backend.scores(clips(5))
    assert (backend.name, backend.device) == ("openvino-f32", "cpu")
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, TorchBackend(model).scores(clips(5)), atol=1e-5)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)


def test_what_it_returned_is_the_callers_to_keep(model: LoadedModel, cache: NetworkCache) -> None:
    backend = openvino_backend(model, cache, "f32")
    first = backend.scores(clips(1))
    kept = first.copy()
    backend.scores([255 - clips(1)[0]])
    np.testing.assert_array_equal(first, kept)


@needs_bf16
def test_bf16_is_near_and_its_probabilities_are_float32(
    model: LoadedModel, cache: NetworkCache
) -> None:
    backend = openvino_backend(model, cache, "bf16")
    scores, exact = backend.scores(clips(5)), TorchBackend(model).scores(clips(5))
    assert backend.name == "openvino-bf16"
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)
    assert 1e-5 < np.abs(scores - exact).max() < 0.05


def test_bf16_is_refused_where_the_processor_only_emulates_it(
    model: LoadedModel, cache: NetworkCache
) -> None:
    flags = frozenset({"avx2", "avx512f", "avx512_vnni"})
    with pytest.raises(ConfigError, match="neither AVX512_BF16 nor AMX; use openvino-f32"):
        openvino_backend(model, cache, "bf16", flags)


def test_flags_are_read_as_linux_tells_them(tmp_path: Path) -> None:
    told = tmp_path / "cpuinfo"
    told.write_text("model name\t: X\nflags\t\t: fpu avx512f amx_bf16\nbugs\t\t: avx512_bf16\n")
    assert cpu_flags(told) == {"fpu", "avx512f", "amx_bf16"}
    assert computes_bf16(cpu_flags(told))
    assert not computes_bf16(cpu_flags(tmp_path / "missing"))


@pytest.mark.parametrize("threads", [1, 2])
def test_it_has_the_threads_of_the_settings(
    model: LoadedModel, cache: NetworkCache, threads: int
) -> None:
    before = torch.get_num_threads()
    use_threads(threads)
    source = module._Source(("small",), lambda: portable(model))
    try:
        for _ in ("converted", "from the cache"):
            compiled = module._Network(source, example(SPEC), "f32", cache).compiled
            assert compiled.get_property("INFERENCE_NUM_THREADS") == threads
            assert str(compiled.get_property("INFERENCE_PRECISION_HINT")) == "<Type: 'float32'>"
    finally:
        use_threads(before)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_clips_side_by_side_score_as_alone_and_in_their_order(
    model: LoadedModel, cache: NetworkCache, threads: int, count: int
) -> None:
    before = torch.get_num_threads()
    use_threads(threads)
    try:
        for _ in ("converted", "from the cache"):
            backend = openvino_backend(model, cache, "f32")
            backend.warm_up([1, count])
            alone = np.concatenate([backend.scores([clip]) for clip in clips(count)])
            np.testing.assert_allclose(backend.scores(clips(count)), alone, atol=1e-6)
    finally:
        use_threads(before)


def test_a_second_start_converts_nothing(
    model: LoadedModel, cache: NetworkCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = openvino_backend(model, cache, "f32").scores(clips(2))

    def converts(model: LoadedModel) -> None:
        raise AssertionError("converted again")

    monkeypatch.setattr(module, "portable", converts)
    np.testing.assert_array_equal(openvino_backend(model, cache, "f32").scores(clips(2)), first)


def test_what_was_kept_and_cannot_be_loaded_is_converted_again(
    model: LoadedModel, cache: NetworkCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "read", lambda made_from: b"of another version")
    scores = openvino_backend(model, cache, "f32").scores(clips(1))
    np.testing.assert_allclose(scores, TorchBackend(model).scores(clips(1)), atol=1e-5)


def test_without_a_place_to_keep_it_each_start_converts(
    model: LoadedModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    nowhere = NetworkCache(tmp_path / "file")
    for _ in range(2):
        scores = openvino_backend(model, nowhere, "f32").scores(clips(1))
        np.testing.assert_allclose(scores, TorchBackend(model).scores(clips(1)), atol=1e-5)
    assert "each start converts again" in caplog.text


def test_another_file_is_another_network(
    model: LoadedModel, cache: NetworkCache, tmp_path: Path
) -> None:
    openvino_backend(model, cache, "f32")
    write_small(tmp_path / "other.safetensors", seed=6)
    other = load_bundle(tmp_path / "other.safetensors")
    scores = openvino_backend(other, cache, "f32").scores(clips(2))
    np.testing.assert_allclose(scores, TorchBackend(other).scores(clips(2)), atol=1e-5)


def test_the_models_own_network_is_left_as_it_was(model: LoadedModel, cache: NetworkCache) -> None:
    kinds = [type(module) for module in model.network.modules()]
    openvino_backend(model, cache, "f32")
    assert [type(module) for module in model.network.modules()] == kinds


def test_converting_leaves_logging_alone(model: LoadedModel, cache: NetworkCache) -> None:
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.INFO)
    try:
        handlers = root.handlers[:]
        openvino_backend(model, cache, "f32")
        assert (root.level, root.handlers, root.filters) == (logging.INFO, handlers, [])
    finally:
        root.setLevel(before)


def test_its_maker_is_told_nothing() -> None:
    program = (
        "import sys\n"
        "from streamcls.models.backends.openvino import _openvino\n"
        "_openvino()\n"
        "import openvino.tools.ovc.convert_impl as impl\n"
        "print(impl.tm.__name__, sys.modules['openvino_telemetry'])\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == ["openvino.tools.ovc.telemetry_stub", "None"]


def test_there_is_one_core(model: LoadedModel, cache: NetworkCache) -> None:
    openvino_backend(model, cache, "f32")
    core = module._core()
    openvino_backend(model, cache, "f32")
    assert module._core() is core


def test_without_the_extra_it_is_named(
    model: LoadedModel, cache: NetworkCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtra, match=r"streamcls\[openvino\]"):
        openvino_backend(model, cache, "f32")
    chosen = choose(model, BackendName.AUTO, cache=cache)
    assert chosen.backend.name == "torch"
    assert "pip install 'streamcls[openvino]'" in chosen.why


def converted(name: str, path: Path, spec: ClipSpec, **arguments: object) -> None:
    """A network of the zoo by its name is converted, and scores its trial's clips as torch does."""
    torch.manual_seed(0)
    network = build_network(name, **arguments)
    torch.nn.init.normal_(find_head(network).weight, std=0.5)  # that labels differ
    labels = [f"label {index}" for index in range(num_outputs(network))]
    write_bundle(
        path,
        network=network,
        name=name,
        architecture=name,
        arguments=arguments,
        labels=labels,
        clip_spec=spec,
    )
    model = load_bundle(path)
    chosen = choose(model, BackendName.OPENVINO_F32, cache=NetworkCache(path.parent / "cache"))
    assert chosen.backend.name == "openvino-f32"
    some = trial_clips(spec)[:1]
    exact = TorchBackend(model).scores(some)
    np.testing.assert_allclose(chosen.backend.scores(some), exact, atol=1e-5)


@pytest.mark.parametrize("name", ONE_OF_A_KIND)
def test_every_kind_of_network_is_converted(name: str, tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    converted(name, path, small_spec(name), **SMALL[name][0], num_classes=3)


def test_a_slow_pathway_sees_the_frames_that_torch_gives_it(tmp_path: Path) -> None:
    """The last of 8 of 32 frames is the 32nd, if only just: by another's linspace, the 31st."""
    spec = msgspec.structs.replace(small_spec("slowfast_r50"), num_frames=32)
    arguments = {"clip_length": 32, "crop": 32, "width": 16, "num_classes": 3}
    converted("slowfast_r50", tmp_path / "slowfast.safetensors", spec=spec, **arguments)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ZOO)
def test_every_network_of_the_zoo_is_converted_at_its_default_size(
    name: str, tmp_path: Path
) -> None:
    converted(name, tmp_path / "whole.safetensors", ZOO[name].clip_spec)
