"""The whole line as it is served: a real daemon in a process of its own, and its subscriber."""

import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from streamcls.client import Gap, Silence
from streamcls.events import Message, PredictionData, StatusData
from streamcls.transforms import ClipSpec, WindowPlan
from tests.benchmarks.films import FPS, Film
from tests.benchmarks.processes import cpu_s
from tests.serving import Served, free_port, serving, stream

ModelToml = Annotated[
    str, typer.Option("--model-toml", help="""Keys of [model], as 'backend = "torch"'.""")
]


def write_config(
    folder: Path, streams: str, model: Path, *, stride_s: float, model_toml: str = ""
) -> Path:
    """A configuration with free ports; all that is not said is as it is by default."""
    path = folder / "streamcls.toml"
    path.write_text(
        f'{streams}\n[model]\npath = "{model}"\n{model_toml}\n[windows]\nstride_s = {stride_s}\n'
        '[journal]\npath = "events.sqlite"\n'
        f'[publish]\nendpoint = "tcp://127.0.0.1:{free_port()}"\n'
        f'replay_endpoint = "tcp://127.0.0.1:{free_port()}"\nwait_for_subscriber_s = 600\n'
        f"[http]\nport = {free_port()}\n"
    )
    return path


def change_streams(served: Served, path: Path, streams: str) -> None:
    """Have a running daemon serve other streams; those in both go on untouched."""
    _, mark, rest = path.read_text().partition("\n[model]\n")
    path.write_text(streams + mark + rest)
    served.process.send_signal(signal.SIGHUP)


def receive(served: Served, timeout_s: float = 1.0) -> Message | None:
    """The next message, if one comes in time; a daemon that died is an error, as is a gap."""
    item = served.subscriber.receive(timeout_s)
    if item is None and served.process.poll() is not None:
        raise RuntimeError("the daemon ended; it printed:\n" + served.output())
    if isinstance(item, Gap | Silence):
        raise RuntimeError(f"the subscriber lost messages: {item}")
    return item


@dataclass
class Played:
    """What came of files that were played as fast as they could be.

    Attributes:
        wall_s: from the moment the streams began until the last prediction was published.
        cpu_s: CPU of the daemon's process, all its threads, in the same time.
        predictions: by stream and end of the window, media seconds.
        backend: what ran the network, where predictions say it.
    """

    wall_s: float = 0.0
    cpu_s: float = 0.0
    predictions: dict[tuple[str, float], PredictionData] = field(default_factory=dict)
    backend: str = "torch"


def play(
    films: Sequence[Film], model: Path, *, spec: ClipSpec, stride_s: float, model_toml: str = ""
) -> Played:
    """Serve files at full speed, all at once, and check that every window came."""
    tables = "".join(
        stream(f"film{index}", film.path, pace='"fastest"') for index, film in enumerate(films)
    )
    with running(tables, model, stride_s=stride_s, model_toml=model_toml) as (served, _):
        played = _follow(served, len(films))
    expected = sum(windows_in(film.seconds, spec, stride_s) for film in films)
    if len(played.predictions) != expected:
        got = len(played.predictions)
        raise RuntimeError(f"{got} windows came of {expected}:\n{served.output()}")
    return played


@contextmanager
def running(
    streams: str, model: Path, *, stride_s: float, model_toml: str = ""
) -> Iterator[tuple[Served, Path]]:
    """A daemon with these `[[streams]]`, a subscriber for whom it waits, and its configuration."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_config(Path(folder), streams, model, stride_s=stride_s, model_toml=model_toml)
        with serving(path) as served:
            yield served, path


def windows_in(seconds: float, spec: ClipSpec, stride_s: float) -> int:
    """How many windows a film has."""
    plan = WindowPlan.of(spec, stride_s)
    last_s = Fraction(round(seconds * FPS) - 1, FPS)
    starts = (last_s - plan.span_s) // plan.stride_s
    return max(0, int(starts) + 1)


def _follow(served: Served, streams: int) -> Played:
    played, over = Played(), 0
    began = ended = None
    while over < streams:
        message = receive(served)
        if message is None:
            continue
        data = message.data
        if isinstance(data, StatusData) and not data.heartbeat:
            if began is None:
                began = message.time
                played.cpu_s = -cpu_s(served.process.pid)
            if data.state == "failed":
                raise RuntimeError(f"{message.subject} failed: {data.detail}")
            over += data.state == "stopped"
        elif isinstance(data, PredictionData):
            played.predictions[message.subject, data.end_s] = data
            played.backend = getattr(data, "backend", played.backend)
            ended = message.time
    played.cpu_s += cpu_s(served.process.pid)
    if began is None or ended is None:
        raise RuntimeError("no window came:\n" + served.output())
    played.wall_s = (ended - began).total_seconds()
    return played
