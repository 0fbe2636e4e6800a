"""Reuse leaves every score as it is, computes no picture twice, and forgets what is gone."""

import gc
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from streamcls.frames import RgbClip, RgbImage
from streamcls.models.backends import Backend, TorchBackend
from streamcls.models.backends.framewise import PerUnit, split_network
from streamcls.models.backends.remembered import Remembered
from streamcls.models.backends.reuse import ReuseBackend
from streamcls.models.bundle import LoadedModel, load_bundle, write_bundle
from streamcls.models.golden import golden_clip, golden_windows
from streamcls.models.scoring import logits_of
from streamcls.models.zoo import ZOO, build_network, find_architecture
from streamcls.transforms import ClipSpec
from tests.models.test_every_network import SMALL, small_spec

# Frames to a unit; r2plus1d has its stem before the first convolution in time.
SPLIT = {"slow_r50": 1, "c2d_r50": 2, "r2plus1d_r50": 1}


def network_of(name: str) -> nn.Module:
    """A small one whose scores tell clips apart, in evaluation mode, as if it were trained."""
    torch.manual_seed(7)
    network = build_network(name, num_classes=3, **SMALL[name][0])
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean = torch.randn(module.num_features) * 0.1
            module.running_var = torch.rand(module.num_features) + 0.5
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return spread(network.eval(), small_spec(name))


@torch.no_grad()
def spread(network: nn.Module, spec: ClipSpec) -> nn.Module:
    """Make the head give clips of noise logits that lie about 1 apart."""
    (head,) = [module for module in network.modules() if isinstance(module, nn.Linear)]
    clips = [pictures(spec.num_frames, seed) for seed in range(8)]
    logits = logits_of(network, clips, spec, torch.device("cpu"))
    head.weight.div_(logits.std(dim=0).mean())
    head.bias.sub_(logits_of(network, clips, spec, torch.device("cpu")).mean(dim=0))
    return network


def small_model(name: str, folder: Path) -> LoadedModel:
    """The same as a model file."""
    path = folder / "small.safetensors"
    write_bundle(
        path,
        network=network_of(name),
        name="small",
        architecture=name,
        arguments={"num_classes": 3, **SMALL[name][0]},
        labels=("rest", "rise", "fall"),
        clip_spec=small_spec(name),
    )
    return load_bundle(path)


