"""Which backend serves a model: those that can are tried, and the fastest right one is taken.

    every start:  load or convert --> score the same clips as eager torch --> time against it

Eager torch is the oracle. A backend that scores otherwise is not used, nor is a slower one, and
what is said of the choice tells it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from streamcls.config import BackendName, WindowSettings
from streamcls.errors import ConfigError, ModelError, StreamclsError
from streamcls.models.backends.backend import Backend
from streamcls.models.backends.cache import NetworkCache, cache_folder
from streamcls.models.backends.cuda import CudaBackend
from streamcls.models.backends.eager import TorchBackend
from streamcls.models.backends.inductor import inductor_backend
from streamcls.models.backends.openvino import openvino_backend, openvino_reuse
from streamcls.models.backends.reuse import ReuseBackend, can_reuse, reuse_backend
from streamcls.models.backends.trial import Clock, Runner, race
from streamcls.models.bundle import LoadedModel
from streamcls.models.manifest import one_line
from streamcls.transforms import ClipSpec, WindowPlan

Build = Callable[[LoadedModel, NetworkCache], Backend]

BUILDS: Mapping[str, Mapping[BackendName, Build]] = {
    "cpu": {
        BackendName.OPENVINO_BF16: lambda model, cache: openvino_backend(model, cache, "bf16"),
        BackendName.OPENVINO_F32: lambda model, cache: openvino_backend(model, cache, "f32"),
        BackendName.INDUCTOR: inductor_backend,
        BackendName.OPENVINO_BF16_REUSE: lambda model, cache: openvino_reuse(model, cache, "bf16"),
        BackendName.OPENVINO_F32_REUSE: lambda model, cache: openvino_reuse(model, cache, "f32"),
        BackendName.TORCH_REUSE: lambda model, _: reuse_backend(model),
    },
    "cuda": {
        BackendName.CUDA_FP16: lambda model, _: CudaBackend(model, "fp16"),
        BackendName.CUDA_BF16: lambda model, _: CudaBackend(model, "bf16"),
        BackendName.CUDA_FP32: lambda model, _: CudaBackend(model, "fp32"),
        BackendName.TORCH_REUSE: lambda model, _: reuse_backend(model),
    },
}
"""How each is made, by the kind of device that it runs on; eager torch runs on all."""

_ONLY_BY_NAME = {BackendName.INDUCTOR}  # it compiles for a minute, to be slower than OpenVINO
_REUSE = {
    BackendName.TORCH_REUSE,
    BackendName.OPENVINO_F32_REUSE,
    BackendName.OPENVINO_BF16_REUSE,
}
_LESS_EXACT = {
    *(BackendName.OPENVINO_BF16.value, BackendName.OPENVINO_BF16_REUSE.value),
    *(BackendName.CUDA_FP16.value, BackendName.CUDA_BF16.value),
}
_WORTH = 1.2
"""How much faster what is less exact must be, which also keeps equals from taking turns."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The backend that serves a model, and in one line why it does and others do not."""

    backend: Backend
    why: str


def choose(
    model: LoadedModel,
    wanted: BackendName = BackendName.AUTO,
    *,
    stride_s: float = WindowSettings().stride_s,
    builds: Mapping[BackendName, Build] | None = None,
    cache: NetworkCache | None = None,
    clock: Clock = time.perf_counter,
) -> Choice:
    """The backend to serve a model with, after a trial.

    Args:
        wanted: one by name, which may then be slower than torch but not wrong; or `auto`.
        stride_s: between windows of a stream; what they share decides what reuse is worth.
        builds: unset: those of the model's device.
        cache: where converted networks are kept; unset: this user's.
        clock: seconds, of the trial.

    Raises:
        ConfigError: the one that is named is not for this device or processor.
        MissingExtra: its packages are not installed.
        ModelError: it cannot run this network, or scores it wrongly.
    """
    if wanted is BackendName.TORCH:
        return Choice(TorchBackend(model), "torch, as set")
    builds = BUILDS[model.device.type] if builds is None else builds
    stride = frames_between(model.clip_spec, stride_s)
    workshop = _Workshop(model, cache or NetworkCache(cache_folder()), clock, stride)
    if wanted is BackendName.AUTO:
        left_out = _ONLY_BY_NAME if can_reuse(model, stride) else _ONLY_BY_NAME | _REUSE
        return workshop.fastest({name: builds[name] for name in builds if name not in left_out})
    if wanted not in builds:
        raise ConfigError(
            f"backend {wanted.value!r} does not run on {model.device.type}; use auto or torch"
        )
    return workshop.named(wanted, builds[wanted])


