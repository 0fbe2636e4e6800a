"""A daemon in a process of its own, as an operator would run it, and a subscriber to it."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from streamcls.client import Gap, Silence, Subscriber
from streamcls.config import load_settings
from streamcls.errors import ConfigError, StreamclsError
from streamcls.events import Message
from streamcls.observe.samples import Samples, scrape

_END_S = 15.0  # a daemon that is asked to end does so in ten
_LAST_LINES = 12


class Child:
    """A running daemon. Use `daemon` to start one and to be sure of its end.

    Attributes:
        http: its HTTP address.
    """

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        subscriber: Subscriber,
        *,
        config: Path,
        http: str,
        log: Path,
    ) -> None:
        self.process = process
        self.subscriber = subscriber
        self.http = http
        self._config = config
        self._log = log

    def receive(self, timeout_s: float) -> Message | None:
        """The next message, if one comes in time.

        Raises:
            StreamclsError: the daemon has ended, or messages were lost on the way.
        """
        item = self.subscriber.receive(timeout_s)
        if item is None and self.process.poll() is not None:
            raise self.ended()
        if isinstance(item, Gap | Silence):
            raise StreamclsError(f"the subscriber lost messages: {item}")
        return item

    def change_streams(self, streams: str) -> None:
        """Have other streams served; those in both go on untouched."""
        change_streams(self._config, streams)
        self.process.send_signal(signal.SIGHUP)

    def metrics(self) -> Samples:
        """What it counts.

        Raises:
            StreamclsError: the daemon has ended, or does not answer.
        """
        try:
            return scrape(self.http)
        except OSError as error:
            if self.process.poll() is not None:
                raise self.ended() from None
            raise StreamclsError(f"the daemon does not answer at {self.http}: {error}") from None

    def ended(self) -> StreamclsError:
        """What to say of a daemon that ended unasked, in its own last words.

        An error of the settings is one line and as good here as there.
        """
        code = self.process.wait(_END_S)
        lines = self.output().splitlines()
        own = [line.partition("streamcls: ")[2] for line in lines if line.startswith("streamcls: ")]
        if code == ConfigError.exit_code and own:
            return ConfigError(own[-1])
        tail = "\n  ".join(lines[-_LAST_LINES:])
        return StreamclsError(f"the daemon ended with code {code}; its last lines:\n  {tail}")

    def output(self) -> str:
        """All that it has printed so far."""
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        """End it in good order, or at once where it does not come to that. Idempotent."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@contextmanager
def daemon(
    streams: str, model: Path | str, *, stride_s: float, model_toml: str = ""
) -> Iterator[Child]:
    """Run a daemon with these `[[streams]]` tables; it waits for its subscriber.

    Its settings and its journal are in a folder of its own, which goes with it.

    Raises:
        ConfigError: its settings are wrong, before it is started.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        config = write_config(
            Path(folder), streams, model, stride_s=stride_s, model_toml=model_toml
        )
        settings = load_settings(config)
        with log.open("w") as printed:
            # A session of its own: what the terminal sends is for us, who then end it in order.
            process = subprocess.Popen(
                [sys.executable, "-m", "streamcls", "run", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=_environment(),
            )
        try:
            with Subscriber(
                settings.publish.endpoint,
                start="earliest",
                replay_endpoint=settings.publish.replay,
            ) as subscriber:
                http = f"http://{settings.http.host}:{settings.http.port}"
                child = Child(process, subscriber, config=config, http=http, log=log)
                try:
                    yield child
                finally:
                    child.stop()
        finally:
            process.kill()
            process.wait()


def write_config(
    folder: Path, streams: str, model: Path | str, *, stride_s: float, model_toml: str = ""
) -> Path:
    """Write a configuration with free ports; all that is not said is as it is by default.

    Args:
        model_toml: keys of [model].
    """
    path = folder / "streamcls.toml"
    messages, replays, http = _free_ports(3)
    path.write_text(
        f"{streams}\n[model]\npath = {json.dumps(str(model))}\n{model_toml}\n"
        f'[windows]\nstride_s = {stride_s}\n[journal]\npath = "events.sqlite"\n'
        f'[publish]\nendpoint = "tcp://127.0.0.1:{messages}"\n'
        f'replay_endpoint = "tcp://127.0.0.1:{replays}"\nwait_for_subscriber_s = 600\n'
        f'[http]\nport = {http}\n[log]\nformat = "text"\n'
    )
    return path


def change_streams(config: Path, streams: str) -> None:
    """Put other `[[streams]]` tables into a configuration made by `write_config`."""
    _, mark, rest = config.read_text().partition("\n[model]\n")
    config.write_text(streams + mark + rest)


def tables(names: Sequence[str], url: Path | str) -> str:
    """`[[streams]]` tables, all of one source at its own pace."""
    source = json.dumps(str(url))
    return "".join(f'[[streams]]\nid = "{name}"\nurl = {source}\n' for name in names)


def _environment() -> dict[str, str]:
    """Ours; a service manager that listens to us is not told of the daemon."""
    kept = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
    return kept | {"COLUMNS": "200"}


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
