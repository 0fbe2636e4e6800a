"""What a network may use of the machine: a device, threads, and instructions."""

from functools import cache
from pathlib import Path

import torch

from streamcls.errors import ConfigError
from streamcls.models.backends.cores import cores_available

_OWN_CHOICE = torch.get_num_threads()  # the physical cores, or what OMP_NUM_THREADS says


def network_threads(setting: int) -> int:
    """The CPU threads that a network may use; 0: as many as there are cores for this process.

    Decoding needs no share set aside: it runs at a lower priority, in what the network leaves.
    """
    return setting or min(_OWN_CHOICE, cores_available())


def use_threads(setting: int) -> None:
    """Limit torch to `network_threads(setting)`, in the whole process."""
    torch.set_num_threads(network_threads(setting))


def resolve_device(setting: str) -> torch.device:
    """The device that a setting asks for: `auto`, `cpu`, `cuda` or `cuda:N`.

    `auto` takes the first CUDA device that works, else the CPU.

    Raises:
        ConfigError: the word is unknown, or that CUDA device is not there.
    """
    available = torch.cuda.is_available()
    if setting == "auto":
        return torch.device("cuda:0" if available else "cpu")
    if setting == "cpu":
        return torch.device("cpu")
    kind, _, index = setting.partition(":")
    if kind != "cuda" or not (index.isdecimal() or setting == "cuda"):
        raise ConfigError(f"device {setting!r} is unknown; use auto, cpu, cuda or cuda:N")
    if not available:
        reason = "this torch is built without CUDA" if not torch.version.cuda else "none is visible"
        raise ConfigError(f"device {setting!r} is not there: {reason}; use auto or cpu")
    count = torch.cuda.device_count()
    if int(index or 0) >= count:
        raise ConfigError(f"device {setting!r} is not there: {count} CUDA device(s), from cuda:0")
    return torch.device("cuda", int(index or 0))


@cache
def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """What the processor can do, in Linux's words; nothing where that is not told."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return frozenset()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return frozenset(flags.partition(":")[2].split())


def computes_bf16(flags: frozenset[str]) -> bool:
    """Whether the processor multiplies bf16 itself; emulated, it is slower than f32 by far."""
    return bool(flags & {"avx512_bf16", "amx_bf16"})
