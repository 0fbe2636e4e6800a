"""Command line: train, evaluate, and write videos: to train on, and the demonstration.

python -m streamcls.finetune.camera_motion train --out camera_motion.safetensors
"""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import torch
import typer

from streamcls.errors import MissingExtra, StreamclsError
from streamcls.finetune.camera_motion import labels as c
from streamcls.finetune.camera_motion import photos
from streamcls.finetune.camera_motion.dataset import CLIP_SPEC, NET_OPTIONS
from streamcls.finetune.camera_motion.evaluate import evaluate as evaluate_network
from streamcls.finetune.camera_motion.films import write_films
from streamcls.finetune.camera_motion.sample import write_sample
from streamcls.models.bundle import DecisionDefaults, load_bundle, write_bundle

DECISIONS = DecisionDefaults(
    smoothing_s=0.6,
    on_threshold=0.6,
    off_threshold=0.4,
    min_duration_s=0.8,
    cooldown_s=1.0,
    background_label="still",
)
"""How the model's scores become events unless the operator says otherwise."""

app = typer.Typer(help=__doc__, add_completion=False, no_args_is_help=True)

Photos = Annotated[Path | None, typer.Option(help="Folder of unpacked packages; default: cache.")]
HeldOut = Annotated[Path, typer.Option(help="Folder of JPEG photographs never trained on.")]
ClipsPerLabel = Annotated[int, typer.Option(min=1, help="Held-out clips filmed for each label.")]


@app.command()
def train(
    out: Annotated[Path, typer.Option(help="The model file to write.")],
    clips: Annotated[int, typer.Option(min=64, help="Clips drawn for training.")] = 96_000,
    seed: Annotated[int, typer.Option(help="Of weights and clips.")] = 0,
    bf16: Annotated[bool, typer.Option(help="Compute in bfloat16 where that is safe.")] = True,
    workers: Annotated[int, typer.Option(min=0, help="Processes that draw clips.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the network.")] = 2,
    photo_cache: Photos = None,
) -> None:
    """Train from scratch and write a model file."""
    try:
        from streamcls.finetune.camera_motion import train as training  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise MissingExtra("Training", "finetune") from error
    torch.set_num_threads(threads)
    cache = photo_cache or photos.default_cache()
    photos.fetch(cache)
    assets = photos.load_assets(cache)
    started = time.monotonic()
    weights = out.with_suffix(".unfinished")
    network = training.train(
        assets, clips=clips, seed=seed, weights=weights, workers=workers, bf16=bf16
    )
    spent_s = time.monotonic() - started
    facts = {"clips": clips, "seed": seed, "bf16": bf16, "wall_s": round(spent_s)}
    publish(network, out, facts)
    weights.unlink(missing_ok=True)
    typer.echo(f"wrote {out} after {spent_s:.0f} s of training")


def publish(network: torch.nn.Module, out: Path, facts: Mapping[str, object]) -> None:
    """Write the model file of a trained network; `facts` say how it was trained."""
    write_bundle(
        out,
        network=network,
        name="camera-motion",
        architecture="motion_net",
        arguments=NET_OPTIONS,
        labels=c.LABELS,
        clip_spec=CLIP_SPEC,
        decisions=DECISIONS,
        provenance={
            "data": "synthetic camera motion over freely licensed photographs",
            "photographs": [f"{p.name} ({p.licence})" for p in (*photos.PACKAGES, photos.STAMPS)],
            "card": "camera_motion.md",
            **facts,
        },
    )


@app.command()
def films(
    out: Annotated[Path, typer.Option(help="The folder to write train/ and val/ into.")],
    per_label: Annotated[int, typer.Option(min=1, help="Training videos of each label.")] = 200,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 0,
    photo_cache: Photos = None,
) -> None:
    """Film labelled videos over the training photographs, for `streamcls finetune`."""
    cache = photo_cache or photos.default_cache()
    photos.fetch(cache)
    write_films(photos.load_assets(cache), out, per_label=per_label, seed=seed)
    typer.echo(f"wrote {out}: {per_label} videos of each label, and a fifth as many to validate on")


@app.command()
def evaluate(
    model: Annotated[str, typer.Option(help="Model file, or a bundled model's name.")],
    held_out: HeldOut,
    clips_per_label: ClipsPerLabel = 100,
    seed: Annotated[int, typer.Option(help="Of the clips.")] = 1,
    report: Annotated[Path | None, typer.Option(help="JSON file for the counts.")] = None,
) -> None:
    """Classify clips filmed over held-out photographs, encoded and decoded as real video."""
    loaded = load_bundle(model)
    result = evaluate_network(
        loaded.network,
        held_out,
        clips_per_label=clips_per_label,
        seed=seed,
        spec=loaded.clip_spec,
    )
    typer.echo(result.table())
    if report is not None:
        counts = {
            "labels": result.labels,
            "accuracy": result.accuracy,
            "confusion": result.confusion.tolist(),
        }
        report.write_text(json.dumps(counts, indent=1) + "\n")


@app.command()
def sample(
    photo: Annotated[Path, typer.Option(help="A photograph of at least 1280 pixels.")],
    out: Annotated[Path, typer.Option(help="The video to write; its truth goes beside it.")],
) -> None:
    """Write the demonstration video and, as .json beside it, what it shows when."""
    write_sample(photo, out)


def main() -> None:
    """Run a command; errors meant for people become one line and an exit code."""
    try:
        app()
    except StreamclsError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
