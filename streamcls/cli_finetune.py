"""`streamcls finetune`: from labelled videos to a model file."""

import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from streamcls.errors import DataError, StreamclsError

if TYPE_CHECKING:
    from streamcls.finetune.data import VideoData
    from streamcls.finetune.training.recipe import Recipe
    from streamcls.finetuning import Report


def finetune(
    data: Annotated[
        Path,
        typer.Argument(help="Holds train/<class>/ and val/<class>/ videos; or a CSV file."),
    ],
    model: Annotated[
        str, typer.Option(help="A network (`streamcls models list`) or a model file to start from.")
    ],
    out: Annotated[Path, typer.Option(help="The .safetensors model file to write.")],
    val: Annotated[Path | None, typer.Option(help="CSV file to validate on.")] = None,
    val_share: Annotated[
        float, typer.Option(help="Share of the data to validate on where there is none for it.")
    ] = 0.2,
    separator: Annotated[
        str | None, typer.Option(help="Parts labels in a cell of CSV: several may hold at once.")
    ] = None,
    epochs: int = 10,
    batch_size: int = 8,
    lr: Annotated[float, typer.Option(help="The learning rate's peak.")] = 1e-3,
    strategy: Annotated[
        str,
        typer.Option(
            help="Which weights learn: no_freeze, freeze (the head alone), freeze_unfreeze,"
            " unfreeze_milestones."
        ),
    ] = "no_freeze",
    precision: Annotated[str, typer.Option(help="32, bf16 or fp16.")] = "32",
    flip: Annotated[
        bool, typer.Option(help="Add mirror images; no label may name a side.")
    ] = False,
    more: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Any other setting of the recipe, such as ema=0.999, patience=5,"
            ' balance=sampler, find_lr=true, flip={pan_left="pan_right"}.',
        ),
    ] = None,
    background: Annotated[
        str | None, typer.Option(help="The class that shall open no event.")
    ] = None,
    recordings: Annotated[
        Path | None,
        typer.Option(
            help="Labelled recordings to choose thresholds on; default: the validation videos."
        ),
    ] = None,
    seed: int = 0,
    workers: Annotated[int, typer.Option(help="Processes that read videos.")] = 2,
    device: str = "auto",
    run_dir: Annotated[
        Path | None, typer.Option(help="For checkpoint and logs; default: OUT with .run.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where it was killed, if it was.")
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write its event files too.")
    ] = False,
    fast_dev_run: Annotated[
        bool, typer.Option("--fast-dev-run", help="One batch, to see that all is in place.")
    ] = False,
) -> None:
    """Train a network on labelled videos and write the model file to serve."""
    settings: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": lr,
        "strategy": strategy,
        "precision": precision,
        "flip": {} if flip else None,
        "seed": seed,
        "workers": workers,
        "fast_dev_run": fast_dev_run,
    }
    recipe = _recipe(settings, more or [])
    with _told_in_a_line():
        from streamcls.finetuning import train as run

        report = run(
            _data(data, val, val_share, separator, seed),
            model=model,
            out=out,
            recipe=recipe,
            background_label=background,
            recordings=recordings,
            device=device,
            run_dir=run_dir or out.with_suffix(".run"),
            resume=resume,
            tensorboard=tensorboard,
        )
    _show(report, Console())


def _recipe(settings: dict[str, Any], more: Sequence[str]) -> "Recipe":
    """The recipe of a command's options and of its `--set NAME=VALUE`.

    Raises:
        DataError: no such setting, or a value that it cannot have.
    """
    import msgspec

    from streamcls.finetune.data.balance import Balance
    from streamcls.finetune.training.recipe import Precision, Recipe, Strategy

    for assignment in more:
        name, equals, text = assignment.partition("=")
        if not equals or name not in Recipe.__dataclass_fields__:
            known = ", ".join(Recipe.__dataclass_fields__)
            raise DataError(f"--set {assignment}: use NAME=VALUE with one of {known}")
        settings[name] = _value(text)
    for name, words in (("strategy", Strategy), ("precision", Precision), ("balance", Balance)):
        if name in settings and settings[name] not in list(words):
            known = ", ".join(words)
            raise DataError(f"{name} is {settings[name]!r}; use one of {known}")
    try:
        return msgspec.convert(settings, Recipe)
    except msgspec.ValidationError as error:
        raise DataError(f"the recipe cannot be used: {error}") from None


def _value(text: str) -> Any:
    """A value as TOML writes it, or a word without quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _data(
    path: Path, val: Path | None, val_share: float, separator: str | None, seed: int
) -> "VideoData":
    from streamcls.finetune.data import VideoData
    from streamcls.finetune.data.tables import Columns

    if path.suffix.lower() == ".csv":
        columns = Columns(separator=separator)
        return VideoData.from_csv(path, val, columns=columns, val_share=val_share, seed=seed)
    return VideoData.from_folders(path, val_share=val_share, seed=seed)


@contextmanager
def _told_in_a_line() -> Iterator[None]:
    """What ends a training from outside, said in a line."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as end:  # Lightning ends the process well on SIGTERM
        if isinstance(end, SystemExit) and not end.code:
            raise  # one of several processes, whose work is done
        raise StreamclsError(
            "finetuning was interrupted; no model file was written; go on with --resume"
        ) from None
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise StreamclsError(
            "a process that reads videos was ended from outside, for lack of memory perhaps;"
            " no model file was written; go on with --resume and fewer --workers"
        ) from None


def _show(report: "Report", console: Console) -> None:
    def say(text: str, style: str | None = None) -> None:
        console.print(text, style=style, markup=False, soft_wrap=True)

    for warning in report.warnings:
        say(warning, "yellow")
    if report.skipped:
        say(f"{len(report.skipped)} file(s) or stretches skipped:", "yellow")
        for problem in report.skipped:
            say(f"  {problem}", "yellow")
    metrics = ", ".join(f"{name} {value:.3f}" for name, value in report.metrics.items())
    say(f"wrote {report.path}: {metrics}")
    if report.events is not None:
        before, after = report.events.before.f1 or 0, report.events.after.f1 or 0
        say(f"event F1 on {report.events.streams}: {before:.3f}, with its thresholds {after:.3f}")
    say(f"serve it: set [model] path = {str(report.path)!r}")
