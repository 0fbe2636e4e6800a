"""One daemon in a namespace, cameras in others, bad links between: what the daemon said of each."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from streamcls.client import Gap, Silence, Subscriber
from streamcls.events import PredictionData, StatusData
from streamcls.observe.samples import samples_in
from tests.models.small import SPEC, write_small
from tests.network.line import Conditions
from tests.network.links import Link, link
from tests.network.namespaces import Namespace, namespace
from tests.serving import PATIENCE_S, free_port, stream

LOCAL = "local"  # the sibling: a camera on the daemon's own machine
CUT = "cut"  # the camera whose link is cut
READ_S = OPEN_S = 5.0
BACKOFF_MAX_S = 5.0
_GIVE_UP_S = 60.0  # on a stream that does not come up
STRIDE_S = 10 * float(SPEC.frame_interval_s)  # a whole number of grid steps


@dataclass
class Heard:
    """What the daemon published of one stream, predictions with when they came (`time.time`)."""

    statuses: list[StatusData] = field(default_factory=list)
    predictions: list[tuple[float, PredictionData]] = field(default_factory=list)

    @property
    def states(self) -> list[str]:
        return [status.state for status in self.statuses]

    @property
    def lost_windows(self) -> int:
        """Windows missing between the first and the last of each stream epoch."""
        lost = 0
        for (_, before), (_, after) in pairwise(self.predictions):
            if before.stream_epoch == after.stream_epoch:
                lost += round((after.start_s - before.start_s) / STRIDE_S) - 1
        return lost

    @property
    def longest_wait_s(self) -> float:
        """The longest time between two predictions."""
        return max((b - a for (a, _), (b, _) in pairwise(self.predictions)), default=0.0)

    def since(self, after_s: float, *states: str) -> StatusData | None:
        """The first of these states that began after a moment, if one did."""
        later = (one for one in self.statuses if one.since.timestamp() > after_s)
        return next((one for one in later if one.state in states), None)


@dataclass
class Played:
    """All of one run."""

    heard: dict[str, Heard]
    metrics: dict[tuple[str, ...], float]
    cut_s: float
    mended_s: float
    ended_s: float
    output: str
    exit_code: int

    def counted(self, metric: str, name: str) -> dict[str, int]:
        """A stream's counts above 0 by reason; by "" where there are no reasons."""
        return {
            key[2] if len(key) > 2 else "": int(value)
            for key, value in self.metrics.items()
            if key[:2] == (f"streamcls_{metric}_total", name) and value
        }

    def table(self) -> str:
        """The figures of each stream, for people."""
        lines = [
            "stream    windows lost coverage longest wait  behind  reconnects, dropped windows"
        ]
        for name, heard in self.heard.items():
            coverages = [one.coverage for _, one in heard.predictions]
            offset_s = heard.predictions[-1][1].clock_offset_s if heard.predictions else None
            behind = "-" if offset_s is None else f"{-offset_s:.1f} s"
            lines.append(
                f"{name:10}{len(coverages):7}{heard.lost_windows:5}"
                f"{min(coverages, default=0):9.2f}{heard.longest_wait_s:11.1f} s{behind:>9}"
                f"  {self.counted('source_reconnects', name)}"
                f" {self.counted('windows_dropped', name)}"
            )
        if backoff := self.heard[CUT].since(self.cut_s, "backoff"):
            lines.append(f"cut seen after {backoff.since.timestamp() - self.cut_s:.1f} s")
        if up := self.heard[CUT].since(self.mended_s, "up"):
            lines.append(f"up {up.since.timestamp() - self.mended_s:.1f} s after mending")
        return "\n".join(lines)


