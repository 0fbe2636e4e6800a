"""The plots of the report, as SVG to be put into the page."""

import io
from collections.abc import Mapping, Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from streamcls.finetune.calibration import Bin

_INK, _MUTED = "#7a7f87", "#9aa0a8"  # of lines and text: readable on white and on black
_FIRST, _SECOND = "#3b82f6", "#f97316"


def curves(history: Sequence[Mapping[str, float]], best: int) -> str:
    """Losses, accuracies and learning rate over the epochs, counted from 1; the kept one marked."""
    figure = Figure(figsize=(9, 2.9), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    _lines(left, history, {"train_loss": "training", "val_loss": "validation"}, "loss")
    named = {"val_accuracy": "clips", "val_video_accuracy": "videos"}
    _lines(middle, history, named, "right in validation")
    middle.set_ylim(-0.03, 1.03)
    _lines(right, history, {"lr": ""}, "learning rate")
    for axes in (left, middle, right):
        axes.axvline(best, color=_MUTED, linewidth=1, linestyle=":")
    return _svg(figure)


def confusion_matrix(labels: Sequence[str], matrix: Sequence[Sequence[int]]) -> str:
    """A heat map by rows' shares, with the counts in it."""
    size = 2.2 + 0.45 * len(labels)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    shares = [[count / max(1, sum(row)) for count in row] for row in matrix]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.3)
    for i, row in enumerate(matrix):
        for j, count in enumerate(row):
            colour = "white" if shares[i][j] > 0.6 else "#333333" if count else _MUTED
            axes.text(j, i, str(count), ha="center", va="center", color=colour, fontsize=8)
    names = [_plain(label) for label in labels]
    axes.set_xticks(range(len(labels)), names, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(labels)), names)
    axes.set_xlabel("said")
    axes.set_ylabel("shown")
    _quiet(axes)
    return _svg(figure)


def reliability_diagram(before: Sequence[Bin], after: Sequence[Bin]) -> str:
    """How often predictions of each confidence are right, before and after calibration."""
    figure = Figure(figsize=(4.2, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=_MUTED, linestyle=":", linewidth=1)
    for parts, colour, name in ((before, _SECOND, "before"), (after, _FIRST, "after")):
        xs, ys = [part.confidence for part in parts], [part.accuracy for part in parts]
        axes.plot(xs, ys, "o-", color=colour, label=name, markersize=4, linewidth=1.2)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("confidence")
    axes.set_ylabel("share right")
    _legend(axes)
    _quiet(axes)
    return _svg(figure)


def _lines(
    axes: Axes, history: Sequence[Mapping[str, float]], named: Mapping[str, str], title: str
) -> None:
    for (key, name), colour in zip(named.items(), (_SECOND, _FIRST), strict=False):
        rows = [row for row in history if key in row]
        xs, ys = [row["epoch"] + 1 for row in rows], [row[key] for row in rows]
        axes.plot(xs, ys, "o-", color=colour, label=name, markersize=3, linewidth=1.2)
    axes.set_title(title, color=_INK, fontsize=10)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if any(named.values()):
        _legend(axes)
    _quiet(axes)


def _legend(axes: Axes) -> None:
    axes.legend(frameon=False, labelcolor=_INK, fontsize=8)


def _quiet(axes: Axes) -> None:
    axes.tick_params(colors=_INK, labelsize=8)
    axes.xaxis.label.set_color(_INK)
    axes.yaxis.label.set_color(_INK)
    for spine in axes.spines.values():
        spine.set_color(_MUTED)


def _plain(label: str) -> str:
    """A label as it is: a dollar sign would begin a formula."""
    return label.replace("$", r"\$")


def _svg(figure: Figure) -> str:
    """The figure without XML declaration, its text as text, and the same for the same data."""
    figure.patch.set_alpha(0)
    for axes in figure.axes:
        axes.patch.set_alpha(0)
    target = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "streamcls"}):
        figure.savefig(target, format="svg", metadata={"Date": None})
    text = target.getvalue()
    return text[text.index("<svg") :]
