"""What a benchmark says: a table for people, JSON for programs, and whether the bars hold."""

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from streamcls.bench import machine

Result = TypeVar("Result")

Out = Annotated[Path | None, typer.Option(help="Folder to write the JSON into.")]
Rounds = Annotated[int, typer.Option(min=1, help="Times that every way is measured, in turn.")]


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure, and the limit that it is to keep."""

    what: str
    value: float
    limit: float
    at_least: bool = True

    @property
    def held(self) -> bool:
        """Whether the limit is kept."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        verdict = "held" if self.held else "MISSED"
        return f"{self.what:<58}{self.value:8.2f} {sign} {self.limit:<7.2f}{verdict}"


def interleaved(ways: Mapping[str, Callable[[], Result]], rounds: int) -> dict[str, list[Result]]:
    """Every way's results, a round after another; each second round backwards.

    A machine that grows slower or faster meanwhile so favours none of them.
    """
    found: dict[str, list[Result]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in list(ways)[:: -1 if number % 2 else 1]:
            found[name].append(ways[name]())
    return found


def ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """The median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows by their keys as columns; floats with three digits that count."""
    heads = list(dict.fromkeys(key for row in rows for key in row))
    cells = [heads, *([_cell(row.get(head, "")) for head in heads] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    )


def finish(
    name: str,
    out: Path | None,
    *,
    settings: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    bars: Sequence[Bar],
    details: Mapping[str, Any] | None = None,
) -> None:
    """Print all there is to say and write `NAME.json`; end with 1 where a bar is missed."""
    described = machine.describe()
    result = {
        "benchmark": name,
        "machine": described,
        "settings": settings,
        "rows": rows,
        "bars": [{**asdict(bar), "held": bar.held} for bar in bars],
        **(details or {}),
    }
    text = json.dumps(result, default=str)
    print(f"\n{machine.in_words(described)}\n\n{table(rows)}\n", *bars, f"\n{text}", sep="\n")
    if out:
        out.mkdir(parents=True, exist_ok=True)
        (out / f"{name}.json").write_text(text + "\n")
    if not all(bar.held for bar in bars):
        raise SystemExit(1)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return str(value)
