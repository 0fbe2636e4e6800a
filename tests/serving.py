"""A real `streamcls run` in a process of its own, with a subscriber on its real socket."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from streamcls.client import Gap, Silence, Subscriber
from streamcls.events import EventData, Message, PredictionData, StatusData

PATIENCE_S = 90.0  # these machines may be busy; a healthy run needs a few seconds


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Served:
    """A running daemon and all that its subscriber received so far."""

    process: subprocess.Popen[str]
    subscriber: Subscriber
    http: str
    printed: TextIO
    messages: list[Message] = field(default_factory=list)

    def receive(self) -> Message:
        deadline = time.monotonic() + PATIENCE_S
        while not (message := self._next()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                raise AssertionError(
                    f"silence after {len(self.messages)} messages; it printed:\n" + self.output()
                )
        self.messages.append(message)
        return message

    def until_state(self, stream: str, *states: str) -> StatusData:
        """Receive until the stream says one of these states."""
        while True:
            message = self.receive()
            data = message.data
            if message.subject == stream and isinstance(data, StatusData) and data.state in states:
                return data

    def until_event(self, transition: str) -> EventData:
        while True:
            data = self.receive().data
            if isinstance(data, EventData) and data.transition == transition:
                return data

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.http + path, timeout=PATIENCE_S) as answer:
            return str(answer.read().decode())

    def wait_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                self.get("/readyz")
                return
            except OSError:
                assert self.process.poll() is None, self.output()
                time.sleep(0.1)
        raise AssertionError("the daemon did not become ready")

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def drain(self) -> None:
        """Take what is still on its way after the daemon's end."""
        while message := self._next():
            self.messages.append(message)

    def _next(self) -> Message | None:
        item = self.subscriber.receive(1.0)
        assert not isinstance(item, Gap | Silence), item
        return item

    def output(self) -> str:
        """All the daemon printed; it must have ended."""
        self.process.wait(PATIENCE_S)
        self.printed.seek(0)
        return self.printed.read()

    def of(self, stream: str) -> "Heard":
        mine = [message.data for message in self.messages if message.subject == stream]
        return Heard(
            [data for data in mine if isinstance(data, PredictionData)],
            [data for data in mine if isinstance(data, EventData)],
            [data.state for data in mine if isinstance(data, StatusData) and not data.heartbeat],
        )


@dataclass
class Heard:
    """One stream's messages by kind."""

    predictions: list[PredictionData]
    events: list[EventData]
    states: list[str]

    def whole_events(self) -> list[EventData]:
        """The ends, each with its start seen before."""
        started = {event.event_id for event in self.events if event.transition == "start"}
        ended = [event for event in self.events if event.transition == "end"]
        assert {event.event_id for event in ended} == started
        assert len(ended) == len(started)
        return ended


def config(
    folder: Path, streams: str, *, model: Path | str, backend: str = "torch", more: str = ""
) -> Path:
    """Write a configuration with free ports and its own journal that waits for a subscriber."""
    path = folder / "streamcls.toml"
    journal = "" if "[journal]" in more else '[journal]\npath = "events.sqlite"\n'
    path.write_text(
        f'{streams}\n[model]\npath = "{model}"\nthreads = 1\nbackend = "{backend}"\n'
        f"{more}\n{journal}"
        f'[publish]\nendpoint = "tcp://127.0.0.1:{free_port()}"\n'
        f'replay_endpoint = "tcp://127.0.0.1:{free_port()}"\n'
        "wait_for_subscriber_s = 60\nheartbeat_s = 1\n"
        f"[http]\nport = {free_port()}\n"
    )
    return path


def stream(name: str, url: Path | str, **settings: str) -> str:
    """One `[[streams]]` table; settings are TOML values."""
    lines = [f"{key} = {value}" for key, value in settings.items()]
    return "\n".join(["[[streams]]", f'id = "{name}"', f'url = "{url}"', *lines, ""])


@contextmanager
def serving(path: Path) -> Iterator[Served]:
    """Run the daemon on a configuration made by `config`."""
    from streamcls.config import load_settings

    settings = load_settings(path)
    # Into a file: a pipe that nobody reads would fill.
    printed = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed below, after the process)
    process = subprocess.Popen(
        [sys.executable, "-m", "streamcls", "run", str(path)],
        stdout=printed,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    try:
        endpoint, replay = settings.publish.endpoint, settings.publish.replay
        with Subscriber(endpoint, start="earliest", replay_endpoint=replay) as subscriber:
            http = f"http://{settings.http.host}:{settings.http.port}"
            yield Served(process, subscriber, http, printed)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        printed.close()
