"""How many CPU cores this process may use: its affinity, and the quota of its control groups."""

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def cores_available(root: Path = Path("/")) -> int:
    """Whole cores, at least 1; a part of one in a quota counts as one.

    Containers and systemd's `CPUQuota=` limit by quota, which the number of processors does not
    show: more threads than that are stopped in turn for most of each period.
    """
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        allowed = os.cpu_count() or 1
    return max(1, min([allowed, *map(math.ceil, _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """The limits in force, in cores: each group's above this process's counts, in v2 and v1."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if not controllers:
            for folder in _up(root / "sys/fs/cgroup", path):
                yield from _quota(_lines(folder / "cpu.max"))
        elif "cpu" in controllers.split(","):
            for folder in _up(root / "sys/fs/cgroup/cpu", path):
                names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
                yield from _quota([text for name in names for text in _lines(folder / name)])


def _up(mount: Path, path: str) -> list[Path]:
    """The folders of a group and of those it is in; in a container only some of them are seen."""
    inside = PurePosixPath(path.lstrip("/"))
    return [mount / inside, *(mount / outer for outer in inside.parents)]


def _quota(lines: list[str]) -> list[float]:
    """Of `200000 100000`, 2 cores; nothing of `max 100000`, `-1 100000` or no such file."""
    match " ".join(lines).split():
        case [quota, period] if quota.isdecimal() and period.isdecimal() and int(period):
            return [int(quota) / int(period)]
    return []


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