class _Workshop:
    """One model's backends, as they are made and tried."""

    def __init__(self, model: LoadedModel, cache: NetworkCache, clock: Clock, stride: int) -> None:
        self._model = model
        self._cache = cache
        self._clock = clock
        self._stride = stride
        self._oracle = Runner(TorchBackend(model))

    def fastest(self, builds: Mapping[BackendName, Build]) -> Choice:
        """The best of these and torch."""
        runners, refused = [], []
        for name, build in builds.items():
            try:
                runners.append(self._made(name, build))
            except StreamclsError as error:
                refused.append(f"{name.value} is not used: {error}")
        if not runners:
            return Choice(self._oracle.backend, _line("torch", refused or ["there is no other"]))
        self._race([self._oracle, *runners])
        right = [self._oracle]
        for runner in runners:
            if problem := runner.problem(self._oracle):
                refused.append(f"{runner.backend.name} is not used: {problem}")
            else:
                right.append(runner)
        best = min(right, key=_cost).backend
        return Choice(best, _line(best.name, [*self._told(right), *refused]))

    def named(self, name: BackendName, build: Build) -> Choice:
        """This one.

        Raises:
            ModelError: it scores otherwise than torch.
        """
        runner = self._made(name, build)
        self._race([self._oracle, runner])
        if problem := runner.problem(self._oracle):
            raise ModelError(
                f"backend {name.value!r} does not fit {self._model.manifest.name}: {problem};"
                ' use backend = "auto" or "torch"'
            )
        told = self._told([self._oracle, runner])
        return Choice(runner.backend, _line(f"{name.value}, as set", told))

    def _made(self, name: BackendName, build: Build) -> Runner:
        started = self._clock()
        try:
            backend = build(self._model, self._cache)
        except StreamclsError:
            raise
        except Exception as error:  # of a converter, which fails in any way
            raise ModelError(
                f"{self._model.manifest.name} cannot be converted for {name.value}:"
                f" {type(error).__name__}: {one_line(error)}"
            ) from None
        return Runner(backend, self._clock() - started)

    def _race(self, runners: Sequence[Runner]) -> None:
        keeps = any(isinstance(runner.backend, ReuseBackend) for runner in runners)
        stride = self._stride if keeps else None
        race(runners, self._model.clip_spec, self._clock, stride=stride)

    def _told(self, runners: Sequence[Runner]) -> list[str]:
        """A phrase for each, the fastest first."""
        phrases = []
        for one in sorted(runners, key=lambda one: one.median_s):
            phrase = f"{one.backend.name} takes {1000 * one.median_s:.1f} ms a clip"
            if one is not self._oracle:
                off = one.off_by(self._oracle)
                phrase += f" (made in {one.built_s:.1f} s, off by {off:.1g})"
            phrases.append(phrase)
        return phrases


def _cost(runner: Runner) -> float:
    return runner.median_s * (_WORTH if runner.backend.name in _LESS_EXACT else 1)


def _line(chosen: str, phrases: Sequence[str]) -> str:
    return f"{chosen}: {'; '.join(phrases)}"


def frames_between(spec: ClipSpec, stride_s: float) -> int:
    """New frames in each window of a stream, once those before it were seen.

    A stride below the frames' interval takes turns on several grids of it: one each.
    """
    plan = WindowPlan.of(spec, stride_s)
    return plan.stride_steps if plan.frame_steps == 1 else 1
