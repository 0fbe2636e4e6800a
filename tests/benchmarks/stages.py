"""What each stage costs, CPU time, run on its own over the same film.

    python -m tests.benchmarks.stages [--size 720p] [--out FOLDER]

demux      packets out of the file
decode     frames out of packets, one thread
pixels     frames of the grid to small RGB: a pass that decodes and scales, less one that decodes
line       a stream as the daemon reads it, less the two before: source, capture, timeline, grid,
           ring, windows, the queue to the network
clip half  a window's pictures gathered into the network's input
network    the rest of the backend's call for one window
decisions  a window's scores to messages, label changes among them
publish    a message numbered, encoded, kept and sent to one subscriber

Passes over the film take turns; medians of the rounds. `of all` is a stage's share of the CPU that
a second of video takes, `own` what is neither libav's, scaling nor the network's. On films with
B-frames the line may cost less than its decoding alone: it leaves out what no window needs.
"""

import itertools
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import av
import numpy as np
import torch
import typer

from streamcls.bench.child import write_config
from streamcls.clock import SystemClock
from streamcls.config import Pace, StreamSettings, load_settings
from streamcls.engine import Engine
from streamcls.frames import Prediction, Window
from streamcls.lane import Lane
from streamcls.models.backends import use_threads
from streamcls.pipeline.backlog import Backlog
from streamcls.pipeline.opening import OpeningTurns
from streamcls.reload import Prepared
from streamcls.stream_line import StreamLine
from streamcls.transforms.clip import clip_batch
from tests.benchmarks import bare
from tests.benchmarks.delivery import delivering
from tests.benchmarks.films import DEFAULT_CACHE, FPS, Cache, Film, filmed
from tests.benchmarks.line import ModelToml, windows_in
from tests.benchmarks.network import clips_of, model_file
from tests.benchmarks.report import Bar, Out, Rounds, finish, interleaved, ratio
from tests.serving import stream

_OWN = ("line", "decisions", "publish")
_MESSAGES = 10_000


def cpu_of(work: Callable[[], object]) -> float:
    """Seconds of CPU, of all threads of this process; worked on one that is not the main one."""
    with ThreadPoolExecutor(1) as worker:
        began_s = time.process_time()
        worker.submit(work).result()
        return time.process_time() - began_s


def demux(film: Film) -> int:
    """How many packets there are."""
    with av.open(str(film.path)) as container:
        return sum(1 for _ in container.demux(video=0))


class Stages:
    """One film, one model, and each stage on its own.

    Attributes:
        film: what is read.
        spec: the network's clips.
        windows: how many it has.
    """

    def __init__(self, film: Film, model: Path, stride_s: float, toml: str) -> None:
        self.film = film
        with tempfile.TemporaryDirectory() as folder:
            config = write_config(
                Path(folder), stream("film", film.path), model, stride_s=stride_s, model_toml=toml
            )
            self._settings = load_settings(config)
        use_threads(self._settings.model.threads)
        self._engine = Engine.load(self._settings.model)
        self._prepared = Prepared.of(self._settings, self._engine)
        self.spec = self._engine.model.clip_spec
        self._engine.warm_up(self._settings.model, 1)
        self.windows = windows_in(film.seconds, self.spec, stride_s)
        self.backend = self._engine.backend.name

    def passes(self) -> dict[str, Callable[[], float]]:
        """What reads the whole film; seconds of CPU."""
        path = self.film.path
        return {
            "demux": lambda: cpu_of(lambda: demux(self.film)),
            "decode": lambda: cpu_of(lambda: bare.decode(path)),
            "pixels": lambda: cpu_of(lambda: bare.pixels(self.spec, path)),
            "line": lambda: cpu_of(self._read_by_line),
        }

    def per_window(self, times: int) -> dict[str, float]:
        """CPU of what comes once a window, seconds each."""
        clips = clips_of(self.film, self.spec, 4)
        cpu, scores = torch.device("cpu"), self._engine.backend.scores
        each = itertools.cycle(clips)
        lane = self._lane()
        predictions = [self._prediction(clips[0], number) for number in range(1000)]
        found = {
            "clip half": cpu_of(
                lambda: [clip_batch([next(each)], self.spec, cpu) for _ in range(times)]
            )
            / times,
            "network": cpu_of(lambda: [scores([next(each)]) for _ in range(times)]) / times,
            "decisions": cpu_of(lambda: [list(lane.report(one)) for one in predictions]) / 1000,
        }
        found["network"] -= found["clip half"]
        return found

    def publish(self) -> float:
        """CPU of a prediction's way out, seconds, with the journal as it is by default."""
        lane, over = self._lane(), threading.Event()
        clip = clips_of(self.film, self.spec, 1)[0]
        message = next(iter(lane.report(self._prediction(clip, 0))))
        with delivering(journal=True) as load:

            def send() -> None:
                for _ in range(_MESSAGES):
                    load.delivery.post("cam-a", partial(list, [message]))
                load.delivery.post("cam-a", partial(list, [message]), over.set)
                assert over.wait(60)

            send()
            over.clear()
            return cpu_of(send) / _MESSAGES

    def _prediction(self, clip: Any, number: int) -> Prediction:
        start_s = Fraction(number)
        window = Window(
            stream="film",
            stream_epoch=1,
            clip=clip,
            start_s=start_s,
            end_s=start_s + self.spec.span_s,
            start_utc_s=float(number),
            end_utc_s=float(number + self.spec.span_s),
            coverage=1.0,
            arrival_monotonic_s=0.0,
            closed_monotonic_s=0.0,
        )
        labels = len(self._engine.model.labels)
        scores = np.random.default_rng(number).dirichlet(np.ones(labels)).astype(np.float32)
        return Prediction(window, scores, 0.0, 0.0)

    def _lane(self) -> Lane:
        return Lane(
            self._stream,
            self._prepared.lanes["film"],
            number=0,
            epochs_before=0,
            boot_id="benchmark",
            next_event=itertools.count(1).__next__,
            clock=SystemClock(),
        )

    @property
    def _stream(self) -> StreamSettings:
        return StreamSettings("film", str(self.film.path), pace=Pace.FASTEST)

    def _read_by_line(self) -> None:
        """As the daemon reads it: a capture thread, whose windows nobody classifies."""
        backlog, over = Backlog(), threading.Event()
        line = StreamLine(
            self._stream,
            self._settings.capture,
            self._lane(),
            backlog=backlog,
            turns=OpeningTurns(1),
            clock=SystemClock(),
            on_status=lambda _line, _status: None,
            on_lost=lambda _line: None,
            on_lane_over=lambda _line, _lane: None,
            on_end=lambda _line: over.set(),
        )
        line.capture.start()
        taken = 0
        while not over.is_set() or taken < self.windows:
            items: Iterable[object] = backlog.take(8, 0.02) or ()
            taken += sum(isinstance(item, Window) for item in items)
            if over.is_set() and not items:
                break
        if taken != self.windows:
            raise RuntimeError(f"{taken} windows came of {self.windows}: {line.capture.error}")


