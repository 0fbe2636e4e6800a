"""OpenVINO on the CPU: the network converted, compiled for this processor, and kept on disk."""

import io
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache as once
from functools import cached_property, partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from streamcls.errors import ConfigError, MissingExtra
from streamcls.models.backends.cache import NetworkCache
from streamcls.models.backends.converted import ConvertedBackend, Forward, origin
from streamcls.models.backends.machine import computes_bf16, cpu_flags
from streamcls.models.backends.portable import example, portable
from streamcls.models.backends.reuse import ReuseBackend, split_of
from streamcls.models.bundle import LoadedModel
from streamcls.models.manifest import one_line

log = logging.getLogger("streamcls")

Precision = Literal["f32", "bf16"]

_MOST_STREAMS = 4
"""Clips that are scored side by side at most; more threads than that share them out."""


def openvino_backend(
    model: LoadedModel,
    cache: NetworkCache,
    precision: Precision,
    flags: frozenset[str] | None = None,
) -> ConvertedBackend:
    """The network with layers in f32 or bf16; as `openvino-f32` or `openvino-bf16`.

    Args:
        flags: what the processor can do; unset: what this one can.

    Raises:
        ConfigError: bf16 is asked of a processor that has no instructions for it.
        MissingExtra: OpenVINO is not installed.
        Exception: of any kind, where the network cannot be converted.
    """
    check_openvino(precision, flags)
    name = f"openvino-{precision}"
    source = _Source(origin(name, model, _version()), lambda: portable(model))
    return ConvertedBackend(
        name, model, _Network(source, example(model.clip_spec), precision, cache)
    )


def openvino_reuse(model: LoadedModel, cache: NetworkCache, precision: Precision) -> ReuseBackend:
    """The same network in two parts, the first of which runs once for each picture.

    Raises:
        ModelError: it cannot be split.
        Exception: as `openvino_backend`.
    """
    check_openvino(precision)
    name = f"openvino-{precision}"

    def compiled(part: nn.Module, example: Tensor) -> Forward:
        made_from = origin(f"{name} {type(part).__name__}", model, _version())
        return _Network(_Source(made_from, lambda: part), example, precision, cache)

    return ReuseBackend(model, split_of(model), engine=name, compile_=compiled)


def check_openvino(precision: Precision, flags: frozenset[str] | None = None) -> None:
    """Whether it can be used on a processor with these instructions; unset: on this one.

    Raises:
        ConfigError: bf16 is asked of a processor that has no instructions for it.
        MissingExtra: OpenVINO is not installed.
    """
    flags = cpu_flags() if flags is None else flags
    if precision == "bf16" and not computes_bf16(flags):
        raise ConfigError("this processor has neither AVX512_BF16 nor AMX; use openvino-f32")
    _openvino()


@dataclass(frozen=True, slots=True)
class _Source:
    """What is converted, made only where it is not in the cache under its origin."""

    origin: tuple[str, ...]
    make: Callable[[], nn.Module]


class _Network:
    """A compiled network: a clip on all threads, or several clips side by side on their share each.

    A lone clip is done soonest on all threads. But a layer of it is soon too little work for two
    threads to share, so where clips wait they get through faster side by side.
    """

    def __init__(
        self, source: _Source, example: Tensor, precision: Precision, cache: NetworkCache
    ) -> None:
        """Convert and compile it, or take it from the cache.

        Args:
            example: a batch of one.
        """
        threads = torch.get_num_threads()
        self._settings = {
            # Said outright: left to itself it takes bf16 even where that is only emulated.
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads,
            # Every process would pin its threads to the same first cores.
            "ENABLE_CPU_PINNING": False,
        }
        self._streams = min(threads, _MOST_STREAMS)
        self._compiled_for = partial(_compiled, source, example, cache)
        self.compiled = self._compiled_for({**self._settings, "NUM_STREAMS": 1})
        self._request = self.compiled.create_infer_request()

    def __call__(self, pixels: Tensor) -> Tensor:
        """As `Forward`."""
        clips = [pixels[index : index + 1] for index in range(len(pixels))]
        together = len(clips) - len(clips) % self._streams if self._streams > 1 else 0
        rows = []
        for first in range(0, together, self._streams):
            rows += self._side_by_side(clips[first : first + self._streams])
        for clip in clips[together:]:
            self._request.infer([clip.numpy()], share_inputs=True)
            rows.append(_result(self._request))
        return torch.cat(rows)

    def _side_by_side(self, clips: Sequence[Tensor]) -> list[Tensor]:
        for request, clip in zip(self._requests, clips, strict=True):
            request.start_async([clip.numpy()], share_inputs=True)
        for request in self._requests:
            request.wait()
        return [_result(request) for request in self._requests]

    @cached_property
    def _requests(self) -> list[Any]:
        """One for each stream; where clips come one by one, they are never made."""
        compiled = self._compiled_for({**self._settings, "NUM_STREAMS": self._streams})
        return [compiled.create_infer_request() for _ in range(self._streams)]


def _result(request: Any) -> Tensor:
    """A copy: the request's own memory is written over by its next clip."""
    return torch.from_numpy(request.get_output_tensor(0).data.copy())


def _compiled(
    source: _Source, example: Tensor, cache: NetworkCache, settings: dict[str, Any]
) -> Any:
    """The network, compiled for single clips, or taken from the cache."""
    openvino, core = _openvino(), _core()
    if kept := cache.read(source.origin):
        try:
            return core.import_model(io.BytesIO(kept), "CPU", settings)
        except RuntimeError as error:
            log.warning("a kept network cannot be loaded, so is converted: %s", one_line(error))
    with _quiet(), torch.inference_mode():
        traced = torch.jit.trace(source.make(), example, check_trace=False)  # type: ignore[no-untyped-call]
        converted = openvino.convert_model(traced, example_input=example)
    converted.reshape(list(example.shape))
    compiled = core.compile_model(converted, "CPU", settings)
    stream = io.BytesIO()
    compiled.export_model(stream)  # which one that was imported does wrongly
    cache.write(stream.getvalue(), source.origin)
    return compiled


def _openvino() -> Any:
    """The package, kept from telling its maker what it does.

    Raises:
        MissingExtra: it is not installed.
    """
    # With this one beside it, it reports to Google Analytics.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino  # noqa: PLC0415 (an extra, and a quarter of a second)
    except ImportError:
        raise MissingExtra("OpenVINO", "openvino") from None
    return openvino


def _version() -> str:
    return str(_openvino().get_version())


@once
def _core() -> Any:
    """The only one of this process, for ever: once a second one ends, a signal is a crash."""
    return _openvino().Core()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the tracer's warnings back, and the root logger as it was."""
    root = logging.getLogger()
    level, handlers, filters = root.level, root.handlers[:], root.filters[:]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(level)
        root.handlers[:], root.filters[:] = handlers, filters
