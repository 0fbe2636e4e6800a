"""One stream on the board: a block with a bar per label, or a single line."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from streamcls.events import EventData, PredictionData, StatusData
from streamcls.terminal.lines import LABEL_STYLE, state_style
from streamcls.terminal.scores import Bar, Scores
from streamcls.terminal.times import clock, span

_FLOWING = ("up", "warming_up")
_TROUBLE = ("stale", "backoff", "failed")
_OLD_S = 3.0
_NOTE_WIDTH = len("since 12:03:04 (23 h 59 min), peak 0.93, mean 0.80")
_SHORT_NOTE_WIDTH = len("since 12:03:04 (23 h 59 min)")
_STATE_WIDTH = len("up 23 h 59 min +1")


@dataclass(slots=True)
class Row:
    """The latest that was heard of one stream."""

    status: StatusData | None = None
    down_since: datetime | None = None
    """Since when no picture came, however often it tried meanwhile."""
    is_troubled: bool = False
    """Whether somebody should look after the source."""
    scores: Scores = field(default_factory=Scores)
    latency_ms: float = 0.0
    predicted: datetime | None = None
    open: dict[str, EventData] = field(default_factory=dict)
    """The newest word of each open event, by its id."""

    def take_status(self, status: StatusData) -> None:
        """Note a state; an outage begins with the first that has no pictures."""
        self.status = status
        if status.state in _FLOWING:
            self.down_since = None
        else:
            self.down_since = self.down_since or status.since
            self.predicted = None  # what a stream said before is not what it says now
        if status.state != "connecting":  # which ends no outage, and begins none
            self.is_troubled = status.state in _TROUBLE

    def take_prediction(self, prediction: PredictionData, time: datetime) -> None:
        """Note a classified window, published at `time`."""
        self.scores.take(prediction.top, prediction.end_time)
        self.latency_ms = prediction.latency.total_ms
        self.predicted = time

    @property
    def rank(self) -> int:
        """Small for what must be seen first: open events, then trouble."""
        return 0 if self.open else 1 if self.is_troubled else 2

    def bars(self, count: int) -> list[Bar]:
        """What is shown of its labels: nothing but open events where nothing is classified."""
        scores = self.scores if self.predicted else Scores()
        return scores.shown(count, {event.label: event.index for event in self.open.values()})


@dataclass(frozen=True, slots=True)
class Widths:
    """Cells for each part of a line; the same for all streams, so that they stand in columns."""

    whole: int
    name: int
    label: int

    @classmethod
    def of(cls, rows: Mapping[str, Row], width: int) -> "Widths":
        """What the longest names need, but no more than their share of the width."""
        names = [cell_len(name) for name in rows]
        labels = [cell_len(label) for row in rows.values() for label in row.scores.labels]
        labels += [cell_len(event.label) for row in rows.values() for event in row.open.values()]
        return cls(
            whole=width,
            name=min(max(names, default=0), width // 4),
            label=min(max(labels, default=0), width // 4),
        )

    def bar(self, taken: int) -> int:
        """What is left for a bar beside the label, the score and `taken` other cells."""
        return min(40, max(4, self.whole - 1 - taken - self.label - len("  1.00  ")))


def block_lines(name: str, row: Row, now: datetime, widths: Widths, bars: int) -> list[Text]:
    """A headline and `bars` lines of labels, empty ones too, so that nothing below moves."""
    head = Text.assemble((name, "bold"), "  ", _state(row, now))
    if row.status and row.status.reason:
        head.append(f" ({row.status.reason})", style="dim")
    if row.is_troubled and row.status and row.status.attempt:
        head.append(f", attempt {row.status.attempt}", style="dim")
    if row.predicted:
        head.append(f", latency {row.latency_ms:.0f} ms", style="dim")
        age_s = int((now - row.predicted).total_seconds())
        if age_s >= _OLD_S:
            head.append(f", scores {span(age_s)} old", style="dim")
    shown = row.bars(bars)
    unseen = len({event.label for event in row.open.values()}) - len(shown)
    if unseen > 0:
        head.append(f", {unseen} more open", style=LABEL_STYLE)
    lines = [
        Text("  ").append_text(_bar(bar, row, widths, now, before=2, note=_NOTE_WIDTH))
        for bar in shown
    ]
    if not lines and row.status and row.status.detail:
        lines.append(Text(f"  {row.status.detail}", style="dim"))
    return [head, *lines, *(Text() for _ in range(bars - len(lines)))]


def row_line(name: str, row: Row, now: datetime, widths: Widths) -> Text:
    """A stream in one line: its state, and its open event or else its best label."""
    line = Text.assemble((set_cell_size(name, widths.name), "bold"), " ")
    state = _state(row, now)
    shown = row.bars(1)
    if not shown:
        line.append_text(state)
        if row.status and (why := row.status.detail or row.status.reason):
            line.append(f" ({why})", style="dim")
        return line
    if len(row.open) > 1:
        state.append(f" +{len(row.open) - 1}", style=LABEL_STYLE)
    state.truncate(_STATE_WIDTH, overflow="ellipsis", pad=True)
    line.append_text(state).append(" ")
    return line.append_text(
        _bar(shown[0], row, widths, now, before=line.cell_len, note=_SHORT_NOTE_WIDTH)
    )


def _state(row: Row, now: datetime) -> Text:
    """The state, and for how long: an outage's whole length, not that of its last attempt."""
    if row.status is None:
        return Text("?", style="dim")
    state, since = row.status.state, row.status.since
    if row.is_troubled and row.down_since:
        outage = span(int((now - row.down_since).total_seconds()))
        return Text(f"{state} down {outage}", style="red")
    return Text(state, style=state_style(state)).append(
        f" {span(int((now - since).total_seconds()))}", style="dim"
    )


def _bar(bar: Bar, row: Row, widths: Widths, now: datetime, *, before: int, note: int) -> Text:
    """A label, its bar, its score, and since when it is open; `before` cells are taken."""
    opened = next((event for event in row.open.values() if event.label == bar.label), None)
    length = widths.bar(before + note)
    filled = round((bar.score or 0.0) * length)
    text = Text.assemble(
        (set_cell_size(bar.label, widths.label), LABEL_STYLE if opened else ""),
        " ",
        ("━" * filled, "yellow" if opened else "green"),
        ("─" * (length - filled), "bright_black"),
        (" -   " if bar.score is None else f" {bar.score:.2f}", "" if bar.score else "dim"),
    )
    if opened:
        room = widths.whole - 1 - before - text.cell_len
        text.append_text(_note(opened, now, room))
    return text


def _note(event: EventData, now: datetime, room: int) -> Text:
    """Since when and how surely an event is open; as much of it as there is room for."""
    lasted = span(int((now - event.start_time).total_seconds()))
    note = Text(f"  since {clock(event.start_time)} ({lasted})", style=LABEL_STYLE)
    for part in (f", peak {event.peak_score:.2f}", f", mean {event.mean_score:.2f}"):
        if note.cell_len + len(part) <= room:
            note.append(part, style="dim")
    return note
