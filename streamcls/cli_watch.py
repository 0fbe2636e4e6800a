"""`streamcls watch` and `streamcls events`: what a daemon says now, and what it said before."""

import json
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from streamcls.errors import ConfigError, StreamclsError

if TYPE_CHECKING:
    from streamcls.client import Subscriber

Streams = Annotated[
    list[str] | None, typer.Option("--stream", help="Only this stream; repeatable.")
]
Labels = Annotated[
    list[str] | None, typer.Option("--label", help="Only this label's events; repeatable.")
]


def watch(
    endpoint: Annotated[
        str, typer.Argument(help="Where the daemon publishes.")
    ] = "tcp://127.0.0.1:5599",
    stream: Streams = None,
    kind: Annotated[
        list[str] | None, typer.Option(help="Only prediction, event or status; repeatable.")
    ] = None,
    label: Labels = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="One message a line, as sent; what is missed as a `gap`."),
    ] = False,
    earliest: Annotated[
        bool, typer.Option("--earliest", help="Begin with all that the daemon still keeps.")
    ] = False,
    cursor: Annotated[
        Path | None, typer.Option(help="Remember the place in this file, and go on from there.")
    ] = None,
    replay_endpoint: Annotated[
        str | None, typer.Option(help="Where the daemon replays; unset: the next port.")
    ] = None,
    secret_key: Annotated[
        Path | None, typer.Option(help="Your own NAME.key_secret, where the daemon asks for keys.")
    ] = None,
    server_key: Annotated[
        str | None, typer.Option(help="The daemon's public key: its NAME.key file, or the text.")
    ] = None,
) -> None:
    """Subscribe, and show what arrives: a board on a terminal, lines in a pipe."""
    with _ends_quietly():
        from streamcls.client import Subscriber
        from streamcls.clock import SystemClock
        from streamcls.events import KINDS
        from streamcls.terminal import SILENCE_S, Board, follow

        try:
            subscriber = Subscriber(
                endpoint,
                streams=stream or (),
                kinds=kind or KINDS,
                labels=label or (),
                start="earliest" if earliest else "snapshot",
                cursor=cursor,
                replay_endpoint=replay_endpoint,
                secret_key=secret_key,
                server_key=server_key,
                silence_s=SILENCE_S,
            )
        except StreamclsError as error:  # of what was asked for: asking again will not help
            raise ConfigError(str(error)) from None
        with subscriber as messages:
            if as_json:
                _print_json(messages)
            for _ in follow(messages, Board(endpoint, SystemClock()), _Console()):
                pass


def events(
    since: Annotated[
        str | None, typer.Option(help="1h30m, 2d, or a local time such as 2026-11-22T12:03.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="The same.")] = None,
    stream: Streams = None,
    label: Labels = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Every message of every event a line, as published.")
    ] = False,
    config: Annotated[
        Path | None, typer.Option(help="The daemon's settings, which say where its journal is.")
    ] = None,
    journal: Annotated[Path | None, typer.Option(help="The journal itself.")] = None,
) -> None:
    """Show the events in the daemon's journal: those that ended as they ended, then the open ones.

    Without --config or --journal it is that of a daemon started by this user with its defaults.
    """
    with _ends_quietly():
        from streamcls.history import find_events
        from streamcls.terminal import parse_instant

        now = datetime.now(UTC)
        first = parse_instant(since, now) if since else None
        last = parse_instant(until, now) if until else None
        if first and last and first > last:
            raise ConfigError(f"--since {since} is later than --until {until}; exchange them")
        bodies = find_events(
            _journal(config, journal),
            since_utc_s=first.timestamp() if first else None,
            # An event that began in time is told to its end, which may be later.
            until_utc_s=last.timestamp() if last and as_json else None,
            streams=stream or (),
            labels=label or (),
        )
        count = _write_json(bodies) if as_json else _write_lines(bodies, last)
        if not count:
            sys.stderr.write("no such events in the journal\n")


class _Console(Console):
    """Leaves a closed pipe to `_ends_quietly`."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


@contextmanager
def _ends_quietly() -> Iterator[None]:
    """Ctrl-C, SIGTERM and `| head` are how these commands end; none of them is an error.

    Raises:
        StreamclsError: what was found cannot be written.
    """
    if sys.stdout is None:
        raise StreamclsError("standard output is closed; there is nowhere to write to")
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with suppress(KeyboardInterrupt):
            yield
            sys.stdout.flush()
    except OSError as error:
        # What Python still flushes at exit has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # `| head` has had enough
            raise StreamclsError(f"cannot write: {error.strerror}") from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _print_json(messages: "Subscriber") -> None:
    """One document a line, for ever."""
    from streamcls.client import Gap, Silence
    from streamcls.events import encode

    told = ""
    while True:
        if messages.trouble != told and (told := messages.trouble):
            sys.stderr.write(f"streamcls: {told}\n")
        try:
            item = messages.receive(1.0)
        except ValueError as error:  # of another version, perhaps; what follows may be fine
            sys.stderr.write(f"streamcls: skipped a message: {error}\n")
            continue
        if isinstance(item, Gap):
            print(json.dumps({"gap": asdict(item)}), flush=True)
        elif isinstance(item, Silence):
            sys.stderr.write(f"streamcls: {item}\n")
        elif item:
            print(encode(item).decode(), flush=True)


def _write_json(bodies: Iterable[bytes]) -> int:
    count = 0
    for body in bodies:
        print(body.decode())
        count += 1
    return count


def _write_lines(bodies: Iterable[bytes], last_start: datetime | None) -> int:
    from streamcls.terminal import event_line, whole_events

    count, console = 0, _Console()
    for message in whole_events(bodies):
        if last_start is None or message.data.start_time <= last_start:
            console.print(event_line(message.subject, message.data, dated=True), soft_wrap=True)
            count += 1
    return count


def _journal(config: Path | None, journal: Path | None) -> Path:
    from streamcls.config import JournalSettings, journal_path, load_settings

    if config and journal:
        raise ConfigError("--config and --journal both name a journal; give one of them")
    if journal:
        return journal
    return journal_path(load_settings(config).journal if config else JournalSettings())
