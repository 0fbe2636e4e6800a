"""`streamcls predict`: whole videos classified, as a table, JSON lines, CSV, WebVTT or video."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from streamcls.config import BackendName
from streamcls.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from streamcls.offline.predict import FailedVideo, VideoPrediction

    Results: TypeAlias = Iterator[VideoPrediction | FailedVideo]


class Format(StrEnum):
    """What `predict` writes."""

    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"
    VTT = "vtt"
    VIDEO = "video"


def predict(
    videos: Annotated[list[Path], typer.Argument(help="Video files, and folders to search.")],
    model: Annotated[
        str, typer.Option(help="A model file, or a bundled model's name.")
    ] = "camera-motion",
    format_: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.TABLE,
    out: Annotated[
        Path | None,
        typer.Option(help="The file to write; for `vtt` and `video` of several files, a folder."),
    ] = None,
    stride: Annotated[
        float | None, typer.Option(help="Seconds between windows; unset: the daemon's.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Windows scored at once, of all files.")] = 8,
    device: str = "auto",
    backend: Annotated[
        BackendName, typer.Option(help="What runs the network, as in [model].")
    ] = BackendName.TORCH,
) -> None:
    """Classify whole videos: sliding windows, label events, and one answer for each."""
    from streamcls.config import ModelSettings
    from streamcls.engine import Engine
    from streamcls.offline.files import find_videos
    from streamcls.offline.predict import predictions
    from streamcls.offline.recordings import reading

    files = find_videos(videos)
    write = _writer(format_, out, files)
    engine = Engine.load(ModelSettings(path=model, device=device, backend=backend), stride)
    settings = reading(engine, stride_s=stride)
    errors = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    if backend is not BackendName.TORCH:
        errors.print(f"backend {engine.why}")
    if rounded := settings.rounded_stride():
        errors.print(rounded)
    shown = out is not None or format_ is Format.TABLE or not sys.stdout.isatty()
    with progress(errors, shown=shown) as bar:
        watched = _Watched(predictions(files, settings, batch_size=batch_size), bar, len(files))
        table = write(watched)
    if table:
        Console().print(table)
    for path in watched.held:
        errors.print(f"{path} is shorter than a clip; its last frame shows on", style="yellow")
    for reason in watched.failed:
        errors.print(f"failed: {reason}", style="red")
    if watched.failed:
        errors.print(f"{len(watched.failed)} of {len(files)} file(s) failed", style="red")
        raise typer.Exit(1)


def progress(console: Console, *, shown: bool = True) -> Progress:
    """A bar that goes when it is done; nothing where the console is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not (shown and console.is_terminal),
        redirect_stdout=False,  # which would send what is piped elsewhere to this console
        redirect_stderr=False,
    )


class _Watched:
    """Results on their way: counts them on the bar, and keeps what is to be told at the end."""

    def __init__(self, results: "Results", bar: Progress, total: int) -> None:
        self.failed: list[str] = []
        self.held: list[Path] = []
        self._results = results
        self._bar = bar
        self._task = bar.add_task("videos", total=total)

    def __iter__(self) -> "Results":
        from streamcls.offline.predict import FailedVideo

        for result in self._results:
            self._bar.advance(self._task)
            if isinstance(result, FailedVideo):
                self.failed.append(result.reason)
            elif result.held:
                self.held.append(result.path)
            yield result


def _writer(
    format_: Format, out: Path | None, files: Sequence[Path]
) -> Callable[["_Watched"], Table | None]:
    """What takes the results; it returns what is to be shown at the end.

    Raises:
        ConfigError: they cannot be written there.
    """
    from streamcls.offline import formats

    if format_ in (Format.VTT, Format.VIDEO):
        if out is None and (format_ is Format.VIDEO or len(files) > 1):
            raise ConfigError(f"--format {format_} needs --out, a folder for several files")
        return lambda results: _write_each(format_, out, files, results)
    if format_ is Format.TABLE:
        if out is not None:
            raise ConfigError("a table is for the terminal; use --format csv or jsonl with --out")
        return _table
    lines = formats.json_lines if format_ is Format.JSONL else formats.csv_lines
    return lambda results: _write_lines(lines(iter(results)), out)


def _write_lines(lines: Iterator[str], out: Path | None) -> None:
    try:
        with out.open("w", encoding="utf-8") if out else nullcontext() as file:
            for line in lines:
                print(line, file=file, flush=True)
    except OSError as error:
        raise ConfigError(f"{out or 'standard output'}: {error.strerror}") from None


def _write_each(
    format_: Format, out: Path | None, files: Sequence[Path], results: "_Watched"
) -> None:
    """A file for each video; the one of a single video may go to standard output."""
    from streamcls.offline.formats import web_vtt
    from streamcls.offline.predict import VideoPrediction

    names = _names(files, ".vtt" if format_ is Format.VTT else ".mp4")
    for result in results:
        if not isinstance(result, VideoPrediction):
            continue
        if out is None:
            print(web_vtt(result.events), end="")
            continue
        target = out
        if len(files) > 1 or out.is_dir():
            target = out / names[result.path]
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists() and target.samefile(result.path):
                raise ConfigError(f"{target} is the video itself; name another place with --out")
            if format_ is Format.VTT:
                target.write_text(web_vtt(result.events), encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{target} cannot be written: {error.strerror}") from None
        if format_ is Format.VIDEO:
            from streamcls.offline.annotate import annotate

            try:
                annotate(result, target)
            except SourceError as error:
                results.failed.append(str(error))


def _names(files: Sequence[Path], suffix: str) -> dict[Path, str]:
    """A name for what each video gives: its stem, or its whole path where stems are alike."""
    stems = Counter(path.stem for path in files)
    return {
        path: path.stem + suffix
        if stems[path.stem] == 1
        else "_".join(part for part in path.parts if part not in ("/", "..")) + suffix
        for path in files
    }


def _table(results: "_Watched") -> Table | None:
    from streamcls.offline.predict import VideoPrediction

    table = Table()
    for column in ("video", "label", "mean score", "windows", "events"):
        table.add_column(column, justify="right" if column in ("mean score", "windows") else "left")
    for result in results:
        if isinstance(result, VideoPrediction):
            events = "\n".join(
                f"{event.start_s:.1f} - {event.end_s:.1f} s {event.label} {event.peak_score:.2f}"
                for event in result.events
            )
            table.add_row(
                escape(str(result.path)),
                escape(result.label),
                f"{result.score:.2f}",
                str(len(result.windows)),
                escape(events),
            )
    return table if table.row_count else None
