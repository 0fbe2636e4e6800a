"""What else goes on in a machine meanwhile: other work, a hypervisor, the disk, heat, quotas."""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_TICK_HZ = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Counters:
    """What Linux has counted since it began, seconds over the cores that this process may use."""

    at_s: float
    busy_s: float
    waiting_s: float
    """Idle while something waited for a disk."""
    stolen_s: float
    """Taken by other guests of the same hypervisor."""
    throttled_s: float
    """Wall time for which a quota stopped this process's control group."""
    hot: int
    """Times that a core slowed down for heat."""

    @classmethod
    def now(cls, root: Path = Path("/")) -> "Counters":
        """As they are at this moment; what this system does not count stays 0."""
        cores = os.sched_getaffinity(0)
        busy, waiting, stolen = core_seconds(_lines(root / "proc/stat"), cores)
        heat = root.glob("sys/devices/system/cpu/cpu*/thermal_throttle/core_throttle_count")
        return cls(
            at_s=time.monotonic(),
            busy_s=busy,
            waiting_s=waiting,
            stolen_s=stolen,
            throttled_s=_throttled_s(root),
            hot=sum(int(text) for path in heat for text in _lines(path)),
        )


@dataclass(frozen=True, slots=True)
class Around:
    """What went on around what was measured, in cores (of those that this process may use)."""

    others: float
    waiting: float
    stolen: float
    throttled: float
    """Share of the time for which a quota stopped this process's control group."""
    hot: int

    @classmethod
    def between(cls, before: Counters, after: Counters, ours_s: float) -> "Around":
        """From two looks.

        Args:
            ours_s: CPU seconds of what was measured and of who measured.
        """
        wall_s = max(1e-9, after.at_s - before.at_s)
        return cls(
            others=max(0.0, after.busy_s - before.busy_s - ours_s) / wall_s,
            waiting=max(0.0, after.waiting_s - before.waiting_s) / wall_s,
            stolen=max(0.0, after.stolen_s - before.stolen_s) / wall_s,
            throttled=max(0.0, after.throttled_s - before.throttled_s) / wall_s,
            hot=max(0, after.hot - before.hot),
        )


def core_seconds(stat: Iterable[str], cores: Iterable[int]) -> tuple[float, float, float]:
    """Busy, waiting and stolen seconds of some cores, in the lines of `/proc/stat`."""
    wanted = {f"cpu{core}" for core in cores}
    busy = waiting = stolen = 0
    for line in stat:
        name, *fields = line.split()
        if name in wanted:
            user, nice, system, _idle, iowait, irq, softirq, steal = map(int, fields[:8])
            busy += user + nice + system + irq + softirq
            waiting += iowait
            stolen += steal
    return busy / _TICK_HZ, waiting / _TICK_HZ, stolen / _TICK_HZ


def _throttled_s(root: Path) -> float:
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers:
            continue
        inside = PurePosixPath(path.lstrip("/"))
        # In a container the group's own folder may be the root of what is seen.
        for folder in (inside, PurePosixPath()):
            for counted in _lines(root / "sys/fs/cgroup" / folder / "cpu.stat"):
                if counted.startswith("throttled_usec "):
                    return int(counted.split()[1]) / 1e6
    return 0.0


def memory_free_mb(root: Path = Path("/")) -> float:
    """What could still be used without swapping."""
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
