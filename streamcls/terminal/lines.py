"""What a message says, in one line."""

from datetime import datetime

from rich.text import Text

from streamcls.client import Gap
from streamcls.events import EventData, StatusData
from streamcls.terminal.times import clock, span

LABEL_STYLE = "bold yellow"
TROUBLE_STYLE = "bold red"
_STATE_STYLES = {"up": "green", "warming_up": "cyan", "connecting": "cyan", "stopped": "dim"}
_PLURALS = {"prediction": "predictions", "event": "events", "status": "status messages"}


def state_style(state: str) -> str:
    """The colour of a stream's state; red for what is trouble."""
    return _STATE_STYLES.get(state, "red")


def event_line(stream: str, event: EventData, *, dated: bool = False) -> Text:
    """A whole event as far as it is known: from, to, where, what, how long, how sure, why over."""
    ended = event.end_time if event.transition == "end" else None
    if ended:
        other_day = dated and ended.astimezone().date() != event.start_time.astimezone().date()
        until = f" - {clock(ended, dated=other_day)}"
        lasted = span((ended - event.start_time).total_seconds())
    else:
        until, lasted = " still open", ""
    return Text.assemble(
        (f"{clock(event.start_time, dated=dated)}{until}", "dim" if ended else LABEL_STYLE),
        f" {stream:<12} ",
        (f"{event.label:<12}", LABEL_STYLE),
        f" {lasted:>11} peak {event.peak_score:.2f}",
        (f" {event.reason}" if event.reason else "", _reason_style(event)),
    )


def transition_line(stream: str, event: EventData) -> Text:
    """One change of an event: for lines that follow one another as things happen."""
    when = event.start_time if event.transition == "start" else event.end_time
    reach = f"{event.start_s:8.2f} s"
    if event.transition != "start" and event.end_s is not None:
        reach += f" to {event.end_s:.2f} s"
    return Text.assemble(
        (f"{clock(when or event.start_time)}  ", "dim"),
        f"{stream:<12} {event.transition:<7}",
        (f"{event.label:<12}", LABEL_STYLE),
        f" peak {event.peak_score:.2f}  from {reach}",
        (f"  ({event.reason})" if event.reason else "", _reason_style(event)),
    )


def status_line(stream: str, status: StatusData) -> Text:
    """One change of state."""
    retry = f"; again in {status.retry_in_s:.1f} s" if status.retry_in_s is not None else ""
    return Text.assemble(
        (f"{clock(status.since)}  ", "dim"),
        f"{stream:<12} ",
        (status.state, state_style(status.state)),
        f" {status.detail or status.reason}{retry}",
    )


def gap_line(gap: Gap, noticed: datetime) -> Text:
    """What was missed for good, and why."""
    if gap.last is None:  # as after a crash, which left nobody who knows
        what = f"{_PLURALS[gap.kind]} of {gap.stream} from {gap.first} on, if there were any"
    elif gap.first == gap.last:
        what = f"1 {_PLURALS[gap.kind][:-1]} of {gap.stream}, {gap.first}"
    else:
        what = f"{gap.count} {_PLURALS[gap.kind]} of {gap.stream}, {gap.first} to {gap.last}"
    return trouble_line(f"missed {what}: {gap.reason}", noticed)


def trouble_line(text: str, noticed: datetime) -> Text:
    """Trouble with the connection itself, in red."""
    return Text(f"{clock(noticed)}  {text}", style=TROUBLE_STYLE)


def _reason_style(event: EventData) -> str:
    return "red" if event.reason in ("stream_lost", "crash_recovered") else "dim"