@pytest.fixture(scope="module", params=["slow_r50", "c2d_r50"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return small_model(request.param, tmp_path_factory.mktemp(request.param))


class CountingEngine:
    """Runs parts as they are, and counts the units that it is given."""

    def __init__(self) -> None:
        self.units = 0
        self.clips = 0

    def __call__(self, part: nn.Module, example: Tensor) -> "CountingEngine.Run":
        return CountingEngine.Run(self, part)

    class Run:
        def __init__(self, engine: "CountingEngine", part: nn.Module) -> None:
            self._engine, self._part = engine, part

        def __call__(self, batch: Tensor) -> Tensor:
            made: Tensor = self._part(batch)
            if isinstance(self._part, PerUnit):
                self._engine.units += len(made)
            else:
                self._engine.clips += len(made)
            return made


def reusing(model: LoadedModel, limit_bytes: int = 1 << 30) -> tuple[ReuseBackend, CountingEngine]:
    split = split_network(model.network, model.clip_spec)
    assert split is not None
    engine = CountingEngine()
    backend = ReuseBackend(model, split, compile_=engine, limit_bytes=limit_bytes)
    engine.units = engine.clips = 0  # those of compiling
    return backend, engine


def pictures(count: int, seed: int = 0, width: int = 40) -> list[RgbImage]:
    """Pictures of a stream, as its ring holds them."""
    rng = np.random.default_rng(seed)
    made = [rng.integers(0, 256, (32, width, 3), np.uint8) for _ in range(count)]
    for picture in made:
        picture.flags.writeable = False
    return made


def agree(one: Backend, other: Backend, clips: Sequence[RgbClip]) -> None:
    expected = other.scores(clips)
    assert np.ptp(expected) > 0.05  # or nothing would be compared
    np.testing.assert_allclose(one.scores(clips), expected, atol=1e-5)


@pytest.mark.parametrize("name", ZOO)
def test_only_networks_that_begin_without_time_are_split(name: str) -> None:
    network = build_network(name, num_classes=3, **SMALL[name][0]).eval()
    split = split_network(network, small_spec(name))
    assert (split.frames if split else None) == SPLIT.get(name)


@pytest.mark.parametrize("name", SPLIT)
def test_no_unit_changes_anothers_features(name: str) -> None:
    split = split_network(network_of(name), small_spec(name))
    assert split is not None
    batch = torch.from_numpy(np.array(pictures(4 * split.frames, width=32)))
    batch = batch.reshape(4, split.frames, *batch.shape[1:])
    features = split.per_unit(batch)
    for unit in range(4):
        changed = batch.clone()
        changed[unit, 0] = 255 - changed[unit, 0]
        moved = (split.per_unit(changed) - features).abs().amax(dim=(1, 2, 3))
        assert (moved > 0).nonzero().flatten().tolist() == [unit]


def test_the_full_size_networks_split_where_they_first_mix_frames() -> None:
    for name, blocks in (("slow_r50", 3), ("c2d_r50", 6)):
        architecture = find_architecture(name)
        split = split_network(architecture.build().eval(), architecture.clip_spec)
        assert split is not None
        assert len(split.per_unit.blocks) == blocks


@pytest.mark.parametrize(
    "change",
    [
        {"kernel_size": (3, 1, 1), "padding": (1, 0, 0)},
        {"kernel_size": (1, 1, 1), "stride": (2, 1, 1)},
        {"kernel_size": (1, 1, 1), "padding": (1, 0, 0)},
    ],
)
def test_a_convolution_that_touches_time_ends_the_first_part(change: dict[str, object]) -> None:
    network = network_of("slow_r50")
    blocks = network.get_submodule("blocks")
    assert isinstance(blocks, nn.ModuleList)
    blocks[1] = nn.Conv3d(8, 8, **change)  # type: ignore[arg-type]
    split = split_network(network, small_spec("slow_r50"))
    assert split is not None
    assert len(split.per_unit.blocks) == 1


def test_layers_that_are_not_known_are_not_split() -> None:
    network = network_of("slow_r50")
    blocks = network.get_submodule("blocks")
    assert isinstance(blocks, nn.ModuleList)
    blocks[0] = nn.AdaptiveAvgPool3d(4)
    assert split_network(network, small_spec("slow_r50")) is None
    assert split_network(nn.Conv3d(3, 3, 1), small_spec("slow_r50")) is None


@pytest.mark.parametrize("stride", [1, 2, 3, 5])
def test_windows_of_a_stream_score_as_the_whole_network_scores_them(
    model: LoadedModel, stride: int
) -> None:
    backend, _ = reusing(model)
    for window in islice(golden_windows(model.clip_spec, stride), 6):
        np.testing.assert_allclose(
            backend.scores([window]), TorchBackend(model).scores([window]), atol=1e-5
        )
    shown = pictures(20)
    windows = [tuple(shown[at : at + 4]) for at in range(0, 16, stride)]
    agree(backend, TorchBackend(model), windows)
    assert backend.cache.hits > 0 or stride > 2


def test_a_picture_is_computed_once_however_many_windows_show_it(model: LoadedModel) -> None:
    backend, engine = reusing(model)
    shown = pictures(12)
    for at in range(9):
        backend.scores([tuple(shown[at : at + 4])])
    assert engine.clips == 9
    # By pairs: two for each of the first two windows, then one new one a window.
    assert engine.units == (12 if SPLIT[model.manifest.architecture] == 1 else 11)


def test_a_picture_shown_at_several_instants_of_a_window_is_computed_once(
    model: LoadedModel,
) -> None:
    backend, engine = reusing(model)
    a, b = pictures(2)
    windows = [(a, a, a, a), (a, a, b, b), (a, b, a, b)]
    agree(backend, TorchBackend(model), windows)
    assert engine.units == (2 if SPLIT[model.manifest.architecture] == 1 else 3)


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_streams_in_any_order_and_with_any_memory_score_the_same(
    model: LoadedModel, data: st.DataObject
) -> None:
    limit = data.draw(st.sampled_from([0, 20_000, 100_000, 1 << 30]))
    backend, _ = reusing(model, limit)
    oracle = TorchBackend(model)
    streams = {seed: pictures(10, seed, width=32 + 4 * seed) for seed in range(3)}
    for _ in range(4):
        chosen = data.draw(
            st.lists(st.tuples(st.sampled_from([0, 1, 2]), st.integers(0, 6)), min_size=1)
        )
        clips = [tuple(streams[seed][at : at + 4]) for seed, at in chosen[:5]]
        np.testing.assert_allclose(backend.scores(clips), oracle.scores(clips), atol=1e-5)
        assert backend.cache.held <= limit


def test_features_go_when_their_pictures_go(model: LoadedModel) -> None:
    backend, _ = reusing(model)
    shown = pictures(4)
    backend.scores([tuple(shown)])
    assert len(backend.cache) == 4 // SPLIT[model.manifest.architecture]
    assert backend.cache.held > 0
    del shown[0]
    gc.collect()
    assert len(backend.cache) == 4 // SPLIT[model.manifest.architecture] - 1
    shown.clear()
    gc.collect()
    assert (len(backend.cache), backend.cache.held) == (0, 0)


def test_a_new_picture_where_an_old_one_lay_in_memory_is_not_taken_for_it(
    model: LoadedModel,
) -> None:
    backend, _ = reusing(model)
    oracle = TorchBackend(model)
    seen: set[int] = set()
    reborn = 0
    for seed in range(40):
        clip = tuple(pictures(4, seed))
        reborn += len(seen & {id(picture) for picture in clip})
        seen |= {id(picture) for picture in clip}
        np.testing.assert_allclose(backend.scores([clip]), oracle.scores([clip]), atol=1e-5)
        del clip
    assert reborn  # or nothing was tried


def test_pictures_that_somebody_may_write_to_are_not_kept(model: LoadedModel) -> None:
    backend, _ = reusing(model)
    oracle = TorchBackend(model)
    clip = golden_clip(model.clip_spec)
    rows = tuple(clip)  # whoever holds the array can change them
    writeable = tuple(picture.copy() for picture in clip)
    for one in (clip, rows, writeable):
        before = backend.scores([one])
        for picture in one:
            picture[:] = 255 - picture
        assert np.abs(backend.scores([one]) - before).max() > 1e-4
        np.testing.assert_allclose(backend.scores([one]), oracle.scores([one]), atol=1e-5)
    assert len(backend.cache) == 0


def test_a_clip_that_does_not_fit_is_refused(model: LoadedModel) -> None:
    backend, _ = reusing(model)
    with pytest.raises(ValueError, match="does not fit"):
        backend.scores([tuple(pictures(3))])


def test_the_longest_unused_go_first() -> None:
    cache = Remembered[Tensor](8, size_of=lambda tensor: tensor.nbytes)
    a, b, c = ((picture,) for picture in pictures(3))
    cache.put(a, torch.zeros(1))
    cache.put(b, torch.ones(1))
    assert cache.get(a) is not None
    cache.put(c, torch.ones(1))
    assert cache.get(b) is None
    assert cache.get(a) is not None
    assert (cache.hits, cache.misses, cache.held) == (2, 1, 8)
