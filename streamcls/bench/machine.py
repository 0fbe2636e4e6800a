"""The machine that figures come from, for whoever compares them with another's."""

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from streamcls.models.backends.cores import cores_available

_TELLING = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
_PACKAGES = ("torch", "av", "openvino", "opencv-python-headless", "numpy", "pytorchvideo")


def describe() -> dict[str, Any]:
    """Processor, memory, versions, and how busy the machine is already."""
    cpu = _fields("/proc/cpuinfo")
    flags = set(cpu.get("flags", "").split())
    return {
        "cpu": cpu.get("model name", platform.processor() or "unknown"),
        "cores": len(os.sched_getaffinity(0)),
        "usable_cores": cores_available(),
        "flags": [flag for flag in _TELLING if flag in flags],
        "memory_gb": round(int(_fields("/proc/meminfo")["MemTotal"].split()[0]) / 2**20, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version for name in _PACKAGES if (version := _version(name))},
        "load_before": [round(load, 2) for load in os.getloadavg()],
    }


def in_words(machine: dict[str, Any]) -> str:
    """The same in two lines."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['cpu']}, {machine['cores']} cores ({' '.join(machine['flags'])}),"
        f" {machine['memory_gb']} GB, load {machine['load_before'][0]}\n"
        f"Python {machine['python']}, {versions}"
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _fields(path: str) -> dict[str, str]:
    """`name: value` lines; of a name that comes again, as a core's do, the first."""
    fields: dict[str, str] = {}
    for line in Path(path).read_text().splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    return fields
