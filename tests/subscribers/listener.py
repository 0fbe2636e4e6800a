"""Running a subscriber in another language as a process, and reading what it prints."""

import json
import queue
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.subscribers.station import SOON_S

SCHEMA = Path(__file__).parent.parent.parent / "streamcls" / "schema.json"


class Listener:
    """A running subscriber: what it prints, and how it ends."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def next(self, count: int) -> list[Any]:
        """The next lines it prints, decoded."""
        return [json.loads(self._lines.get(timeout=SOON_S)) for _ in range(count)]

    def end(self) -> tuple[int, str]:
        """Wait for its exit code and what it said on standard error."""
        assert self.process.stderr
        code = self.process.wait(SOON_S)
        self._reader.join(SOON_S)
        return code, self.process.stderr.read()

    def rest(self) -> list[Any]:
        """What it printed that nobody asked for yet; of one that has ended."""
        return self.next(self._lines.qsize())

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._lines.put(line)


@contextmanager
def started(program: Path, endpoint: str, *options: str) -> Iterator[Listener]:
    """Run the program; it is killed at the end where it did not end before."""
    listener = Listener(["node", str(program), endpoint, "--schema", str(SCHEMA), *options])
    try:
        yield listener
    finally:
        listener.process.kill()
        listener.process.communicate()
