"""Starting publishers and consumers as processes, and counting what each consumer was given."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamcls.events import topic

PATIENCE_S = 120.0
STREAMS = ("cam-a", "cam-b", "cam-c")


def settings_file(
    folder: Path,
    *,
    endpoint: str = "tcp://127.0.0.1:*",
    publish: str = "",
    journal: str = "",
    keys: str = "",
) -> Path:
    """A configuration whose streams never play: only its way out is used."""
    path = folder / "load.toml"
    streams = "".join(f'[[streams]]\nid = "{name}"\nurl = "none.mp4"\n' for name in STREAMS)
    path.write_text(
        f'{streams}[publish]\nendpoint = "{endpoint}"\nheartbeat_s = 0.5\n{publish}\n'
        f'[journal]\npath = "events.sqlite"\n{journal}\n[keys]\n{keys}\n'
    )
    return path


@dataclass
class LoadProcess:
    """A running `tests.delivery.load`."""

    process: subprocess.Popen[str]
    endpoint: str
    replay_endpoint: str

    def send(self, count: int, rate: float = 0) -> float:
        """Publish and wait until all have left; seconds it took."""
        self.begin(count, rate)
        return self.finish()

    def begin(self, count: int, rate: float = 0) -> None:
        """Have it publish, and go on."""
        self._say(f"send {count} {rate}")

    def counts(self) -> dict[str, Any]:
        """What the metrics would say, see `DeliveryCounts`."""
        assert self.process.stdout
        self._say("counts")
        counts: dict[str, Any] = json.loads(self.process.stdout.readline())
        return counts

    def stop(self) -> None:
        """End it in good order."""
        self._say("stop")
        assert self.process.wait(PATIENCE_S) == 0

    def finish(self) -> float:
        """Wait until what was begun has left; seconds it took."""
        assert self.process.stdout
        word, seconds = self.process.stdout.readline().split()
        assert word == "sent"
        return float(seconds)

    def _say(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()


@contextmanager
def loading(settings: Path) -> Iterator[LoadProcess]:
    """Run the publisher; it is killed at the end where it was not stopped before."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.delivery.load", str(settings)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        words = process.stdout.readline().split()
        assert words[:1] == ["ready"], "the publisher did not start"
        yield LoadProcess(process, *words[1:])
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@contextmanager
def consuming(
    load: LoadProcess,
    log: Path,
    *,
    start: str = "earliest",
    cursor: Path | None = None,
    crash_after: int = 0,
) -> Iterator[subprocess.Popen[str]]:
    """Run a consumer that is subscribed when this returns."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.delivery.consumer", str(log)),
            *(load.endpoint, load.replay_endpoint, start, str(cursor or "-"), str(crash_after)),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        assert process.stdout.readline() == "subscribed\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until(true: Callable[[], bool], what: str) -> None:
    """Wait for another process's doing."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"still not: {what}"
        time.sleep(0.05)


def last_sequences(count: int) -> dict[str, int]:
    """The last sequence of each stream's events once `count` messages of one run were sent."""
    last = dict.fromkeys((topic(stream, "event") for stream in STREAMS), 0)
    for message in range(count):
        last[topic(STREAMS[message // 2 % len(STREAMS)], "event")] += 1
    return last


@dataclass
class Tally:
    """What one consumer was given, checked for order and completeness on the way.

    Each topic's account of one run is a line without holes: a message, a gap or a repetition.
    """

    seen: dict[tuple[str, str], int] = field(default_factory=dict)
    """The newest sequence accounted for, by topic and bootid."""
    first: dict[tuple[str, str], int] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    messages: int = 0
    missing: int = 0
    repeated: int = 0

    @classmethod
    def of(cls, log: Path) -> "Tally":
        tally = cls()
        # What a killed process left without its line end was never finished.
        for line in log.read_text().splitlines(keepends=True) if log.exists() else ():
            if line.endswith("\n"):
                tally._take(*line.split())
        return tally

    def _take(self, what: str, name: str, boot: str, *rest: str) -> None:
        key = (name, boot)
        if what == "gap":
            first, last = int(rest[0]), int(rest[1])
            self.missing += last - first + 1
        else:
            first = last = int(rest[0])
            if rest[1] in self.ids:
                self.repeated += 1
                return
            self.ids.add(rest[1])
            self.messages += 1
        expected = self.seen[key] + 1 if key in self.seen else first
        assert first == expected, f"{name} of {boot}: {first} came where {expected} was due"
        self.first.setdefault(key, first)
        self.seen[key] = last

    def reached(self, last: dict[str, int], boot: str | None = None) -> bool:
        """Whether every topic is accounted for up to its last sequence (of this run)."""
        newest = {name: seen for (name, run), seen in self.seen.items() if boot in (None, run)}
        return all(newest.get(name, 0) >= sequence for name, sequence in last.items())
