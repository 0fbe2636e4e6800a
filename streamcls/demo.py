"""`streamcls demo`: the whole line on the bundled sample, seen through a real subscriber."""

import json
import threading
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from streamcls.client import Subscriber
from streamcls.clock import SystemClock
from streamcls.config import (
    HttpSettings,
    JournalSettings,
    Pace,
    PublishSettings,
    Settings,
    StreamSettings,
    WindowSettings,
)
from streamcls.daemon import Daemon
from streamcls.events import EventData, StatusData
from streamcls.terminal import Board, follow

SAMPLE = Path(__file__).parent / "data" / "sample.mp4"
TRUTH = SAMPLE.with_suffix(".json")
_STREAM = "sample"
_PATIENCE_S = 30.0  # silence for so long means the daemon has died: the demo must end


def run_demo(console: Console) -> int:
    """Serve the sample in real time, print what a subscriber receives, and end with the sample.

    Returns:
        0 if the line worked to the end.

    Raises:
        StreamclsError: as `Daemon`.
    """
    settings = Settings(
        streams=[StreamSettings(_STREAM, str(SAMPLE), pace=Pace.REALTIME)],
        publish=PublishSettings(
            endpoint="tcp://127.0.0.1:*", heartbeat_s=1.0, wait_for_subscriber_s=10.0
        ),
        windows=WindowSettings(stride_s=0.45),
        journal=JournalSettings(enabled=False),
        http=HttpSettings(enabled=False),
    )
    daemon = Daemon(settings)
    console.print(f"Serving {SAMPLE.name} on {daemon.endpoint}; this process subscribes to it.\n")
    run = _Run(daemon)
    thread = threading.Thread(target=run, name="daemon")
    subscriber = Subscriber(
        daemon.endpoint, start="earliest", replay_endpoint=daemon.replay_endpoint
    )
    with subscriber as messages:
        thread.start()
        try:
            events = _watch(messages, console)
        finally:
            daemon.stop()
            thread.join()
    if run.error:
        raise run.error
    _print_summary(console, events)
    return run.exit_code


@dataclass(slots=True)
class _Run:
    """The daemon's run on a thread of its own, with what came of it."""

    daemon: Daemon
    exit_code: int = 1
    error: Exception | None = None

    def __call__(self) -> None:
        try:
            self.exit_code = self.daemon.run()
        except Exception as error:  # handed to the thread that waits
            self.error = error


def _watch(messages: Subscriber, console: Console) -> list[EventData]:
    """Show the run to its end; the events that ended."""
    ended: list[EventData] = []
    board = Board(f"streamcls demo, {SAMPLE.name}", SystemClock())
    for message in follow(messages, board, console, _PATIENCE_S):
        data = message.data
        if isinstance(data, EventData) and data.transition == "end":
            ended.append(data)
        if isinstance(data, StatusData) and data.state in ("stopped", "failed"):
            break
    return ended


def _print_summary(console: Console, events: list[EventData]) -> None:
    table = Table(title="label events received, beside what the camera really did")
    for name in ("received", "from", "to", "peak", "", "camera did", "from", "to"):
        table.add_column(name, justify="right" if name in ("from", "to", "peak") else "left")
    truth = [row for row in json.loads(TRUTH.read_text()) if row["label"] != "still"]
    for index in range(max(len(events), len(truth))):
        row = [""] * 8
        if index < len(events):
            event = events[index]
            row[:4] = [escape(event.label), f"{event.start_s:.1f} s", f"{event.end_s:.1f} s"]
            row[3:4] = [f"{event.peak_score:.2f}"]
        if index < len(truth):
            real = truth[index]
            row[5:] = [real["label"], f"{real['start_s']:.1f} s", f"{real['end_s']:.1f} s"]
        table.add_row(*row)
    console.print(table)
