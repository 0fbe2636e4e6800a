"""The figures of one run as a picture: capacity, and how old news is for how many cameras.

    python -m tests.benchmarks.plot FOLDER

Reads what `capacity` and `cameras` wrote there with --out, and writes `fast.svg` beside it.
"""

import json
import math
from pathlib import Path
from typing import Annotated, Any

import typer

from streamcls.bench.ramp import MAX_AGE_MS
from streamcls.errors import MissingExtra

_WAYS = {"line": "tab:blue", "plain": "tab:gray", "lean": "tab:olive", "roboflow": "tab:purple"}


def draw(path: Path, capacity: dict[str, Any] | None, cameras: dict[str, Any] | None) -> None:
    """Write a plot of what there is, SVG or PNG by the path's ending.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise MissingExtra("the plot", "soak") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    found = [(_bars, capacity), (_ages, cameras)]
    drawn = [(panel, result) for panel, result in found if result]
    if not drawn:
        raise SystemExit(f"neither capacity.json nor cameras.json is in {path.parent}")
    figure, axes = pyplot.subplots(1, len(drawn), figsize=(5.5 * len(drawn), 4), squeeze=False)
    for axis, (panel, result) in zip(axes[0], drawn, strict=True):
        panel(axis, result)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False)
    machine = drawn[0][1]["machine"]
    figure.suptitle(f"{machine['cpu']}, {machine['cores']} cores")
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def _bars(axis: Any, result: dict[str, Any]) -> None:
    rows = result["rows"]
    ways = [way for way in _WAYS if any(f"{way} s/s" in row for row in rows)]
    width = 0.8 / len(ways)
    for place, way in enumerate(ways):
        at = [index + (place - (len(ways) - 1) / 2) * width for index in range(len(rows))]
        drawn = axis.bar(
            at,
            [row.get(f"{way} s/s", math.nan) for row in rows],
            width,
            label=way,
            color=_WAYS[way],
        )
        axis.bar_label(drawn, fmt="%.1f")
    axis.set_xticks(
        range(len(rows)), [f"{row['film']}\nstride {row['stride_s']:g} s" for row in rows]
    )
    axis.set_ylabel("seconds of video a second")


def _ages(axis: Any, result: dict[str, Any]) -> None:
    rows = result["rows"]
    cameras = [row["cameras"] for row in rows]
    for name in ("p50", "p99"):
        axis.plot(cameras, [row[f"age_{name}_ms"] for row in rows], marker="o", label=f"{name} age")
    axis.axhline(MAX_AGE_MS, color="0.8", zorder=0)
    axis.axvline(result["capacity"], color="0.8", zorder=0)
    axis.set_xticks(cameras)
    axis.set_yscale("log")
    axis.set_xlabel(f"cameras, {result['settings']['film']}")
    axis.set_ylabel("age of a window's last picture, ms")


def main(folder: Annotated[Path, typer.Argument(help="Where the JSON files are.")]) -> None:
    """Draw what is there."""
    read = {
        name: json.loads(path.read_text())
        for name in ("capacity", "cameras")
        if (path := folder / f"{name}.json").exists()
    }
    draw(folder / "fast.svg", read.get("capacity"), read.get("cameras"))
    print(folder / "fast.svg")


if __name__ == "__main__":
    typer.run(main)
