"""The figures as a picture: age and CPU by number of cameras."""

import math
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from streamcls.bench.verdict import Found

_INK = "#7a7f87"  # readable on white and on black
_PARTS = {
    "decode": "#3b82f6",
    "convert": "#93c5fd",
    "model": "#f97316",
    "publish": "#a855f7",
    "rest": "#9aa0a8",
}


def draw(found: Found, path: Path) -> None:
    """Write the picture as SVG."""
    mpl.rcParams["svg.fonttype"] = "none"
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    ages, cores = figure.subplots(1, 2)
    cameras = [level.cameras for level in found.in_order]
    for name in ("p50", "p99"):
        values = [getattr(level, f"age_{name}_ms") for level in found.in_order]
        shown = [value if math.isfinite(value) else math.nan for value in values]
        ages.plot(cameras, shown, "o-", markersize=4, linewidth=1.2, label=name)
    ages.axhline(found.max_age_ms, color=_INK, linewidth=1, linestyle=":")
    ages.set_yscale("log")
    ages.set_ylabel("age of labels, ms")
    bottom = [0.0] * len(cameras)
    for name, colour in _PARTS.items():
        values = [getattr(level.cpu, name) for level in found.in_order]
        cores.bar(range(len(cameras)), values, bottom=bottom, color=colour, label=name, width=0.7)
        bottom = [below + value for below, value in zip(bottom, values, strict=True)]
    cores.axhline(found.cores, color=_INK, linewidth=1, linestyle=":")
    cores.set_xticks(range(len(cameras)), [str(number) for number in cameras])
    cores.set_ylabel("cores busy")
    if found.capacity:
        ages.axvline(found.capacity, color=_INK, linewidth=1, linestyle=":")
    ages.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (ages, cores):
        _quiet(axes)
    figure.suptitle(
        f"{found.source} of {found.size}, {found.model} every {found.stride_s:g} s", color=_INK
    )
    figure.savefig(path, format="svg", transparent=True)


def _quiet(axes: Any) -> None:
    axes.set_xlabel("cameras", color=_INK)
    axes.yaxis.label.set_color(_INK)
    axes.tick_params(colors=_INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_INK)
    axes.legend(frameon=False, labelcolor=_INK, fontsize=8)
