"""The computer itself: processor, memory, clock."""

import ctypes
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from streamcls.doctor.finding import Finding, Subject

_GIB = 2**30
_LITTLE = _GIB  # a daemon with a network, its libraries and a few streams
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronized


def look(_: Subject) -> Iterator[Finding]:
    """System, processor, memory, clock."""
    yield Finding("system", "ok", platform.platform())
    cores = os.cpu_count() or 1
    yield Finding("processor", "ok", f"{_processor()}, {cores} logical processors")
    yield _memory()
    yield _clock(_clock_state())


def _processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    return _fields(cpuinfo).get("model name") or platform.machine()


def _memory(root: Path = Path("/")) -> Finding:
    fields = _fields(root / "proc/meminfo")
    try:
        total, free = (1024 * int(fields[key].split()[0]) for key in ("MemTotal", "MemAvailable"))
    except (KeyError, ValueError, IndexError):  # not Linux
        return Finding("memory", "note", "not told")
    limit = _container_limit(root)
    told = f"{total / _GIB:.1f} GiB, {free / _GIB:.1f} GiB of it available"
    if limit < total:
        told += f"; the container may use {limit / _GIB:.1f} GiB"
    if min(limit, free) < _LITTLE:
        return Finding("memory", "warning", told, "a daemon wants 1 GiB: end something else")
    return Finding("memory", "ok", told)


def _container_limit(root: Path) -> float:
    try:
        return float((root / "sys/fs/cgroup/memory.max").read_text().replace("max", "inf"))
    except (OSError, ValueError):
        return float("inf")


def _clock_state() -> int:
    """What the kernel says, as adjtimex(2); -1 where it does not."""
    try:
        return int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512)))  # zeros only ask
    except (AttributeError, OSError):  # not Linux
        return -1


def _clock(state: int) -> Finding:
    if state < 0:
        return Finding("clock", "note", "not told")
    if state == _TIME_ERROR:
        detail = "not synchronized; events carry its time"
        return Finding("clock", "warning", detail, "apt-get install systemd-timesyncd, or chrony")
    return Finding("clock", "ok", "synchronized")


def _fields(path: Path) -> dict[str, str]:
    """The first of each `name: value` in a file of /proc; nothing where there is none."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in reversed(lines))
    return {name.strip(): value.strip() for name, _, value in pairs}
