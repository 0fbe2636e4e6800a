"""`streamcls evaluate`: a model file against labelled recordings, and thresholds chosen on them."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from streamcls.cli_predict import progress
from streamcls.config import BackendName

if TYPE_CHECKING:
    from streamcls.offline.evaluate import Evaluation, Figures


def evaluate(
    bundle: Annotated[str, typer.Argument(help="A model file, or a bundled model's name.")],
    videos: Annotated[
        list[Path], typer.Option(help="A recording, or a folder of them; may be repeated.")
    ],
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Label tracks: a CSV (video,label,start_s,end_s), or a folder of JSON or WebVTT"
            " files named as the recordings; unset: such files beside them."
        ),
    ] = None,
    stride: Annotated[
        float | None, typer.Option(help="Seconds between windows; unset: the daemon's.")
    ] = None,
    threads: Annotated[
        int, typer.Option(min=0, help="As in [model]: CPU threads, which the last bits depend on.")
    ] = 0,
    device: str = "auto",
    backend: Annotated[
        BackendName, typer.Option(help="What runs the network, as in [model].")
    ] = BackendName.TORCH,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    tune: Annotated[
        Path | None,
        typer.Option(help="Choose thresholds per label for event F1; write this model file."),
    ] = None,
) -> None:
    """Replay labelled recordings as the daemon would, and tell how well its events are right."""
    from streamcls.config import ModelSettings
    from streamcls.engine import Engine
    from streamcls.models.backends import use_threads
    from streamcls.models.bundle import check_target, find_bundle
    from streamcls.offline.evaluate import judge, score_all
    from streamcls.offline.files import find_videos
    from streamcls.offline.recordings import reading
    from streamcls.offline.scored import decided_again
    from streamcls.offline.tracks import read_tracks
    from streamcls.offline.tuning import policies_of, rewrite_decisions, tuned

    if tune:
        check_target(tune)
    if threads:
        use_threads(threads)
    engine = Engine.load(ModelSettings(path=bundle, device=device, backend=backend), stride)
    settings = reading(engine, stride_s=stride)
    files = find_videos(videos)
    tracks = read_tracks(labels, files, engine.model.labels)
    errors = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    if backend is not BackendName.TORCH:
        errors.print(f"backend {engine.why}")
    if rounded := settings.rounded_stride():
        errors.print(rounded)
    with progress(errors) as bar:
        task = bar.add_task("recordings", total=len(files))
        scored, failed = score_all(settings, tracks, on_recording=lambda _path: bar.advance(task))
    result = judge(settings, scored, tracks, failed)
    results = {"evaluation": result}
    if tune:
        defaults = tuned(settings, scored, tracks)
        policies = policies_of(defaults, engine.model.labels)
        again = decided_again(scored, policies, engine.model.labels)
        results["tuned"] = judge(settings, again, tracks, failed)
        rewrite_decisions(find_bundle(bundle), defaults, tune)
    _tell(results, as_json)
    for reason in failed:
        errors.print(f"failed: {reason}", style="red")
    if tune:
        before, after = (_number(one.total.f1) for one in results.values())
        errors.print(f"wrote {tune}: event F1 {before} before, {after} after")
    if failed:
        errors.print(f"{len(failed)} of {len(files)} recording(s) failed", style="red")
        raise typer.Exit(1)


def _tell(results: dict[str, "Evaluation"], as_json: bool) -> None:
    if as_json:
        documents = {name: asdict(one) for name, one in results.items()}
        one_alone = documents["evaluation"] if len(documents) == 1 else documents
        print(json.dumps(one_alone, indent=1, ensure_ascii=False))
        return
    console = Console(highlight=False)
    for name, one in results.items():
        title = f"{one.model}, {one.hours:.3f} h in {one.recordings} recording(s)"
        console.print(_table(title if name == "evaluation" else f"{title}, tuned", one))
    for path in next(iter(results.values())).without_window:
        console.print(f"{path} holds no whole clip", style="yellow", markup=False, soft_wrap=True)


def _table(title: str, one: "Evaluation") -> Table:
    # Without rules and in few letters, for a terminal of eighty.
    table = Table(title=escape(title), title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("label", overflow="fold", min_width=10)
    for column in (
        *("clips", "top-1", "truth", "events", "prec.", "recall", "F1"),
        *("delay", "false/h"),
    ):
        table.add_column(column, justify="right", no_wrap=True)
    for figures in one.classes:
        table.add_row(*_row(figures))
    table.add_section()
    table.add_row(*_row(one.total), style="bold")
    return table


def _row(figures: "Figures") -> Iterable[str]:
    return (
        escape(figures.label),
        str(figures.windows),
        _number(figures.accuracy),
        str(figures.segments),
        str(figures.events),
        _number(figures.precision),
        _number(figures.recall),
        _number(figures.f1),
        _number(figures.delay_median_s),
        _number(figures.false_alarms_per_hour),
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
