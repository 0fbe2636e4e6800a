"""The command line: run | demo | watch | finetune | models | check | schema.

Heavy imports stay inside the commands, so that `watch` starts without torch.
"""

import json
import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from streamcls.errors import StreamclsError

if TYPE_CHECKING:
    from streamcls.daemon import Daemon

app = typer.Typer(
    help="Turn live video into label events.", no_args_is_help=True, add_completion=False
)
models_app = typer.Typer(help="Model files and networks.", no_args_is_help=True)
app.add_typer(models_app, name="models")

ConfigPath = Annotated[Path, typer.Argument(help="TOML file; see configs/streamcls.toml.")]
Endpoint = Annotated[str, typer.Argument(help="The daemon's [publish] endpoint.")]


def main() -> None:
    """Entry point: one line on standard error for what went wrong, and a true exit code."""
    try:
        app()
    except StreamclsError as error:
        Console(stderr=True).print(f"streamcls: {error}", style="red", soft_wrap=True, markup=False)
        sys.exit(error.exit_code)


@app.command()
def run(config: ConfigPath) -> None:
    """Serve the streams of a configuration file until stopped."""
    from streamcls.config import load_settings
    from streamcls.daemon import Daemon

    settings = load_settings(config)
    _log_to_stderr(settings.log.level)
    daemon = Daemon(settings)
    with _stopped_by_signals(daemon):
        code = daemon.run()
    raise typer.Exit(code)


@app.command()
def demo() -> None:
    """Show the whole line on the bundled sample: no camera, no network, no GPU."""
    from streamcls.demo import run_demo

    raise typer.Exit(run_demo(Console()))


@app.command()
def watch(
    endpoint: Endpoint = "tcp://127.0.0.1:5599",
    stream: Annotated[list[str] | None, typer.Option(help="Only this stream; repeatable.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON message a line, as sent, for pipes.")
    ] = False,
) -> None:
    """Subscribe, and show what arrives."""
    from rich.live import Live

    from streamcls.client import Subscriber
    from streamcls.terminal import Board

    console, board = Console(), Board(endpoint)
    try:
        with Subscriber(endpoint, streams=stream or ()) as messages:
            if as_json:
                while received := messages.receive():
                    print(received[1].decode(), flush=True)
            live_board = Live(board.render(), console=console, auto_refresh=False)
            with live_board as live:
                for message in messages:
                    line = board.take(message)
                    if console.is_terminal:
                        live.update(board.render(), refresh=True)
                    elif line:
                        console.print(line, soft_wrap=True)
    except (KeyboardInterrupt, BrokenPipeError):
        # A pager or `head` that went away is a normal end, and Ctrl-C is the usual one.
        sys.stderr.close()


@app.command()
def check(config: ConfigPath) -> None:
    """Validate a configuration file, its video files and its model file."""
    from streamcls.config import check_files, load_settings
    from streamcls.models.backends import resolve_device
    from streamcls.models.bundle import load_bundle
    from streamcls.stream_line import decision_policy

    settings = load_settings(config)
    check_files(settings)
    model = load_bundle(settings.model.path, resolve_device(settings.model.device))
    decision_policy(settings.decisions, model)
    streams = ", ".join(stream.id for stream in settings.streams)
    Console().print(f"{config}: fine; model {model.manifest.name}; streams {streams}", markup=False)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the wire messages."""
    from streamcls.events import json_schema

    print(json.dumps(json_schema(), indent=1))


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=level.upper(),
        format="%(asctime)s %(levelname)s %(message)s",
    )


@contextmanager
def _stopped_by_signals(daemon: "Daemon") -> Iterator[None]:
    """SIGTERM and SIGINT ask for a good end; a second one falls through to the old handler."""
    old: dict[int, Any] = {}

    def handler(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, old[number])
        daemon.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        old[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, before in old.items():
            signal.signal(number, before)
