"""`streamcls check`: what is wrong with a configuration, what it would change and would see."""

import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from streamcls.config import HttpSettings, Settings
    from streamcls.reload import Prepared

_PATIENCE_S = 30.0  # the daemon may have to read a model file before it answers


def check(
    config: Annotated[Path, typer.Argument(help="TOML file; see configs/streamcls.toml.")],
    against: Annotated[
        Path | None, typer.Option(help="An older file: say what a reload from it would do.")
    ] = None,
    probe: Annotated[
        bool, typer.Option(help="Open each source and tell what comes from it.")
    ] = False,
) -> None:
    """Validate a configuration file with its videos, model and keys; say what a reload would do."""
    console = Console(soft_wrap=True, highlight=False, markup=False)
    ready = validated(config)
    streams = ", ".join(ready.lanes)
    console.print(f"{config}: fine; model {ready.engine.model.manifest.name}; streams {streams}")
    console.print(f"backend {ready.engine.why}")
    for line in _reload_lines(config, ready, against):
        console.print(line)
    if probe and not _probe(ready.settings, console):
        raise typer.Exit(1)


def validated(config: Path) -> "Prepared":
    """What a daemon would serve with this file.

    Raises:
        StreamclsError: it cannot.
    """
    from streamcls.config import check_files, load_settings
    from streamcls.engine import Engine
    from streamcls.keys import keys_to_serve
    from streamcls.reload import Prepared

    settings = load_settings(config)
    check_files(settings.streams)
    if settings.keys.secret and settings.keys.authorized:
        keys_to_serve(Path(settings.keys.secret), Path(settings.keys.authorized))
    return Prepared.of(settings, Engine.load(settings.model, settings.least_stride_s))


def _reload_lines(config: Path, ready: "Prepared", against: Path | None) -> Iterator[str]:
    from streamcls.reload import plan, prepare

    if against:
        before = validated(against)
        lines = plan(before, prepare(config, before)).lines()  # which shares what is the same
        yield f"a reload from {against} would:"
        yield from _indented(lines)
        return
    answer = _ask(ready.settings.http)
    if not answer or not answer[0].startswith("/"):
        return
    served, *lines = answer
    url = f"the daemon at port {ready.settings.http.port}"
    if Path(served) == config.resolve():
        yield f"{url} serves this file; a reload (SIGHUP) would:"
        yield from _indented(lines)
    else:
        yield f"{url} serves another file, {served}; compare them with --against"


def _ask(http: "HttpSettings") -> list[str]:
    """What the daemon at this address says of a reload; nothing where none answers."""
    if not http.enabled or not http.port:
        return []
    try:
        address = f"http://{http.host}:{http.port}/pending"
        # Whatever proxy there is for other hosts, this one is asked itself.
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(address, timeout=_PATIENCE_S) as answer:
            return str(answer.read().decode()).split("\n")[:-1]
    except (OSError, ValueError, HTTPException):  # none there, or something else
        return []


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _probe(settings: "Settings", console: Console) -> bool:
    """Print what comes from each source; whether all are well."""
    from streamcls.clock import SystemClock
    from streamcls.probe import probe

    def look(number: int) -> bool:
        stream = settings.streams[number]
        found = probe(stream, settings.capture, SystemClock())
        console.print(f"{stream.id}: {found.line()}")
        return found.error == ""

    with ThreadPoolExecutor(settings.capture.max_opening) as pool:
        return all(list(pool.map(look, range(len(settings.streams)))))
