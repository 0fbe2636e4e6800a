"""The whole line as it is served: a real daemon in a process of its own, and its subscriber."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from streamcls.bench.child import Child, daemon
from streamcls.bench.processes import cpu_s
from streamcls.events import PredictionData, StatusData
from streamcls.transforms import ClipSpec, WindowPlan
from tests.benchmarks.films import FPS, Film
from tests.serving import stream

ModelToml = Annotated[
    str, typer.Option("--model-toml", help="""Keys of [model], as 'backend = "torch"'.""")
]


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
    with daemon(tables, model, stride_s=stride_s, model_toml=model_toml) as child:
        played = _follow(child, len(films))
        printed = child.output()
    expected = sum(windows_in(film.seconds, spec, stride_s) for film in films)
    if len(played.predictions) != expected:
        got = len(played.predictions)
        raise RuntimeError(f"{got} windows came of {expected}:\n{printed}")
    return played


def windows_in(seconds: float, spec: ClipSpec, stride_s: float) -> int:
    """How many windows a film has."""
    plan = WindowPlan.of(spec, stride_s)
    last_s = Fraction(round(seconds * FPS) - 1, FPS)
    starts = (last_s - plan.span_s) // plan.stride_s
    return max(0, int(starts) + 1)


def _follow(child: Child, streams: int) -> Played:
    played, over = Played(), 0
    began = ended = None
    while over < streams:
        message = child.receive(1.0)
        if message is None:
            continue
        data = message.data
        if isinstance(data, StatusData) and not data.heartbeat:
            if began is None:
                began = message.time
                played.cpu_s = -cpu_s(child.process.pid)
            if data.state == "failed":
                raise RuntimeError(f"{message.subject} failed: {data.detail}")
            over += data.state == "stopped"
        elif isinstance(data, PredictionData):
            played.predictions[message.subject, data.end_s] = data
            played.backend = getattr(data, "backend", played.backend)
            ended = message.time
    played.cpu_s += cpu_s(child.process.pid)
    if began is None or ended is None:
        raise RuntimeError("no window came:\n" + child.output())
    played.wall_s = (ended - began).total_seconds()
    return played
