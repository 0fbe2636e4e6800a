"""Reuse is tried where windows share pictures that the network takes one by one, and then timed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from streamcls.config import BackendName
from streamcls.errors import ModelError
from streamcls.frames import BgrImage, RgbClip
from streamcls.models.backends import TorchBackend, choose
from streamcls.models.backends.cache import NetworkCache
from streamcls.models.backends.choose import BUILDS, frames_between
from streamcls.models.backends.openvino import openvino_reuse
from streamcls.models.backends.remembered import Remembered
from streamcls.models.backends.reuse import ReuseBackend, reuse_backend
from streamcls.models.backends.trial import Runner, race
from streamcls.models.bundle import LoadedModel, load_bundle
from streamcls.models.golden import golden_windows
from streamcls.transforms import ClipSpec, to_small_rgb
from tests.models.small import write_small
from tests.models.test_reuse import agree, pictures, small_model
from tests.test_parity import streamed
from tests.videos import write_video

F32_REUSE = BackendName.OPENVINO_F32_REUSE


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return small_model("slow_r50", tmp_path_factory.mktemp("model"))


@pytest.fixture
def cache(tmp_path: Path) -> NetworkCache:
    return NetworkCache(tmp_path / "cache")


def tried(model: LoadedModel, stride_s: float) -> set[str]:
    """The backends that a choice makes."""
    made: set[str] = set()

    def build(model: LoadedModel, _: NetworkCache, name: BackendName) -> TorchBackend:
        made.add(name.value)
        return TorchBackend(model)

    builds = {
        name: lambda model, cache, name=name: build(model, cache, name) for name in BUILDS["cpu"]
    }
    choose(model, stride_s=stride_s, builds=builds)
    return made


def test_it_is_tried_where_windows_overlap(model: LoadedModel) -> None:
    overlap = {"torch-reuse", "openvino-f32-reuse", "openvino-bf16-reuse"}
    # Four frames, 8/30 s apart.
    assert overlap <= tried(model, 0.1)
    assert overlap <= tried(model, 0.8)
    assert not overlap & tried(model, 1.06)


def test_it_is_not_tried_of_a_network_that_mixes_frames_at_once(tmp_path: Path) -> None:
    write_small(tmp_path / "x3d.safetensors")
    x3d = load_bundle(tmp_path / "x3d.safetensors")
    assert tried(x3d, 0.1) == {"openvino-f32", "openvino-bf16"}
    with pytest.raises(ModelError, match="its first layers look at several frames"):
        choose(x3d, BackendName.TORCH_REUSE)


@pytest.mark.parametrize(
    ("stride_s", "frames"), [(0.05, 1), (0.1, 1), (0.2, 1), (0.29, 1), (0.31, 2), (1.0, 5)]
)
def test_new_frames_in_a_window(stride_s: float, frames: int) -> None:
    spec = ClipSpec(num_frames=4, sampling_rate=6, trained_fps=30, short_side=4, crop=4)
    assert frames_between(spec, stride_s) == frames


class SlowPictures(ReuseBackend):
    """Whose pictures take a second each, on the clock of the trial."""

    def __init__(self, model: LoadedModel) -> None:
        split = reuse_backend(model)
        self.__dict__ = split.__dict__
        self.now_s = 0.0

    def scores(self, clips: Sequence[RgbClip]) -> npt.NDArray[np.float32]:
        before = self.cache.misses
        scores = super().scores(clips)
        self.now_s += self.cache.misses - before
        return scores


def test_the_trial_times_windows_that_share_pictures_and_compares_clips_that_do_not(
    model: LoadedModel,
) -> None:
    oracle, slow = Runner(TorchBackend(model)), SlowPictures(model)
    runner = Runner(slow)
    race([oracle, runner], model.clip_spec, lambda: slow.now_s, stride=1)
    assert set(runner.times_s) == {1.0}
    assert len(runner.scores) == len(oracle.scores) == len(runner.times_s) + 5
    assert runner.problem(oracle) == ""


def test_openvino_reuses_what_torch_does(model: LoadedModel, cache: NetworkCache) -> None:
    backend = openvino_reuse(model, cache, "f32")
    assert backend.name == "openvino-f32-reuse"
    shown = pictures(12)
    windows = [tuple(shown[at : at + 4]) for at in range(9)]
    agree(backend, TorchBackend(model), windows)
    assert backend.cache.misses == 12
    again = openvino_reuse(model, cache, "f32")
    agree(again, TorchBackend(model), windows)


def test_it_can_be_named(model: LoadedModel, cache: NetworkCache) -> None:
    chosen = choose(model, F32_REUSE, cache=cache)
    assert chosen.backend.name == "openvino-f32-reuse"
    assert chosen.why.startswith("openvino-f32-reuse, as set")
    windows = golden_windows(model.clip_spec, 1)
    window = next(windows)
    np.testing.assert_allclose(
        chosen.backend.scores([window]), TorchBackend(model).scores([window]), atol=1e-4
    )


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "bgr0", "gray", "yuv420p10le"])
def test_pictures_of_real_streams_can_be_kept(
    model: LoadedModel, tmp_path: Path, pix_fmt: str
) -> None:
    codec = {"bgr0": "ffv1", "gray": "ffv1"}.get(pix_fmt, "libx265")
    path = write_video(tmp_path / "clip.mkv", frames=60, codec=codec, pix_fmt=pix_fmt)
    windows = [one.clip for one in streamed(path, model.clip_spec, 0.2667)]
    backend = reuse_backend(model)
    for clip in windows:
        backend.scores([clip])
    # The first window is new, then one picture in each.
    assert backend.cache.misses == 4 + len(windows) - 1
    assert len(windows) > 3


def test_pictures_of_webcams_can_be_kept() -> None:
    spec = ClipSpec(num_frames=4, sampling_rate=6, trained_fps=30, short_side=4, crop=4)
    shown = to_small_rgb(BgrImage(np.zeros((8, 16, 3), np.uint8)), spec)
    shown.flags.writeable = False
    memory = Remembered[int](9, size_of=lambda _: 1)
    assert memory.put((shown,), 1)
