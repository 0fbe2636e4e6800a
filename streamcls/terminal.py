"""What `watch` and `demo` show: a live board on a terminal, plain lines in a pipe."""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from streamcls.client import Subscriber
from streamcls.events import EventData, Message, PredictionData, StatusData

_RECENT_EVENTS = 12
_SILENCE_S = 15.0  # three heartbeats of the default interval
_STATE_STYLES = {"up": "green", "warming_up": "cyan", "connecting": "cyan", "stopped": "dim"}
_FLOWING = ("up", "warming_up", "?")
_LABEL_STYLE = "bold yellow"


@dataclass(slots=True)
class _Row:
    """The latest that was heard of one stream."""

    status: StatusData | None = None
    prediction: PredictionData | None = None
    open_event: EventData | None = None


class Board:
    """Takes messages, gives a picture of them. Holds no socket and no clock."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._rows: dict[str, _Row] = {}
        self._events: deque[Text] = deque(maxlen=_RECENT_EVENTS)

    def take(self, message: Message) -> Text | None:
        """Note a message; returns the line that reports it where no board is drawn."""
        row = self._rows.setdefault(message.subject, _Row())
        data = message.data
        if isinstance(data, StatusData):
            row.status = data
            return None if data.heartbeat else status_line(message.subject, data)
        if isinstance(data, PredictionData):
            row.prediction = data
            return None
        row.open_event = None if data.transition == "end" else data
        line = event_line(message.subject, data)
        if data.transition != "update":
            self._events.appendleft(line)
        return line

    def render(self, silent_s: float = 0.0) -> RenderableType:
        """The board as it stands, after so many seconds without any message."""
        streams = Table(expand=True, box=None, header_style="dim", padding=(0, 1))
        for name in ("stream", "state", "label now", "score", "", "open event", "latency"):
            streams.add_column(name, no_wrap=True)
        for stream, row in sorted(self._rows.items()):
            streams.add_row(stream, *_cells(row))
        recent = Group(*self._events) if self._events else Text("none yet", style="dim")
        title = Text(self._title)
        if silent_s > _SILENCE_S:
            title.append(f": no word from the daemon for {silent_s:.0f} s", style="bold red")
        elif not self._rows:
            title.append(": waiting for the daemon", style="dim")
        return Group(
            Panel(streams, title=title, title_align="left", border_style="dim"),
            Panel(recent, title="events, newest first", title_align="left", border_style="dim"),
        )


def follow(
    messages: Subscriber, board: Board, console: Console, patience_s: float | None = None
) -> Iterator[Message]:
    """Show messages as they come and hand them on: a board on a terminal, lines elsewhere.

    Ends when the caller stops asking, or after `patience_s` without a message.
    """
    heard = drawn = time.monotonic()
    with Live(board.render(), console=console, transient=True, auto_refresh=False) as live:
        while True:
            received = messages.receive(1.0)
            silent_s = time.monotonic() - heard
            if received:
                heard = time.monotonic()
                line = board.take(received[0])
                if line and not console.is_terminal:
                    console.print(line, soft_wrap=True)
            elif patience_s is not None and silent_s > patience_s:
                return
            # Ten pictures a second are enough for eyes, and leave time to read busy streams.
            if console.is_terminal and (not received or time.monotonic() - drawn >= 0.1):
                live.update(board.render(silent_s), refresh=True)
                drawn = time.monotonic()
            if received:
                yield received[0]


def event_line(stream: str, event: EventData) -> Text:
    """One event on one line."""
    when = event.start_time if event.transition == "start" else event.end_time
    span = f"{event.start_s:8.2f} s"
    if event.transition != "start" and event.end_s is not None:
        span += f" to {event.end_s:.2f} s"
    return Text.assemble(
        (f"{_clock(when or event.start_time)}  ", "dim"),
        f"{stream:<12} {event.transition:<7}",
        (f"{event.label:<12}", _LABEL_STYLE),
        f" peak {event.peak_score:.2f}  from {span}",
        (f"  ({event.reason})" if event.reason else "", "dim"),
    )


def status_line(stream: str, status: StatusData) -> Text:
    """One change of state on one line."""
    retry = f"; again in {status.retry_in_s:.1f} s" if status.retry_in_s is not None else ""
    return Text.assemble(
        (f"{_clock(status.since)}  ", "dim"),
        f"{stream:<12} ",
        (status.state, _STATE_STYLES.get(status.state, "red")),
        f" {status.detail or status.reason}{retry}",
    )


def _cells(row: _Row) -> list[RenderableType]:
    status, event = row.status, row.open_event
    state = status.state if status else "?"
    why = f" ({status.reason})" if status and status.reason else ""
    cells: list[RenderableType] = [Text(state + why, style=_STATE_STYLES.get(state, "red"))]
    # What a stream said before it went away is not what it says now.
    prediction = row.prediction if state in _FLOWING else None
    if prediction:
        best = prediction.top[0]
        bar = ProgressBar(total=1, completed=best.score, width=16)
        cells += [Text(best.label), f"{best.score:.2f}", bar]
    else:
        cells += ["", "", ""]
    since = f"{event.label} since {_clock(event.start_time)}" if event else "none"
    cells.append(Text(since, style=_LABEL_STYLE if event else "dim"))
    cells.append(f"{prediction.latency.total_ms:.0f} ms" if prediction else "")
    return cells


def _clock(time: datetime) -> str:
    return time.astimezone().strftime("%H:%M:%S")
