"""Processes that are measured: they wait for a word to begin."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from streamcls.bench.processes import cpu_s


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


def _until(process: "subprocess.Popen[str]", *beginnings: str) -> str:
    """The process's next line that begins so; libraries print what they like."""
    assert process.stdout
    for line in process.stdout:
        if line.startswith(beginnings):
            return line
    raise RuntimeError(f"a measured process ended with {process.wait()}: {process.args!r}")
