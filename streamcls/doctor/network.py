"""What can run a network here: cores, instructions, CUDA devices, backends; and a trial of it."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch

from streamcls.config import ModelSettings
from streamcls.doctor.finding import Finding, Subject
from streamcls.doctor.places import folder_finding
from streamcls.errors import ConfigError, MissingExtra, StreamclsError
from streamcls.models.backends import resolve_device
from streamcls.models.backends.cache import cache_folder
from streamcls.models.backends.cores import cores_available
from streamcls.models.backends.machine import computes_bf16, cpu_flags
from streamcls.models.backends.openvino import check_openvino
from streamcls.models.bundle import load_bundle

_GIB = 2**30
_DRIVER = Path("/dev/nvidiactl")


def look(_: Subject) -> Iterator[Finding]:
    """What there is, and whether the bundled model scores here as it did where it was made."""
    yield _cores()
    if computes_bf16(cpu_flags()):
        yield Finding("bf16", "ok", "the processor computes it")
    else:
        yield Finding("bf16", "note", "the processor has neither AVX512_BF16 nor AMX")
    yield from _cuda()
    yield Finding("torch", "ok", "usable, on any device")
    for precision in ("f32", "bf16"):
        yield _openvino(precision)
    yield _inductor()
    yield folder_finding("cache", cache_folder(), "each start converts the network again")
    yield _model()


def _cores() -> Finding:
    usable, there = cores_available(), os.cpu_count() or 1
    if usable < there:
        detail = f"{usable} of {there} may be used, by affinity or cgroup quota"
        return Finding("cores", "ok", detail)
    return Finding("cores", "ok", f"all {there} may be used")


def _cuda() -> Iterator[Finding]:
    try:
        resolve_device("cuda")
    except ConfigError as error:
        if _DRIVER.exists():
            remedy = "install a torch for CUDA: https://pytorch.org/get-started/locally"
            yield Finding("cuda", "warning", f"there is an NVIDIA driver, but {error}", remedy)
        else:
            yield Finding("cuda", "note", "no NVIDIA driver; networks run on the processor")
        return
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        memory = f"{card.total_memory / _GIB:.0f} GiB"
        detail = f"{card.name}, {memory}, compute capability {card.major}.{card.minor}"
        yield Finding(f"cuda:{index}", "ok", detail)


def _openvino(precision: str) -> Finding:
    name = f"openvino-{precision}"
    try:
        check_openvino("bf16" if precision == "bf16" else "f32")
    except MissingExtra as error:
        _, _, remedy = str(error).partition(": ")
        return Finding(name, "note", "not usable: OpenVINO is not installed", remedy)
    except StreamclsError as error:
        return Finding(name, "note", f"not usable: {error}")
    return Finding(name, "ok", "usable, on the processor")


def _inductor() -> Finding:
    compiler = os.environ.get("CXX") or "g++"
    if shutil.which(compiler):
        return Finding("inductor", "ok", f"usable, by name; compiles with {compiler}")
    detail = f"not usable: there is no C++ compiler {compiler}"
    return Finding("inductor", "note", detail, "apt-get install g++")


def _model() -> Finding:
    name = ModelSettings().path
    try:
        model = load_bundle(name)
    except StreamclsError as error:
        return Finding("model", "error", str(error))
    labels = len(model.manifest.labels)
    return Finding("model", "ok", f"{name} scores its golden clip as it should; {labels} labels")
