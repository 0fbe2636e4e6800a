"""`streamcls models`: the networks and model files there are; fetching and converting weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

if TYPE_CHECKING:
    from streamcls.models.architecture import Architecture
    from streamcls.models.manifest import Manifest

_CHECKED = {
    "sha256": "as demanded",
    "length": "of the length that the server said; --sha256 demands the same file again",
    "": "the server said no length; --sha256 demands the same file again",
}

app = typer.Typer(help="Networks and model files.", no_args_is_help=True)


@app.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """The networks that can be finetuned, and the model files that come with streamcls."""
    import msgspec

    from streamcls.models.bundle import bundled_models
    from streamcls.models.manifest import read_manifest
    from streamcls.models.zoo import architectures

    networks = architectures()
    bundles = {name: read_manifest(path) for name, path in bundled_models().items()}
    if as_json:
        document = {
            "networks": [
                {
                    "name": name,
                    "parameters": entry.parameters,
                    "gflops": entry.gflops,
                    "kinetics400_top1": entry.kinetics400_top1,
                    "clip_spec": entry.clip_spec,
                    "checkpoint": entry.checkpoint,
                    "description": entry.description,
                }
                for name, entry in networks.items()
            ],
            "model_files": [
                {"name": name, "architecture": manifest.architecture, "labels": manifest.labels}
                for name, manifest in bundles.items()
            ],
        }
        print(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
        return
    Console().print(_networks_table(networks), _bundles_table(bundles))


@app.command("show")
def show(model: Annotated[str, typer.Argument(help="A bundled model's name, or a path.")]) -> None:
    """Print a model file's document as JSON; nothing is run."""
    import msgspec

    from streamcls.models.bundle import find_bundle
    from streamcls.models.manifest import read_manifest

    document = msgspec.json.encode(read_manifest(find_bundle(model)))
    print(msgspec.json.format(document, indent=2).decode())


@app.command("import")
def import_(
    checkpoint: Annotated[Path, typer.Argument(help="A .pth or .pyth file of weights.")],
    architecture: Annotated[str, typer.Option("--model", help="The network it belongs to.")],
    labels: Annotated[Path, typer.Option(help="JSON list of names, or name -> index.")],
    out: Annotated[Path, typer.Option(help="The .safetensors file to write.")],
    multi_label: Annotated[
        bool,
        typer.Option(
            "--multi-label",
            help="Its labels do not exclude each other: sigmoid scores, not softmax.",
        ),
    ] = False,
) -> None:
    """Convert a PyTorch checkpoint into a model file, once."""
    from streamcls.models.importing import import_checkpoint
    from streamcls.models.manifest import Activation

    manifest = import_checkpoint(
        checkpoint,
        architecture=architecture,
        labels=labels,
        out=out,
        activation=Activation.SIGMOID if multi_label else Activation.SOFTMAX,
    )
    Console().print(f"wrote {out}: {manifest.architecture}, {len(manifest.labels)} labels")


@app.command("pull")
def pull_(
    name: Annotated[str, typer.Argument(help="A network of `streamcls models list`.")],
    out: Annotated[
        Path | None, typer.Option(help="The .safetensors file to write; default: NAME.safetensors.")
    ] = None,
    mirror: Annotated[
        str | None,
        typer.Option("--from", help="Folder URL with the same files, instead of the official one."),
    ] = None,
    sha256: Annotated[
        str | None, typer.Option(help="Refuse a checkpoint with another checksum.")
    ] = None,
) -> None:
    """Fetch official Kinetics-400 weights and labels, and convert them into a model file.

    Cut short, the same command goes on where it stopped. A proxy is taken from https_proxy.
    """
    from streamcls.models.download import Progress as Report
    from streamcls.models.pulling import pull

    target = out or Path(f"{name}.safetensors")
    with _progress_bars() as bars:

        def progress(file: str) -> Report:
            bar = bars.add_task(file, total=None)
            return lambda have, total: bars.update(bar, completed=have, total=total)

        pulled = pull(name, target, mirror=mirror, sha256=sha256, progress=progress)
    Console().print(
        f"wrote {target}: {name}, {len(pulled.manifest.labels)} labels\n"
        f"its checkpoint's SHA-256: {pulled.checkpoint.sha256}"
        f" ({_CHECKED[pulled.checkpoint.checked]})",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _progress_bars() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def _networks_table(networks: "Mapping[str, Architecture]") -> Table:
    table = Table(
        title="networks, for --model",
        title_justify="left",
        caption_justify="left",
        box=SIMPLE,
        padding=(0, 1, 0, 0),
    )
    for column in ("name", "parameters", "GFLOPs", "top-1", "clip"):
        table.add_column(column, no_wrap=True)
    table.add_column("what it is", overflow="fold")
    for name, entry in networks.items():
        spec = entry.clip_spec
        table.add_row(
            name,
            _figure(entry.parameters and entry.parameters / 1e6, ".2f", " M"),
            _figure(entry.gflops, ".2f"),
            _figure(entry.kinetics400_top1, ".2f", " %"),
            f"{spec.num_frames} x {spec.crop} px / {float(spec.frame_interval_s):.2g} s",
            escape(entry.description),
        )
    table.caption = "GFLOPs: multiply-adds of a clip; top-1: official weights on Kinetics-400"
    return table


def _bundles_table(bundles: "Mapping[str, Manifest]") -> Table:
    table = Table(
        title=r"model files, for \[model] path",
        title_justify="left",
        box=SIMPLE,
        padding=(0, 1, 0, 0),
    )
    for column in ("name", "architecture", "labels"):
        table.add_column(column)
    for name, manifest in bundles.items():
        table.add_row(name, manifest.architecture, escape(", ".join(manifest.labels)))
    return table


def _figure(value: float | None, form: str, unit: str = "") -> str:
    return "-" if value is None else f"{value:{form}}{unit}"