class _Listener:
    """Hears everything, in a thread."""

    def __init__(self, subscriber: Subscriber, names: Sequence[str]) -> None:
        self.heard = {name: Heard() for name in names}
        self.gaps = 0
        self._subscriber = subscriber
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def until(self, daemon: subprocess.Popen[str], name: str, state: str, after_s: float) -> None:
        """Wait for a stream's state that began after a moment; gives up without a word."""
        deadline_s = time.time() + _GIVE_UP_S
        while not self.heard[name].since(after_s, state) and time.time() < deadline_s:
            assert daemon.poll() is None, daemon.communicate()[0]
            time.sleep(0.1)

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    def _listen(self) -> None:
        while not self._over.is_set():
            item = self._subscriber.receive(0.2)
            if item is None or isinstance(item, Gap | Silence):
                self.gaps += isinstance(item, Gap)
            elif isinstance(item.data, PredictionData):
                self.heard[item.subject].predictions.append((time.time(), item.data))
            elif isinstance(item.data, StatusData) and not item.data.heartbeat:
                self.heard[item.subject].statuses.append(item.data)


def play(folder: Path, links: dict[str, Conditions], *, cut_s: float, after_s: float) -> Played:
    """Play cameras over bad links, and cut the link of the one named `CUT` once it is up.

    Args:
        folder: for the daemon's files.
        links: of each camera, by name; one without a link, `LOCAL`, is there too.
        cut_s: how long the cut lasts.
        after_s: how long all play on after the stream that was cut is up again.
    """
    write_small(folder / "small.safetensors")
    with ExitStack() as stack:
        home = stack.enter_context(namespace("daemon"))
        made: dict[str, Link] = {}
        urls = {LOCAL: stack.enter_context(_camera(home, "127.0.0.1"))}
        for name, conditions in links.items():
            place = stack.enter_context(namespace(name))
            made[name] = stack.enter_context(link(home, place, conditions))
            urls[name] = stack.enter_context(_camera(place, made[name].far))
        path, http = _configuration(folder, urls)
        daemon = stack.enter_context(_started(home, path))
        subscriber = stack.enter_context(
            Subscriber(_endpoint(folder), start="earliest", replay_endpoint=_replay(folder))
        )
        listener = _Listener(subscriber, list(urls))
        listener.until(daemon, CUT, "up", 0)
        cut_at_s = time.time()
        made[CUT].cut()
        time.sleep(cut_s)
        mended_at_s = time.time()
        made[CUT].mend()
        listener.until(daemon, CUT, "up", mended_at_s)
        time.sleep(after_s)
        ended_s = time.time()
        metrics = samples_in(home.get(f"{http}/metrics"))
        daemon.terminate()
        output, _ = daemon.communicate(timeout=PATIENCE_S)
        listener.close()
        assert not listener.gaps
        code = daemon.returncode
        return Played(listener.heard, metrics, cut_at_s, mended_at_s, ended_s, output, code)


def _endpoint(folder: Path) -> str:
    return f"ipc://{folder}/events"  # a file, which other namespaces reach


def _replay(folder: Path) -> str:
    return f"ipc://{folder}/replay"


def _configuration(folder: Path, urls: dict[str, str]) -> tuple[Path, str]:
    """The daemon's configuration, and where it answers HTTP inside its namespace."""
    port = free_port()
    tables = "\n".join(stream(name, url) for name, url in urls.items())
    path = folder / "streamcls.toml"
    path.write_text(
        f"{tables}[model]\npath = 'small.safetensors'\nthreads = 1\n"
        f"[windows]\nstride_s = {STRIDE_S}\n"
        f"[capture]\nopen_timeout_s = {OPEN_S}\nread_timeout_s = {READ_S}\n"
        f"backoff_max_s = {BACKOFF_MAX_S}\n"
        f"[publish]\nendpoint = '{_endpoint(folder)}'\nreplay_endpoint = '{_replay(folder)}'\n"
        "wait_for_subscriber_s = 60\nheartbeat_s = 1\n"
        f"[journal]\npath = 'events.sqlite'\n[http]\nport = {port}\n"
    )
    return path, f"http://127.0.0.1:{port}"


@contextmanager
def _started(place: Namespace, path: Path) -> Iterator[subprocess.Popen[str]]:
    process = place.start([sys.executable, "-m", "streamcls", "run", str(path)])
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def _camera(place: Namespace, address: str) -> Iterator[str]:
    process = place.start([sys.executable, "-m", "tests.network.camera", address])
    assert process.stdout
    try:
        url = process.stdout.readline().strip()
        assert url.startswith("rtsp://"), url + process.communicate()[0]
        yield url
    finally:
        process.communicate()
