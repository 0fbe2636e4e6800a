"""What runs a network is the fastest that scores as eager torch does, and the reasons are told."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from streamcls.config import BackendName
from streamcls.errors import ConfigError, MissingExtra, ModelError
from streamcls.frames import RgbClip
from streamcls.models.backends import Backend, TorchBackend, choose
from streamcls.models.backends.cache import NetworkCache
from streamcls.models.backends.choose import BUILDS, Build
from streamcls.models.backends.trial import Runner, trial_clips
from streamcls.models.bundle import Activation, LoadedModel, load_bundle
from tests.models.small import SPEC, write_small

AUTO, TORCH = BackendName.AUTO, BackendName.TORCH
F32, BF16 = BackendName.OPENVINO_F32, BackendName.OPENVINO_BF16

Rows = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    write_small(path)
    return load_bundle(path)


class Clock:
    """Seconds that pass only where a backend says that it worked."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """On which a clip takes torch 10 ms."""
    clock, scores = Clock(), TorchBackend.scores

    def timed(self: TorchBackend, clips: Sequence[RgbClip]) -> Rows:
        clock.now += 0.010
        return scores(self, clips)

    monkeypatch.setattr(TorchBackend, "scores", timed)
    return clock


class Other:
    """Scores as torch does but for what it is made to do, in a time of its own."""

    device = "cpu"

    def __init__(
        self,
        name: BackendName,
        model: LoadedModel,
        clock: Clock,
        clip_s: float,
        change: Callable[[Rows], Rows] = lambda rows: rows,
    ) -> None:
        self.name = name.value
        self._torch = TorchBackend(model)
        self._clock = clock
        self._clip_s = clip_s
        self._change = change

    def scores(self, clips: Sequence[RgbClip]) -> Rows:
        before = self._clock.now
        rows = self._torch.scores(clips)
        self._clock.now = before + self._clip_s
        return self._change(rows)

    def warm_up(self, batch_sizes: Sequence[int]) -> None:
        self.scores(trial_clips(SPEC)[:1])


def build(
    name: BackendName,
    clock: Clock,
    clip_s: float,
    change: Callable[[Rows], Rows] = lambda rows: rows,
) -> Build:
    return lambda model, cache: Other(name, model, clock, clip_s, change)


def test_the_fastest_is_chosen_and_the_line_says_how_fast_all_are(
    model: LoadedModel, clock: Clock
) -> None:
    builds = {BF16: build(BF16, clock, 0.004), F32: build(F32, clock, 0.002)}
    chosen = choose(model, AUTO, builds=builds, clock=clock)
    assert chosen.backend.name == "openvino-f32"
    assert chosen.why == (
        "openvino-f32: openvino-f32 takes 2.0 ms a clip (made in 0.0 s, off by 0);"
        " openvino-bf16 takes 4.0 ms a clip (made in 0.0 s, off by 0); torch takes 10.0 ms a clip"
    )


def test_a_slower_one_is_not_used(model: LoadedModel, clock: Clock) -> None:
    chosen = choose(model, AUTO, builds={F32: build(F32, clock, 0.011)}, clock=clock)
    assert chosen.backend.name == "torch"
    assert "openvino-f32 takes 11.0 ms" in chosen.why


@pytest.mark.parametrize(("bf16_s", "name"), [(0.0044, "openvino-f32"), (0.0039, "openvino-bf16")])
def test_what_is_less_exact_must_be_faster_by_a_fifth(
    model: LoadedModel, clock: Clock, bf16_s: float, name: str
) -> None:
    builds = {BF16: build(BF16, clock, bf16_s), F32: build(F32, clock, 0.005)}
    assert choose(model, AUTO, builds=builds, clock=clock).backend.name == name


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows[:, ::-1],
        lambda rows: rows * np.float32(0.99),
        lambda rows: np.full_like(rows, np.nan),
        lambda rows: np.full_like(rows, 1 / 3),
    ],
    ids=["labels swapped", "a hundredth too low", "not numbers", "sure of nothing"],
)
def test_a_wrong_one_is_not_used_however_fast(
    model: LoadedModel, clock: Clock, change: Callable[[Rows], Rows]
) -> None:
    builds = {F32: build(F32, clock, 0.001, change)}
    chosen = choose(model, AUTO, builds=builds, clock=clock)
    assert chosen.backend.name == "torch"
    assert "openvino-f32 is not used: its scores are off by" in chosen.why
    with pytest.raises(ModelError, match=r'does not fit small: its scores are off .* "torch"'):
        choose(model, F32, builds=builds, clock=clock)


def test_one_that_is_named_may_be_slower(model: LoadedModel, clock: Clock) -> None:
    chosen = choose(model, F32, builds={F32: build(F32, clock, 0.020)}, clock=clock)
    assert chosen.backend.name == "openvino-f32"
    assert chosen.why.startswith("openvino-f32, as set: torch takes 10.0 ms a clip; openvino-f32")


def test_one_that_cannot_be_made_costs_the_others_nothing(model: LoadedModel, clock: Clock) -> None:
    def fails(model: LoadedModel, cache: NetworkCache) -> Backend:
        raise RuntimeError("no rule for\nthis operation")

    builds = {BF16: fails, F32: build(F32, clock, 0.002)}
    chosen = choose(model, AUTO, builds=builds, clock=clock)
    assert chosen.backend.name == "openvino-f32"
    reason = "small cannot be converted for openvino-bf16: RuntimeError: no rule for this operation"
    assert chosen.why.endswith(f"openvino-bf16 is not used: {reason}")
    with pytest.raises(ModelError, match=reason):
        choose(model, BF16, builds=builds, clock=clock)


def test_where_no_other_is_installed_torch_serves_untried(model: LoadedModel, clock: Clock) -> None:
    def missing(model: LoadedModel, cache: NetworkCache) -> Backend:
        raise MissingExtra("OpenVINO", "openvino")

    chosen = choose(model, AUTO, builds={F32: missing}, clock=clock)
    assert chosen.backend.name == "torch"
    assert chosen.why == (
        "torch: openvino-f32 is not used:"
        " OpenVINO needs more packages: pip install 'streamcls[openvino]'"
    )
    assert clock.now == 0
    with pytest.raises(MissingExtra):
        choose(model, F32, builds={F32: missing}, clock=clock)


def test_torch_by_name_needs_no_trial(model: LoadedModel, clock: Clock) -> None:
    chosen = choose(model, TORCH, clock=clock)
    assert (chosen.backend.name, chosen.why, clock.now) == ("torch", "torch, as set", 0)


def test_one_of_another_device_is_refused(model: LoadedModel) -> None:
    with pytest.raises(ConfigError, match="'openvino-f32' does not run on cpu; use auto or torch"):
        choose(model, F32, builds={})


def test_a_slow_compiler_is_used_by_name_alone(model: LoadedModel, clock: Clock) -> None:
    inductor = BackendName.INDUCTOR
    builds = {inductor: build(inductor, clock, 0.001)}
    assert choose(model, AUTO, builds=builds, clock=clock).backend.name == "torch"
    assert choose(model, inductor, builds=builds, clock=clock).backend.name == "inductor"


def test_every_name_in_the_settings_is_a_backend_of_some_device() -> None:
    made = {name for builds in BUILDS.values() for name in builds}
    assert made | {AUTO, TORCH} == set(BackendName)


def test_differences_are_told_in_parts_of_the_range_of_scores(model: LoadedModel) -> None:
    def off_by(theirs: Sequence[float], ours: Sequence[float]) -> float:
        oracle, runner = (
            Runner(TorchBackend(model), scores=[np.array([row], np.float32)])
            for row in (theirs, ours)
        )
        return runner.off_by(oracle)

    assert off_by([0.9, 0.1], [0.8, 0.2]) == pytest.approx(0.125)
    # Of many labels none is sure of itself: 0.002 off is as wrong as can be.
    assert off_by([0.003, 0.001], [0.001, 0.003]) == pytest.approx(1, rel=1e-4)
    # All alike, as sigmoids far from zero may be: no division by nothing.
    assert off_by([1, 1], [1, 1 - 1e-7]) < 1e-3


def test_the_trials_clips_are_told_apart_by_a_sound_network(model: LoadedModel) -> None:
    scores = TorchBackend(model).scores(trial_clips(SPEC))
    assert np.abs(np.diff(scores, axis=0)).max(axis=1).min() > 1e-3


def test_a_multi_label_model_is_tried_as_well(tmp_path: Path) -> None:
    write_small(tmp_path / "multi.safetensors", activation=Activation.SIGMOID)
    chosen = choose(load_bundle(tmp_path / "multi.safetensors"), F32)
    assert chosen.backend.name == "openvino-f32"
    scores = chosen.backend.scores(trial_clips(SPEC))
    assert np.abs(scores.sum(axis=1) - 1).max() > 0.1
