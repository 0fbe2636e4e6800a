"""Processes that are measured: those that wait for a word to begin, and what any has used."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TICK_HZ = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of processes that began at one word."""

    wall_s: float
    cpu_s: float
    results: list[Any]


def run_together(
    module: str, argument_lists: Sequence[Sequence[str]], *, python: str = sys.executable
) -> Ran:
    """Run a module of these benchmarks once for each list of arguments, all at once.

    Each process says `ready`, waits for a line, and prints one line of JSON when it is done. What
    it takes to come so far is not measured.
    """
    processes = [
        subprocess.Popen(
            [python, "-W", "ignore", "-m", f"tests.benchmarks.{module}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for arguments in argument_lists
    ]
    try:
        for process in processes:
            _until(process, "ready")
        used_s = sum(cpu_s(process.pid) for process in processes)
        began_s = time.perf_counter()
        for process in processes:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        results = [json.loads(_until(process, "[", "{")) for process in processes]
        wall_s = time.perf_counter() - began_s
        return Ran(wall_s, sum(cpu_s(process.pid) for process in processes) - used_s, results)
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def cpu_s(process: int) -> float:
    """CPU that a process has used, those of its children included that it has waited for."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / _TICK_HZ


def memory_mb(process: int) -> dict[str, float]:
    """What a process holds: its own (`uss`), its share of what is shared (`pss`), all (`rss`)."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
    kb = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    return {
        "uss": (kb["Private_Clean"] + kb["Private_Dirty"]) * 1024 / 1e6,
        "pss": kb["Pss"] * 1024 / 1e6,
        "rss": kb["Rss"] * 1024 / 1e6,
    }


def _until(process: "subprocess.Popen[str]", *beginnings: str) -> str:
    """The process's next line that begins so; libraries print what they like."""
    assert process.stdout
    for line in process.stdout:
        if line.startswith(beginnings):
            return line
    raise RuntimeError(f"a measured process ended with {process.wait()}: {process.args!r}")
