"""Limits for what is tried: time in this process, time, memory and life in another one."""

import json
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

_STATUS = Path("/proc/self/status")


class TookTooLong(Exception):
    """A case is over its limit, most likely for ever."""


@contextmanager
def cpu_limit(seconds: float) -> Iterator[None]:
    """End what uses more of this process's time.

    Raises:
        TookTooLong: it did.
    """

    def end(number: int, frame: FrameType | None) -> None:
        raise TookTooLong(f"not done after {seconds:g} s")

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@contextmanager
def memory_limit(megabytes: int) -> Iterator[None]:
    """Fail where this process's peak memory grows by more meanwhile."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = kilobytes(_STATUS, "VmHWM")
    yield
    grown = (kilobytes(_STATUS, "VmHWM") - before) // 1024
    assert grown <= megabytes, f"the peak of memory grew by {grown} MB, {megabytes} are allowed"


def kilobytes(status: Path, key: str) -> int:
    """A figure of a /proc/PID/status: VmRSS, VmHWM (its peak) or VmSize."""
    (line,) = (line for line in status.read_text().splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1])


@dataclass(frozen=True)
class Outcome:
    """What became of a case in another process: a word for counting, and what is wrong if any."""

    word: str
    finding: str = ""


class Worker:
    """Another process that is given one case after the other, and is begun anew when it dies.

    `module` is run with `arguments` and obeys `serve` below.
    """

    def __init__(self, module: str, *arguments: str, limit_s: float) -> None:
        """Store the parts.

        Args:
            limit_s: wall time a case may take on an idle machine; four times that is a hang.
        """
        self._command = [sys.executable, "-m", module, *arguments]
        self._limit_s = 4 * limit_s
        self._process: subprocess.Popen[str] | None = None

    def run(self, given: str) -> Outcome:
        """Have one case done."""
        process = self._process or self._begin()
        assert process.stdin
        assert process.stdout
        process.stdin.write(f"{given}\n")
        process.stdin.flush()
        if not select.select([process.stdout], [], [], self._limit_s)[0]:
            self.stop()
            return Outcome("hang", f"not done after {self._limit_s:g} s")
        line = process.stdout.readline()
        if not line:
            code = process.wait()
            self._process = None
            name = signal.Signals(-code).name if code < 0 else f"exit status {code}"
            return Outcome("crash", f"the process died of {name}")
        return Outcome(**json.loads(line))

    def stop(self) -> None:
        """End it. Idempotent."""
        if self._process:
            self._process.kill()
            self._process.communicate()
        self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _begin(self) -> subprocess.Popen[str]:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout
        assert self._process.stdout.readline() == "ready\n", "the worker did not start"
        return self._process


def serve(case: Callable[[str], str], *, megabytes: int) -> None:
    """The other end of a `Worker`: do what is given until there is no more.

    Args:
        case: returns a word for counting; what it raises is a finding.
        megabytes: memory it may take beside what is in use now.
    """
    most = kilobytes(_STATUS, "VmSize") * 1024 + megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    print("ready", flush=True)
    for line in sys.stdin:
        began = time.process_time()
        try:
            answer = {"word": case(line.rstrip("\n"))}
        except BaseException as error:
            place = error.__traceback__
            while place and place.tb_next:
                place = place.tb_next
            where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else ""
            spent = time.process_time() - began
            answer = {
                "word": "finding",
                "finding": f"{type(error).__name__}: {error} at {where} after {spent:.2f} s",
            }
        print(json.dumps(answer), flush=True)
