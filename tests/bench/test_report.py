"""What is shown and written of a run."""

import io
import json
import math
import sys
from pathlib import Path

import pytest
from rich.console import Console

from streamcls.bench.report import document, line_of, plot_of, tables_of, words_of, write_files
from tests.bench.made import found, level

SILENT = {"age_p50_ms": math.inf, "age_p99_ms": math.inf, "served": 0}
RUN = found(level(4), level(8), level(16, held=False), level(12, held=False, **SILENT), capacity=8)


@pytest.mark.parametrize("number", [0, 2])
def test_a_table_has_a_line_for_each_number_in_order_and_fits_a_terminal(number: int) -> None:
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(tables_of(RUN)[number])
    lines = console.export_text().splitlines()
    rows = [line.split() for line in lines if line.strip()[:1].isdigit()]
    assert [row[:2] for row in rows] == [
        ["4", "held"],
        ["8", "held"],
        ["12", "lost"],
        ["16", "lost"],
    ]
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)


def test_what_never_came_has_no_age() -> None:
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(tables_of(RUN)[0])
    (row,) = [line.split() for line in console.export_text().splitlines() if " 12 " in line]
    assert row[2:4] == ["none", "none"]


def test_bars_pass_the_limit_where_labels_are_too_old() -> None:
    _, *bars = plot_of(RUN).splitlines()
    assert [bar.split()[0] for bar in bars] == ["4", "8", "12", "16"]
    assert ["|" in bar for bar in bars] == [True, True, False, False]
    assert plot_of(found(capacity=None)) == ""


def test_the_document_is_json_for_any_reader_and_holds_every_level() -> None:
    read = json.loads(document(RUN, {"cpu": "x"}), parse_constant=refuse)
    assert read["capacity"] == 8
    assert [one["cameras"] for one in read["levels"]] == [4, 8, 12, 16]
    assert read["levels"][2]["age_p99_ms"] is None
    assert read["levels"][0]["cpu"]["model"] == 0.2
    assert read["sentences"][0].startswith("This box serves 8 cameras")
    assert read["machine"] == {"cpu": "x"}


def refuse(text: str) -> None:
    raise AssertionError(f"{text} is not JSON")


def test_a_line_names_what_was_dropped_and_why() -> None:
    assert "135/135 windows" in line_of(level(9))
    assert line_of(level(9, held=False)).endswith("not held, dropped: 54 behind")


def test_the_words_end_with_what_was_not_measured() -> None:
    *_, memory, last = words_of(RUN)
    assert memory == "Each stream takes 20 MB of memory."
    assert "network" in last


def test_the_plot_is_a_picture_or_letters_where_matplotlib_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = write_files(RUN, "{}", tmp_path)
    assert [path.name for path in written] == ["knee.json", "knee.svg"]
    assert "cores busy" in written[1].read_text()
    monkeypatch.delitem(sys.modules, "streamcls.bench.plot")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    written = write_files(RUN, "{}", tmp_path)
    assert [path.name for path in written] == ["knee.json", "knee.txt"]
    assert written[1].read_text() == plot_of(RUN) + "\n"
