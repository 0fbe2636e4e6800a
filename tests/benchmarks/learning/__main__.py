"""Train twice on real footage, once seeing time and once not, and compare on held-out footage.

    python -m tests.benchmarks.learning --out FOLDER [--seeds 3]

Both arms are the same network, recipe, seed and cells; the baseline's files hold one frame each.
The epoch is chosen on `val`; the figures are of `test`, which nothing was chosen on. LEARNING.md
beside this file has what it came to.
"""

import random
import sys
import time
from pathlib import Path
from typing import Annotated

import torch
import typer

from streamcls.errors import ConfigError, StreamclsError
from streamcls.finetune.training.recipe import Recipe
from streamcls.finetuning import train
from tests.benchmarks.learning.cutting import LABELS, SPLITS, find_cells, write_split
from tests.benchmarks.learning.footage import Footage, default_cache, fetch, read_footage
from tests.benchmarks.learning.network import write_start
from tests.benchmarks.learning.scoring import Verdict, accuracy, confusion, judge

ARMS = {"clips": False, "stills": True}
"""Whether an arm is given stills instead of moving clips."""


def main(
    out: Annotated[Path, typer.Option(help="A new folder for the files and the models.")],
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each arm.")] = 1,
    epochs: Annotated[int, typer.Option(min=1)] = 8,
    lr: Annotated[float, typer.Option(help="Greatest learning rate.")] = 2e-3,
    train_cells: Annotated[int, typer.Option(min=1, help="Most cells to train on.")] = 300,
    val_cells: Annotated[int, typer.Option(min=1, help="Most cells to choose on.")] = 50,
    cache: Annotated[Path | None, typer.Option(help="Where the recording is kept.")] = None,
) -> None:
    """Fetch, cut, train, and print the table."""
    started = time.monotonic()
    # Two threads of such small layers wait for each other longer than they work on busy cores.
    torch.set_num_threads(1)
    most = {"train": train_cells, "val": val_cells}
    cut_data(read_footage(fetch(cache or default_cache())), out, most)
    runs: dict[str, list[list[Verdict]]] = {arm: [] for arm in ARMS}
    for seed in range(seeds):
        for arm in ARMS:
            recipe = Recipe(epochs=epochs, batch_size=32, lr=lr, flip={}, seed=seed, workers=1)
            runs[arm].append(run(out, arm, recipe))
            print(f"{arm}, seed {seed}: {row(runs[arm][-1:])}", flush=True)
    print_table(runs)
    print(f"\n{time.monotonic() - started:.0f} s in all")


def cut_data(footage: Footage, out: Path, most: dict[str, int]) -> None:
    """Write both arms' files under `out`, from the same cells.

    Raises:
        ConfigError: there is something at `out` already.
    """
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty; name a new folder")
    for name, split in SPLITS.items():
        cells = find_cells(footage, split)
        kept = random.Random(0).sample(cells, min(most.get(name, len(cells)), len(cells)))
        for arm, stills in ARMS.items():
            write_split(footage, kept, out / arm / name, stills=stills)
        instants = len({cell.instant for cell in kept})
        print(f"{name}: {len(kept)} cells at {instants} instants, {len(kept) * len(LABELS)} files")


def run(out: Path, arm: str, recipe: Recipe) -> list[Verdict]:
    """Finetune fresh weights on an arm's files under `out`, and judge its `test`."""
    start, target = (out / f"{name}_{recipe.seed}.safetensors" for name in ("start", arm))
    write_start(start, seed=recipe.seed)
    train(out / arm, model=str(start), out=target, recipe=recipe, progress=False)
    return judge(target, out / arm / "test")


def row(runs: list[list[Verdict]]) -> str:
    """Clip and video accuracy, each with its interval, in percent."""
    figures = [accuracy(runs, by_clip=by_clip) for by_clip in (True, False)]
    return "  ".join(
        f"{name} {100 * found.share:5.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"
        for name, found in zip(("clip", "video"), figures, strict=True)
    )


def print_table(runs: dict[str, list[list[Verdict]]]) -> None:
    """All seeds together, against chance; and who was taken for whom."""
    print(f"\naccuracy on test, percent [95 % interval]; chance {100 / len(LABELS):.1f}")
    for arm, verdicts in runs.items():
        print(f"  {arm:7} {row(verdicts)}")
    for arm, verdicts in runs.items():
        print(
            f"\n{arm}: true (row) and given (column)\n{'':14}" + "".join(f"{c:>14}" for c in LABELS)
        )
        for label, counts in zip(LABELS, confusion(verdicts, LABELS), strict=True):
            print(f"{label:14}" + "".join(f"{count:14}" for count in counts))


if __name__ == "__main__":
    try:
        typer.run(main)
    except StreamclsError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
