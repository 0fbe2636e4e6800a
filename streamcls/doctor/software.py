"""Python and the packages: which are there, in what version, and whether they can be imported."""

import importlib
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import streamcls
from streamcls.doctor.finding import Finding, Subject


def _torch(torch: ModuleType) -> str:
    cuda = torch.version.cuda
    return f"for CUDA {cuda}" if cuda else "for the CPU alone"


@dataclass(frozen=True, slots=True)
class Package:
    """A package without which no daemon runs."""

    module: str
    distribution: str
    purpose: str
    more: Callable[[ModuleType], str] = lambda _: ""


PACKAGES = (
    Package("torch", "torch", "runs networks", _torch),
    Package("av", "av", "decodes video", lambda av: f"FFmpeg {av.ffmpeg_version_info}"),
    Package("cv2", "opencv-python-headless", "reads webcams, scales pictures"),
    Package("zmq", "pyzmq", "publishes", lambda zmq: f"libzmq {zmq.zmq_version()}"),
    Package("pytorchvideo", "pytorchvideo", "has the networks"),
    Package("safetensors", "safetensors", "reads model files"),
    Package("numpy", "numpy", "holds pictures"),
    Package("msgspec", "msgspec", "reads settings, writes messages"),
    Package("prometheus_client", "prometheus-client", "serves metrics"),
    Package("pythonjsonlogger", "python-json-logger", "writes the log"),
    Package("rich", "rich", "writes to terminals"),
    Package("typer", "typer", "reads the command line"),
)


@dataclass(frozen=True, slots=True)
class Extra:
    """Optional packages, by the modules that a part of streamcls imports."""

    purpose: str
    modules: tuple[str, ...]


EXTRAS: Mapping[str, Extra] = {
    "openvino": Extra("networks on a CPU, several times faster", ("openvino",)),
    "finetune": Extra(
        "streamcls finetune",
        ("jinja2", "kornia", "matplotlib", "pytorch_lightning", "torchmetrics"),
    ),
    "tensorboard": Extra("its curves in TensorBoard", ("tensorboard",)),
    "fiftyone": Extra("its data from FiftyOne", ("fiftyone",)),
}

_OLDEST = (3, 11)


def look(_: Subject) -> Iterator[Finding]:
    """This program, Python, and every package."""
    yield Finding("streamcls", "ok", f"{streamcls.__version__}, {Path(streamcls.__file__).parent}")
    told = f"{platform.python_version()}, {sys.executable}"
    if sys.version_info >= _OLDEST:
        yield Finding("Python", "ok", told)
    else:
        yield Finding("Python", "error", told, "install Python 3.11 or later")
    owners = packages_distributions()
    for package in PACKAGES:
        yield _imported(package, owners)
    for name, extra in EXTRAS.items():
        missing = [module for module in extra.modules if not _is_there(module)]
        if missing:
            detail = f"lacks {', '.join(missing)}; for {extra.purpose}"
            yield Finding(f"[{name}]", "note", detail, f"pip install 'streamcls[{name}]'")
        else:
            yield Finding(f"[{name}]", "ok", f"installed; for {extra.purpose}")


def _imported(package: Package, owners: Mapping[str, list[str]]) -> Finding:
    name = package.module
    try:
        module = importlib.import_module(name)
        told = [version(owners[name][0]) if name in owners else "of unknown version"]
        return Finding(name, "ok", ", ".join(filter(None, [*told, package.more(module)])))
    except ModuleNotFoundError as error:
        missing = error.name or name
        detail = f"not installed; it {package.purpose}"
        if missing != name:
            detail = f"lacks {missing}; it {package.purpose}"
        return Finding(name, "error", detail, f"pip install {package.distribution}")
    except Exception as error:  # a library that does not fit this machine fails in any way
        return Finding(name, "error", f"cannot be imported: {error}", _remedy(package, str(error)))


def _remedy(package: Package, error: str) -> str:
    if "libGL" in error:
        return "apt-get install libgl1, or pip install opencv-python-headless in its place"
    return f"pip install --force-reinstall {package.distribution}"


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ValueError:  # somebody has put None or a stub in its place
        return False
