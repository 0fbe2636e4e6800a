"""`streamcls bench`: how many cameras this machine serves, found by serving them."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from streamcls.config import BackendName
from streamcls.errors import ConfigError, StreamclsError

if TYPE_CHECKING:
    from streamcls.bench.films import Size
    from streamcls.bench.search import Search
    from streamcls.bench.verdict import Found

_INTERRUPTED = 130  # as of a command that Ctrl-C ended


def bench(
    model: Annotated[
        str, typer.Option(help="A model file, or a bundled model's name.")
    ] = "camera-motion",
    size: Annotated[str, typer.Option(help="A camera's picture, WIDTHxHEIGHT.")] = "1920x1080",
    fps: Annotated[
        float, typer.Option(min=1, max=240, help="A camera's pictures a second.")
    ] = 25.0,
    stride: Annotated[
        float, typer.Option(min=0.01, max=3600, help="Seconds between a camera's windows.")
    ] = 1.0,
    video: Annotated[
        Path | None, typer.Option(help="A recording of your own camera, in place of size and fps.")
    ] = None,
    backend: Annotated[
        BackendName, typer.Option(help="What runs the network, as in [model].")
    ] = BackendName.AUTO,
    seconds: Annotated[
        float, typer.Option("--seconds-per-step", min=1, help="How long each number is measured.")
    ] = 15.0,
    max_age: Annotated[
        float, typer.Option("--max-age-ms", min=1, help="The oldest that 99 % of labels may be.")
    ] = 500.0,
    limit: Annotated[int, typer.Option(min=1, help="The most cameras to try.")] = 1024,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write knee.json and a plot into.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Find how many cameras this machine serves in time, by serving ever more.

    A number is held when 99 % of labels are no older than --max-age-ms and no window is lost. It is
    doubled, then halved in, half a minute each: best on a box that does nothing else.
    """
    from streamcls.bench.machine import describe, in_words
    from streamcls.bench.report import document, line_of, write_files
    from streamcls.bench.search import Asked, Search

    errors = Console(stderr=True, highlight=False, markup=False)
    errors.soft_wrap = not errors.is_terminal  # lines of a log are whole
    asked = Asked(
        model=model,
        size=_size(size),
        fps=Fraction(fps).limit_denominator(1001),
        stride_s=stride,
        video=video,
        backend=backend.value,
        seconds=seconds,
        max_age_ms=max_age,
        limit=limit,
    )
    if sys.platform != "linux":
        raise ConfigError("bench counts by /proc, which only Linux has")
    if out:
        _make(out)
    with _ending_as_asked(), _steps(errors) as on_step:
        search = Search(asked, on_step=on_step, on_level=lambda level: errors.print(line_of(level)))
        machine = describe()
        errors.print(in_words(machine), style="dim")
        ended = _run(search)
    if search.found.levels:
        text = document(search.found, machine)
        if as_json:
            print(text)
        else:
            _show(search.found, Console(highlight=False))
        for path in write_files(search.found, text, out) if out else []:
            errors.print(f"wrote {path}")
    if isinstance(ended, StreamclsError):
        raise ended
    if ended:
        errors.print("interrupted", style="red")
        raise typer.Exit(_INTERRUPTED)


def _run(search: "Search") -> StreamclsError | KeyboardInterrupt | None:
    """Search to the end; what ended it early, if something did."""
    try:
        search.run()
    except (StreamclsError, KeyboardInterrupt) as ended:
        return ended
    return None


@contextmanager
def _ending_as_asked() -> Iterator[None]:
    """Let a closed terminal and `kill` end it as Ctrl-C does: with its daemon and a report."""

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    old = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, before in old.items():
            signal.signal(number, before)


@contextmanager
def _steps(console: Console) -> Iterator[Callable[[str], None]]:
    """What shows on a terminal what is done now and for how long; elsewhere nothing."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
        refresh_per_second=4,  # what draws takes from what is measured
        redirect_stdout=False,
        redirect_stderr=False,
    ) as bar:
        task = bar.add_task("")

        def on_step(what: str) -> None:
            bar.reset(task, description=what)

        yield on_step


def _show(found: "Found", console: Console) -> None:
    from streamcls.bench.report import plot_of, tables_of, words_of

    for part in tables_of(found):
        console.print(part)
    console.print(f"{plot_of(found)}\n", markup=False, soft_wrap=True)
    for line in words_of(found):
        console.print(line, markup=False, soft_wrap=not console.is_terminal)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {folder}: {error.strerror}") from None


def _size(text: str) -> "Size":
    from streamcls.bench.films import Size

    try:
        return Size.parse(text)
    except ValueError as error:
        raise ConfigError(f"--size: {error}") from None
