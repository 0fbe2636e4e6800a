"""A real Prometheus server that scrapes a daemon, with a data folder and a port of its own."""

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.serving import PATIENCE_S, free_port

CONFIGS = Path(__file__).parent.parent.parent / "configs" / "prometheus"
RULES = CONFIGS / "streamcls.rules.yml"
SCRAPE = CONFIGS / "prometheus.yml"
TARGET = "127.0.0.1:9599"
"""What the example scrapes."""


@dataclass(frozen=True)
class Server:
    """Its HTTP API, https://prometheus.io/docs/prometheus/latest/querying/api/."""

    url: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant vector; a query that is wrong is an error."""
        found: list[dict[str, Any]] = self._ask("query", query=expression)["result"]
        return found

    def label_values(self, label: str, series: str) -> list[str]:
        return [str(value) for value in self._ask(f"label/{label}/values", **{"match[]": series})]

    def firing(self) -> list[dict[str, Any]]:
        """The alerts that fire, with their annotations filled in."""
        return [one for one in self._ask("alerts")["alerts"] if one["state"] == "firing"]

    def _ask(self, path: str, **parameters: str) -> Any:
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=30) as answer:
            return json.load(answer)["data"]


@contextmanager
def scraping(target: str, folder: Path) -> Iterator[Server]:
    """Scrape `target` every second by the example's configuration, and judge it at once.

    Every alert's `for` is left out: what it waits for is a matter of promtool's tests.
    """
    rules = RULES.read_text().splitlines()
    at_once = [line for line in rules if not line.strip().startswith("for:")]
    (folder / RULES.name).write_text("\n".join(at_once))
    settings = SCRAPE.read_text()
    assert settings.count(TARGET) == 1
    assert settings.count(": 15s") == 2
    path = folder / SCRAPE.name
    path.write_text(settings.replace(TARGET, target).replace(": 15s", ": 1s"))
    port = free_port()
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [
                *("prometheus", f"--config.file={path}", f"--storage.tsdb.path={folder / 'data'}"),
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    server = Server(f"http://127.0.0.1:{port}")
    try:
        _wait_ready(server, process, folder / "log")
        yield server
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def _wait_ready(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen(f"{server.url}/-/ready", timeout=30):
                return
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
