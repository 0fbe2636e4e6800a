"""The board: what streams say now, what is open, what went wrong. A picture of so many lines."""

import re
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from itertools import islice

from rich.text import Text

from streamcls.client import Gap, Silence
from streamcls.clock import Clock
from streamcls.events import EventData, Message, PredictionData, StatusData, utc
from streamcls.terminal.blocks import Row, Widths, block_lines, row_line
from streamcls.terminal.layout import Layout, arrange
from streamcls.terminal.lines import (
    TROUBLE_STYLE,
    event_line,
    gap_line,
    status_line,
    transition_line,
    trouble_line,
)

SILENCE_S = 15.0  # three heartbeats of the default interval
_DIGITS = re.compile(r"(\d+)", re.ASCII)
_NEWS = 100  # lines; more than any screen shows


class Board:
    """Takes what a subscriber receives, gives a picture of it. Holds no socket."""

    def __init__(self, title: str, clock: Clock) -> None:
        self._title = title
        self._clock = clock
        self._rows: dict[str, Row] = {}
        self._news: deque[tuple[str, Text]] = deque(maxlen=_NEWS)  # event id or "", line
        self._gaps = 0
        self._problems: list[str] = []
        self._problems_of: datetime | None = None

    def take(self, item: Message | Gap | Silence) -> Text | None:
        """Note what came; returns the line that reports it where no board is drawn."""
        if isinstance(item, Silence):
            return trouble_line(str(item), self._now())
        if isinstance(item, Gap):
            return self._take_gap(item)
        row = self._rows.setdefault(item.subject, Row())
        data = item.data
        if isinstance(data, StatusData):
            row.take_status(data)
            if self._problems_of is None or item.time >= self._problems_of:
                self._problems, self._problems_of = data.problems, item.time
            return None if data.heartbeat else status_line(item.subject, data)
        if isinstance(data, PredictionData):
            row.take_prediction(data, item.time)
            return None
        self._take_event(item.subject, data)
        return transition_line(item.subject, data)

    def complain(self, text: str) -> Text:
        """Note trouble with the connection; returns its line."""
        line = trouble_line(text, self._now())
        self._news.appendleft(("", line))
        return line

    def render(self, width: int, height: int, silent_s: float = 0.0, trouble: str = "") -> Text:
        """The picture, at most so large.

        Args:
            silent_s: since any word of the daemon.
            trouble: why it does not let us in, or does not answer.
        """
        problems = [Text(text, TROUBLE_STYLE) for text in self._problems[: max(1, height // 6)]]
        head = [self._headline(silent_s, trouble), *problems]
        news_rows = max(1, height // 4 - 1)
        streams = self._stream_lines(width, max(1, height - len(head) - 1 - news_rows))
        rule = Text("── events and gaps, newest first ".ljust(width, "─"), style="dim")
        lines = [*head, *streams, rule]
        news = [line.copy() for _, line in islice(self._news, max(0, height - len(lines)))]
        lines += news or [Text("none yet", style="dim")]
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        return Text("\n", no_wrap=True, end="").join(lines[:height])

    def _take_gap(self, gap: Gap) -> Text:
        self._gaps += 1
        if gap.kind == "event" and gap.stream in self._rows:
            # Their ends may be among what was missed; who is still open will say so again.
            self._rows[gap.stream].open.clear()
        line = gap_line(gap, self._now())
        self._news.appendleft(("", line))
        return line

    def _take_event(self, stream: str, event: EventData) -> None:
        row = self._rows[stream]
        if event.transition == "end":
            row.open.pop(event.event_id, None)
        else:
            row.open[event.event_id] = event
        line = event_line(stream, event)
        for place, (event_id, _) in enumerate(self._news):
            if event_id == event.event_id:
                if event.transition == "update":
                    self._news[place] = (event_id, line)
                    return
                del self._news[place]
                break
        self._news.appendleft((event.event_id, line))

    def _headline(self, silent_s: float, trouble: str) -> Text:
        line = Text(self._title, style="bold", end="")
        line.append(": ")
        if trouble:
            line.append(trouble, style=TROUBLE_STYLE)
        elif silent_s > SILENCE_S:
            line.append(f"no word from the daemon for {silent_s:.0f} s", style=TROUBLE_STYLE)
        elif not self._rows:
            line.append("waiting for the daemon", style="not bold dim")
        else:
            line.append(_count(len(self._rows), "stream"), style="not bold")
        opened = sum(len(row.open) for row in self._rows.values())
        if opened:
            line.append(f", {_count(opened, 'event')} open", style="yellow")
        troubled = sum(row.is_troubled for row in self._rows.values())
        if troubled:
            line.append(f", {_count(troubled, 'stream')} down", style=TROUBLE_STYLE)
        if self._gaps:
            line.append(f", {_count(self._gaps, 'gap')}", style=TROUBLE_STYLE)
        return line

    def _stream_lines(self, width: int, height: int) -> list[Text]:
        rows = sorted(self._rows.items(), key=lambda item: _natural(item[0]))
        if not rows:
            return []
        bars = max(max(row.scores.most, len(row.open)) for _, row in rows)
        layout = arrange(len(rows), bars=bars, width=width, height=height)
        hidden: list[Row] = []
        if layout.streams < len(rows):
            rows.sort(key=lambda item: item[1].rank)
            hidden = [row for _, row in rows[layout.streams :]]
            rows = rows[: layout.streams]
        lines = self._columns(rows, layout, width)
        if hidden:
            lines.append(_rest(hidden))
        return lines

    def _columns(self, rows: list[tuple[str, Row]], layout: Layout, width: int) -> list[Text]:
        now = self._now()
        widths = Widths.of(self._rows, width // layout.columns)
        blocks: list[list[Text]]
        if layout.bars:
            blocks = [block_lines(name, row, now, widths, layout.bars) for name, row in rows]
        else:
            blocks = [[row_line(name, row, now, widths)] for name, row in rows]
        if layout.spaced:
            for block in blocks[:-1]:
                block.append(Text())
        per_column = max(1, -(-len(blocks) // layout.columns))
        columns = [
            [line for block in blocks[first : first + per_column] for line in block]
            for first in range(0, len(blocks), per_column)
        ]
        return _beside(columns, width // layout.columns)

    def _now(self) -> datetime:
        return utc(self._clock.utc_s())


def _beside(columns: Sequence[list[Text]], width: int) -> list[Text]:
    """Columns of lines as lines of the whole width."""
    lines = []
    for place in range(max(map(len, columns), default=0)):
        line = Text()
        for column in columns:
            part = column[place] if place < len(column) else Text()
            part.truncate(width - 1, overflow="ellipsis", pad=True)
            line.append_text(part).append(" ")
        line.rstrip()
        lines.append(line)
    return lines


def _rest(hidden: list[Row]) -> Text:
    """What the streams without room are about."""
    opened = sum(bool(row.open) for row in hidden)
    troubled = sum(row.is_troubled for row in hidden)
    line = Text(f"and {_count(len(hidden), 'more stream')}", style="dim")
    if opened or troubled:
        return line.append(f": {opened} with open events, {troubled} down", style=TROUBLE_STYLE)
    return line.append(": nothing open, none down")


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts `cam2` before `cam10`."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in _DIGITS.split(name)]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
