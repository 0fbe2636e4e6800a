"""Writes FAULTS.md beside this file from the rows of the matrix: `python -m tests.faults.table`."""

from pathlib import Path

from tests.faults.rows import ANSWERS, BREAKS, FILES, LIES, OPEN_S, READ_S, STALLS, Row

PATH = Path(__file__).with_name("FAULTS.md")

_HEAD = f"""# What goes wrong, and what is said of it

Made from the rows of the fault matrix (`rows.py`) by `python -m tests.faults.table`. Each row is a
test: all of them run in one daemon at once, beside a camera and a file that are well and that must
not lose a window, change their state or be connected anew (`test_matrix.py`).

*Said* are the states that a subscriber, the log and `/metrics` see, with the reason of the failure.
After a failure a camera is tried again. *Counted* are metrics that grow, without their prefix
`streamcls_`. *Seen within* is the limit with the matrix's `open_timeout_s = {OPEN_S:g}` and
`read_timeout_s = {READ_S:g}` (5 by default), from the connection on; a camera that fails in
mid-stream plays for 3 s before.
"""
_PARTS = {
    "Stalls": STALLS,
    "Connections that break": BREAKS,
    "Answers that are none": ANSWERS,
    "Streams that lie": LIES,
    "Files": FILES,
}
_COLUMNS = ["fault", "said", "classified on", "counted", "seen within"]


def document() -> str:
    """The whole file."""
    text = _HEAD
    for title, rows in _PARTS.items():
        text += f"\n## {title}\n\n" + _line(_COLUMNS) + _line(["---"] * len(_COLUMNS))
        text += "".join(_line(_cells(row)) for row in rows)
    return text


def _cells(row: Row) -> list[str]:
    said = ", ".join(f"`{state}`" for state in row.states)
    if row.reason:
        said += f": `{row.reason}`"
    if row.clock_offset_s is not None:
        said += f"; `clock_offset_s` {row.clock_offset_s:g}"
    windows = "yes" if row.windows else "no"
    if row.windows and row.epochs > 1:
        windows = "yes, in a new stream epoch"
    counted = ", ".join(f"`{_metric(name)}`" for name in row.counted)
    return [row.name, said, windows, counted, f"{row.limit_s:g} s" if row.limit_s else ""]


def _metric(name: str) -> str:
    metric, _, reason = name.partition(" ")
    return f'{metric}_total{{reason="{reason}"}}' if reason else f"{metric}_total"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    PATH.write_text(document())