Costs = dict[str, tuple[float, float]]
"""By stage: seconds of CPU each time, and how often it comes in a second of video."""


def costs(stages: Stages, found: dict[str, list[float]], times: int) -> Costs:
    """All stages, those of the film's passes and those of a window."""
    film = stages.film
    read = {name: statistics.median(each) for name, each in found.items()}
    frames, a_window = film.seconds * FPS, stages.windows / film.seconds
    a_second = float(1 / stages.spec.frame_interval_s)
    per_window = stages.per_window(times)
    return {
        "demux": (read["demux"] / frames, FPS),
        "decode": ((read["decode"] - read["demux"]) / frames, FPS),
        "pixels": ((read["pixels"] - read["decode"]) / (film.seconds * a_second), a_second),
        "line": ((read["line"] - read["pixels"]) / frames, FPS),
        **{name: (each, a_window) for name, each in per_window.items()},
        "publish": (stages.publish(), a_window),
    }


def main(
    out: Out = None,
    rounds: Rounds = 7,
    size: Annotated[str, typer.Option(help="1080p or 720p.")] = "720p",
    seconds: Annotated[int, typer.Option(help="Length of the films.")] = 15,
    stride: Annotated[float, typer.Option(help="Seconds between windows.")] = 1.0,
    crop: Annotated[int, typer.Option(help="160 or 182 pixels, of X3D-S.")] = 182,
    times: Annotated[int, typer.Option(help="Windows that the network is timed on.")] = 20,
    model_toml: ModelToml = "",
    cache: Cache = DEFAULT_CACHE,
) -> None:
    """Measure both kinds of film, and say whether the bars hold."""
    rows: list[dict[str, Any]] = []
    bars: list[Bar] = []
    for kind in ("camera", "recording"):
        film = filmed(cache, size, kind, seconds)
        stages = Stages(film, model_file(cache, film, crop=crop), stride, model_toml)
        found = interleaved(stages.passes(), rounds)
        per_stage = costs(stages, found, times)
        total = sum(each * often for each, often in per_stage.values())
        rows += [
            {
                "film": film.name,
                "stage": name,
                "us each": 1e6 * each,
                "times a second": often,
                "ms a second": 1000 * each * often,
                "of all": f"{each * often / total:.1%}",
            }
            for name, (each, often) in per_stage.items()
        ]
        over = ratio(found["pixels"], found["decode"])
        bars.append(Bar(f"decode + pixels over decode, {film.name}", over, 1.15, at_least=False))
        over = ratio(found["line"], found["decode"])
        bars.append(Bar(f"the line's reading over decode, {film.name}", over, 1.15, at_least=False))
        if kind == "camera":
            own = sum(per_stage[name][0] * per_stage[name][1] for name in _OWN) / total
            bars.append(Bar(f"own share of CPU, {film.name}", own, 0.05, at_least=False))
    settings = {
        "rounds": rounds,
        "stride_s": stride,
        "network": f"x3d_s, 13 x {crop}",
        "backend": stages.backend,
        "model_toml": model_toml,
    }
    finish("stages", out, settings=settings, rows=rows, bars=bars)


if __name__ == "__main__":
    typer.run(main)
