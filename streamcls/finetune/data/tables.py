"""Tables with a row for each video or stretch of one: CSV files, data frames, lists."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamcls.errors import DataError
from streamcls.finetune.data.records import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What a table's columns are called.

    Attributes:
        label: holds the labels' names, parted by `separator` where a row may have several; or
        one_hot: columns named as labels, which hold 1 where the label holds, else 0 or nothing.
        start_s, end_s, group: may be missing from the table.
        separator: None: a cell is one label, whatever is in it.
    """

    video: str = "video"
    label: str = "label"
    one_hot: tuple[str, ...] = ()
    start_s: str = "start_s"
    end_s: str = "end_s"
    group: str = "group"
    separator: str | None = None


def read_csv(path: Path, columns: Columns, root: Path | None = None) -> list[Record]:
    """The records of a CSV file with a header line; relative names count from its folder.

    Raises:
        DataError: the file cannot be read, a column is missing, or a row is wrong; names the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows, given = list(reader), list(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as CSV: {error}") from None
    _require(given, columns, str(path))
    # The header is line 1.
    return _records(rows, columns, root or path.parent, lambda n: f"{path}, row {n + 2}")


def from_data_frame(frame: Any, columns: Columns, root: Path | None = None) -> list[Record]:
    """The records of a pandas data frame, or of what has its `columns` and `to_dict`.

    Raises:
        DataError: a column is missing, or a row is wrong; names the row.
    """
    _require([str(name) for name in frame.columns], columns, "the data frame")
    rows = frame.to_dict("records")
    return _records(rows, columns, root or Path(), lambda n: f"row {n} of the data frame")


def from_lists(
    files: Sequence[str | Path],
    labels: Sequence[str | Sequence[str]],
    groups: Sequence[str] | None = None,
) -> list[Record]:
    """Files and, one for each, what they show.

    Raises:
        DataError: the lists are of different lengths.
    """
    for name, given in (("labels", labels), ("groups", groups)):
        if given is not None and len(given) != len(files):
            raise DataError(f"{len(files)} files but {len(given)} {name}; give one for each file")
    named = [(label,) if isinstance(label, str) else tuple(label) for label in labels]
    of_group = groups if groups is not None else [""] * len(files)
    return [
        Record(Path(file), label, group=group)
        for file, label, group in zip(files, named, of_group, strict=True)
    ]


def _require(given: Iterable[str], columns: Columns, where: str) -> None:
    given = list(given)
    wanted = [columns.video, *(columns.one_hot or (columns.label,))]
    if missing := [name for name in wanted if name not in given]:
        raise DataError(
            f"{where} has no column {missing[0]!r}; its columns: {', '.join(given) or 'none'}"
        )


def _records(
    rows: Iterable[Mapping[Any, Any]], columns: Columns, root: Path, where: Any
) -> list[Record]:
    records: list[Record] = []
    for number, row in enumerate(rows):
        try:
            records.append(_record(row, columns, root))
        except (ValueError, DataError) as error:
            raise DataError(f"{where(number)}: {error}") from None
    return records


def _record(row: Mapping[Any, Any], columns: Columns, root: Path) -> Record:
    video = _text(row[columns.video])
    if not video:
        raise ValueError("names no video")
    if columns.one_hot:
        labels = tuple(name for name in columns.one_hot if _number(row[name], name))
    else:
        cell = _text(row[columns.label])
        parts = cell.split(columns.separator) if columns.separator else [cell]
        labels = tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))
    return Record(
        root / video,
        labels,
        _number(row.get(columns.start_s), columns.start_s),
        _number(row.get(columns.end_s), columns.end_s),
        _text(row.get(columns.group)),
    )


def _text(cell: object) -> str:
    """A cell's text; data frames hold NaN where nothing is."""
    return "" if cell is None or (isinstance(cell, float) and math.isnan(cell)) else str(cell)


def _number(cell: object, column: str) -> float | None:
    text = _text(cell).strip()
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{column} is {text!r}, which is no number")
    return number
