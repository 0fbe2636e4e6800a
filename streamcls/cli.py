"""The command line: run, demo, watch, events, finetune, predict, evaluate, bench, models, ...

Heavy imports stay inside the commands, so that `watch` starts without torch.
"""

import atexit
import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from rich.console import Console

from streamcls import (
    cli_bench,
    cli_check,
    cli_doctor,
    cli_evaluate,
    cli_finetune,
    cli_keys,
    cli_models,
    cli_predict,
    cli_watch,
)
from streamcls.errors import StreamclsError
from streamcls.urls import redact

app = typer.Typer(
    help="Turn live video into label events.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # `main` prints what is unexpected, without credentials
)
app.add_typer(cli_models.app, name="models")
app.add_typer(cli_keys.app, name="keys")

ConfigPath = Annotated[Path, typer.Argument(help="TOML file; see configs/streamcls.toml.")]


def main() -> None:
    """Entry point: one line on standard error for what went wrong, and a true exit code."""
    try:
        app()
    except StreamclsError as error:
        line = redact(f"streamcls: {error}")
        Console(stderr=True).print(line, style="red", soft_wrap=True, markup=False)
        sys.exit(error.exit_code)
    except Exception:  # a bug: its trace is wanted, but no password that a message may hold
        sys.stderr.write(redact(traceback.format_exc()))
        sys.exit(1)


@app.command()
def run(config: ConfigPath) -> None:
    """Serve the streams of a configuration file until stopped."""
    with _Signals() as signals:
        from streamcls.config import load_settings
        from streamcls.daemon import Daemon
        from streamcls.observe.logs import log_to_stderr

        settings = load_settings(config)
        log_to_stderr(settings.log)
        daemon = Daemon(settings, config=config)
        signals.serve(daemon.stop, daemon.reload)
        code = StreamclsError.exit_code
        try:
            code = daemon.run()
        finally:
            if daemon.hangs:
                atexit.register(_end_at_once, code)
    raise typer.Exit(code)


def _end_at_once(code: int) -> None:
    """End without tidying up: torch aborts where Python goes away beneath a thread of it."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@app.command()
def demo() -> None:
    """Show the whole line on the bundled sample: no camera, no network, no GPU."""
    from streamcls.demo import run_demo

    raise typer.Exit(run_demo(Console()))


app.command()(cli_watch.watch)
app.command()(cli_watch.events)


app.command()(cli_finetune.finetune)
app.command()(cli_predict.predict)
app.command()(cli_evaluate.evaluate)
app.command()(cli_check.check)
app.command()(cli_bench.bench)
app.command()(cli_doctor.doctor)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the wire messages."""
    from streamcls.wire_schema import json_schema

    print(json.dumps(json_schema(), indent=1))


class _Signals:
    """SIGTERM and SIGINT call `stop`, a second one falls through to the old handler.

    SIGHUP calls `reload`, each time. Until there is something to stop, they end the process at
    once, and well.
    """

    def __init__(self) -> None:
        self.stop: Callable[[], None] = sys.exit
        self._reload: Callable[[], None] | None = None
        self._reload_asked = False
        self._old: dict[int, Any] = {}

    def __enter__(self) -> "_Signals":
        for number in (signal.SIGTERM, signal.SIGINT):
            self._old[number] = signal.signal(number, self._handle)
        self._old[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._hang_up)
        return self

    def serve(self, stop: Callable[[], None], reload: Callable[[], None]) -> None:
        """From now on there is somebody to tell; of a SIGHUP that came before, too."""
        self.stop, self._reload = stop, reload
        if self._reload_asked:
            reload()

    def __exit__(self, *_: object) -> None:
        for number, before in self._old.items():
            signal.signal(number, before)

    def _hang_up(self, _number: int, _frame: FrameType | None) -> None:
        self._reload_asked = True
        if self._reload:
            self._reload()

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        signal.signal(number, self._old[number])
        self.stop()
