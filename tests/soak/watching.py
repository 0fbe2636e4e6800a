"""Looking at a running daemon from outside: its process, and what it publishes."""

import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from streamcls.client import Gap, Silence, Subscriber
from streamcls.events import EventData, PredictionData, StatusData
from tests.soak.verdicts import Seen

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK_HZ = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Sample:
    """What one process used at one moment."""

    at_s: float
    rss_mib: float
    children_mib: float
    threads: int
    descriptors: int
    cpu_s: float


def sample(process: int, began_s: float) -> Sample:
    """Look at a process and its children."""
    folder = Path(f"/proc/{process}")
    stat = (folder / "stat").read_text().rpartition(")")[2].split()
    children = (folder / "task" / str(process) / "children").read_text().split()
    for task in (folder / "task").iterdir():
        if task.name != str(process):
            children += _text(task / "children").split()
    return Sample(
        at_s=time.monotonic() - began_s,
        rss_mib=_resident_mib(folder),
        children_mib=sum(_resident_mib(Path(f"/proc/{child}")) for child in children),
        threads=int(stat[17]),
        descriptors=len(os.listdir(folder / "fd")),
        cpu_s=(int(stat[11]) + int(stat[12])) / _TICK_HZ,
    )


def _resident_mib(folder: Path) -> float:
    fields = _text(folder / "statm").split()
    return int(fields[1]) * _PAGE / 2**20 if fields else 0.0


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has ended meanwhile
        return ""


@dataclass
class Listener:
    """A subscriber that stays from first to last."""

    endpoint: str
    replay_endpoint: str
    began_s: float
    seen: dict[str, list[Seen]] = field(default_factory=dict)
    states: dict[str, list[str]] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    silences: int = 0
    open_events: set[str] = field(default_factory=set)
    events: int = 0

    def __post_init__(self) -> None:
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self) -> None:
        with Subscriber(
            self.endpoint, start="earliest", replay_endpoint=self.replay_endpoint
        ) as subscriber:
            while not self.over.is_set():
                item = subscriber.receive(0.5)
                if isinstance(item, Gap):
                    self.gaps.append(item)
                elif isinstance(item, Silence):
                    self.silences += 1
                elif item is not None:
                    self._take(item.subject, item.data)

    def _take(self, stream: str, data: PredictionData | EventData | StatusData) -> None:
        if isinstance(data, PredictionData):
            at_s = time.monotonic() - self.began_s
            one = Seen(at_s, data.stream_epoch, data.start_s, data.latency.total_ms)
            self.seen.setdefault(stream, []).append(one)
        elif isinstance(data, EventData):
            self.events += 1
            (self.open_events.discard if data.transition == "end" else self.open_events.add)(
                data.event_id
            )
        elif not data.heartbeat:
            self.states.setdefault(stream, []).append(data.state)
