"""What is shown and written: a table, a plot in letters, JSON."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from streamcls.bench.ramp import Level
from streamcls.bench.verdict import Found, sentences, warnings

_WIDE = 40
_AGES = """ age: of a window's last picture when its labels came, late decoding included
 latency: from its arrival to publication
"""
_CORES = """ decode, convert: capture threads' time, parted as both cost alone
 model: the network's threads; rest: the daemon's others; MB: its own memory
 others: what else ran on these cores, and what was stolen by the host's guests
"""
_NOT_MEASURED = (
    "The cameras were one file on this machine, many times: what a network takes is not in it."
)


def line_of(level: Level) -> str:
    """A level in a line, for the moment that it is measured."""
    verdict = "held" if level.held else "not held"
    lost = f", {_by_reason(level)}" if level.dropped else ""
    return (
        f"{level.cameras:4} camera{'s' * (level.cameras != 1):1}  p50 {_ms(level.age_p50_ms):>6}"
        f"  p99 {_ms(level.age_p99_ms):>6} ms  {level.served}/{level.due} windows"
        f"  {level.cpu.total:.2f} cores  {verdict}{lost}"
    )


def tables_of(found: Found) -> list[Table | Text]:
    """How late labels were, and what that took; no wider than a terminal of 80 columns.

    Each table is followed by what its heads mean.
    """
    backend = f" on {found.backend}" if found.backend else ""
    ages = _table(
        f"{found.source} of {found.size}: {found.model}{backend} every {found.stride_s:g} s",
        ("age p50", "p99 ms", "latency p50", "p99 ms", "windows", "stride"),
    )
    cores = _table(
        "cores busy",
        ("decode", "convert", "model", "rest", "others", "MB"),
    )
    for level in found.in_order:
        first = (str(level.cameras), "held" if level.held else "lost")
        style = "" if level.held else "dim"
        ages.add_row(
            *first,
            *(_ms(level.age_p50_ms), _ms(level.age_p99_ms)),
            *(_ms(level.latency_p50_ms), _ms(level.latency_p99_ms)),
            f"{level.served}/{level.due}",
            f"{level.stride_s:g} s",
            style=style,
        )
        cpu, others = level.cpu, level.around.others + level.around.stolen
        rest = cpu.publish + cpu.rest
        parts = (cpu.decode, cpu.convert, cpu.model, rest, others)
        cores.add_row(
            *first, *(f"{part:.2f}" for part in parts), f"{level.uss_mb:.0f}", style=style
        )
    return [ages, Text(_AGES, style="dim"), cores, Text(_CORES, style="dim")]


def _table(title: str, heads: Sequence[str]) -> Table:
    table = Table(
        title=escape(title),
        title_justify="left",
        box=SIMPLE,
        padding=(0, 1, 0, 0),
    )
    for head in ("cameras", "", *heads):
        table.add_column(head, justify="right" if head else "left", no_wrap=True)
    return table


def plot_of(found: Found) -> str:
    """The p99 age of each number of cameras as a bar, on a logarithmic scale; `|` is the limit."""
    if not found.levels:
        return ""
    ages = [min(level.age_p99_ms, 100_000.0) for level in found.in_order]
    top = max(math.log10(max(10.0, age)) for age in [*ages, found.max_age_ms * 2])

    def place(age_ms: float) -> int:
        return max(1, round(_WIDE * math.log10(max(10.0, age_ms)) / top))

    limit = place(found.max_age_ms)
    lines = [f"p99 age, ms, and the limit of {found.max_age_ms:g}"]
    for level, age in zip(found.in_order, ages, strict=True):
        bar = ("█" * place(age)).ljust(limit)
        marked = bar if len(bar) > limit else bar[: limit - 1] + "|"
        lines.append(f"{level.cameras:4} {marked.ljust(_WIDE)} {_ms(level.age_p99_ms)}")
    return "\n".join(lines)


def words_of(found: Found) -> list[str]:
    """What the figures say, and what they do not."""
    said = sentences(found)
    if found.mb_a_stream is not None:
        said.append(f"Each stream takes {max(0.0, found.mb_a_stream):.0f} MB of memory.")
    return [*said, *(f"Note: {warning}." for warning in warnings(found)), _NOT_MEASURED]


def document(found: Found, machine: dict[str, Any]) -> str:
    """Everything as JSON; what is infinite is null."""
    content = {
        "benchmark": "knee",
        "machine": machine,
        "settings": {
            "source": found.source,
            "size": str(found.size),
            "fps": found.fps,
            "model": found.model,
            "backend": found.backend,
            "stride_s": found.stride_s,
            "max_age_ms": found.max_age_ms,
            "limit": found.limit,
        },
        "capacity": found.capacity,
        "sentences": sentences(found),
        "warnings": warnings(found),
        "mb_a_stream": found.mb_a_stream,
        "costs_ms": asdict(found.costs) if found.costs else None,
        "substream_costs_ms": asdict(found.substream) if found.substream else None,
        "before": asdict(found.before),
        "levels": [asdict(level) for level in found.in_order],
    }
    return json.dumps(_finite(content), indent=1)


def write_files(found: Found, text: str, folder: Path) -> list[Path]:
    """Write the document, and a plot: a picture where matplotlib is installed, else letters."""
    written = folder / "knee.json", folder / "knee.svg"
    written[0].write_text(text + "\n")
    try:
        from streamcls.bench.plot import draw  # noqa: PLC0415 (of an extra)
    except ImportError:
        letters = folder / "knee.txt"
        letters.write_text(plot_of(found) + "\n")
        return [written[0], letters]
    draw(found, written[1])
    return list(written)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list) else value


def _by_reason(level: Level) -> str:
    return "dropped: " + ", ".join(f"{count} {why}" for why, count in level.dropped.items())


def _ms(value: float) -> str:
    return f"{value:.0f}" if math.isfinite(value) else "none"
