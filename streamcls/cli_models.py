"""`streamcls models`: the networks and model files there are, and converting a checkpoint."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

app = typer.Typer(help="Networks and model files.", no_args_is_help=True)


@app.command("list")
def list_models() -> None:
    """The networks that can be finetuned, and the model files that come with streamcls."""
    from streamcls.models.bundle import bundled_models
    from streamcls.models.manifest import read_manifest
    from streamcls.models.zoo import ZOO

    console = Console()
    networks = Table(title="networks, for --model", title_justify="left")
    for column in ("name", "parameters", "clip", "what it is"):
        networks.add_column(column)
    for name, entry in ZOO.items():
        spec = entry.clip_spec
        clip = f"{spec.num_frames} x {spec.crop} px, every {float(spec.frame_interval_s):.3g} s"
        networks.add_row(name, f"{entry.parameters / 1e6:.2f} M", clip, entry.description)
    bundles = Table(title=r"model files, for \[model] path", title_justify="left")
    for column in ("name", "architecture", "labels"):
        bundles.add_column(column)
    for name, path in bundled_models().items():
        manifest = read_manifest(path)
        bundles.add_row(name, manifest.architecture, escape(", ".join(manifest.labels)))
    console.print(networks, bundles)


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
