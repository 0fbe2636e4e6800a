"""What a process has used: CPU by thread, and memory, as Linux counts it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICK_HZ = os.sysconf("SC_CLK_TCK")

ROLES = {"capture": "capture", "inference": "model", "model": "model", "publish": "publish"}
"""What threads do whose names begin so; libraries' own threads are named after who began them."""

Threads = Mapping[int, tuple[str, float]]
"""Name and CPU seconds of each thread, by its number."""


def cpu_s(process: int) -> float:
    """CPU that a process has used, those of its children included that it has waited for."""
    fields = _after_name(Path(f"/proc/{process}/stat").read_text())
    return sum(int(field) for field in fields[11:15]) / _TICK_HZ


def threads(process: int) -> Threads:
    """Those that a process has at this moment."""
    return dict(_threads(Path(f"/proc/{process}/task")))


def _threads(folder: Path) -> Iterator[tuple[int, tuple[str, float]]]:
    for task in folder.iterdir():
        with suppress(OSError):  # it has ended meanwhile
            yield int(task.name), parsed((task / "stat").read_text())


def parsed(stat: str) -> tuple[str, float]:
    """The name and CPU seconds in the text of a thread's `stat`; a name may hold anything."""
    name = stat.partition("(")[2].rpartition(")")[0]
    return name, sum(int(field) for field in _after_name(stat)[11:13]) / _TICK_HZ


def _after_name(stat: str) -> list[str]:
    return stat.rpartition(")")[2].split()


def by_role(before: Threads, after: Threads) -> dict[str, float]:
    """CPU seconds between two looks by what threads do, those of no role as `other`.

    A thread that began in between counts from its beginning; one that ended counts for nothing.
    """
    used = dict.fromkeys([*ROLES.values(), "other"], 0.0)
    for number, (name, seconds) in after.items():
        role = ROLES.get(name.partition("-")[0], "other")
        used[role] += seconds - before.get(number, (name, 0.0))[1]
    return used


@dataclass(frozen=True, slots=True)
class Split:
    """Cores that the daemon kept busy, by what for.

    Capture threads decode and convert; their time is parted as both cost alone on this machine, so
    what little else they do (reading packets, the grid, Python) is in it. The network's is that of
    the inference thread and of its libraries' threads; `rest` is all that is left of the process.
    """

    decode: float
    convert: float
    model: float
    publish: float
    rest: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.decode + self.convert + self.model + self.publish + self.rest

    @classmethod
    def of(
        cls, used: Mapping[str, float], process_s: float, wall_s: float, convert_share: float
    ) -> "Split":
        """From CPU seconds by role and of the process, in a time.

        Args:
            convert_share: of what capture threads used.
        """
        known = used["capture"] + used["model"] + used["publish"]
        return cls(
            decode=used["capture"] * (1 - convert_share) / wall_s,
            convert=used["capture"] * convert_share / wall_s,
            model=used["model"] / wall_s,
            publish=used["publish"] / wall_s,
            rest=max(0.0, process_s - known) / wall_s,
        )


def memory_mb(process: int) -> dict[str, float]:
    """What a process holds: its own (`uss`), its share of what is shared (`pss`), all (`rss`)."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
    kb = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    return {
        "uss": (kb["Private_Clean"] + kb["Private_Dirty"]) * 1024 / 1e6,
        "pss": kb["Pss"] * 1024 / 1e6,
        "rss": kb["Rss"] * 1024 / 1e6,
    }
