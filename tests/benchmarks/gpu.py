"""What a GPU is kept busy with: the line from pictures to predictions over the bare network.

    python -m tests.benchmarks.gpu

The line is the daemon's own: streams put windows, whose pictures overlap, into the backlog; the
worker takes them in batches; `CudaBackend` sends new pictures and scores. Decoding is left out: it
is bound by processor or NVDEC, whatever the network. The bare network is the same one, recorded
and replayed in the largest batch on pixels that are on the device already. Both in turn; ratios
are of the same round. `--device cpu` runs all of it without a GPU, to try the program: its figures
then mean nothing, and no bar is judged.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from streamcls.clock import SystemClock
from streamcls.frames import Prediction, RgbClip, RgbImage, Window
from streamcls.models.backends import TorchBackend, resolve_device
from streamcls.models.backends.cuda import CudaBackend, Precision
from streamcls.models.bundle import LoadedModel, load_bundle
from streamcls.models.golden import golden_windows
from streamcls.models.zoo import ZOO
from streamcls.pipeline.backlog import Backlog
from streamcls.pipeline.inference import InferenceWorker
from tests.benchmarks.models import random_model, wandering
from tests.pipeline.stubs import window

BARS = {"line_over_bare": 0.9, "batch_gain": 3.0}
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "bf16")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Attributes:
        batch: clips in the largest batch.
        seconds: of each measurement, about.
    """

    batch: int
    seconds: float
    rounds: int
    streams: int


def rate(work: Callable[[], int], seconds: float) -> float:
    """Clips a second; `work` tells how many it did."""
    work()
    began, done = time.perf_counter(), 0
    while (spent := time.perf_counter() - began) < seconds:
        done += work()
    return done / spent


def bare(backend: CudaBackend, batch: int) -> Callable[[], int]:
    """The network alone, a few batches at a time so that nothing waits in between."""
    run = backend._run_of(batch)

    def work() -> int:
        with torch.inference_mode(), backend._stream():
            for _ in range(8):
                run()
            if backend.device != "cpu":
                torch.cuda.current_stream().synchronize()
        return 8 * batch

    return work


def batches_of(backend: CudaBackend, clips: Sequence[RgbClip]) -> Callable[[], int]:
    """Whole batches, one after another, each waited for."""

    def work() -> int:
        backend.scores(clips)
        return len(clips)

    return work


def cpu_ticks() -> tuple[int, int]:
    """Idle and all ticks of all processors so far."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


def line(backend: CudaBackend, model: LoadedModel, plan: Plan) -> dict[str, float]:
    """Streams, backlog, worker and backend for a while: clips a second, and who was idle."""
    backlog, stop, clock = Backlog(), threading.Event(), SystemClock()
    sizes: list[int] = []
    done = [0]

    def count(_: Prediction) -> None:
        done[0] += 1

    worker = InferenceWorker(
        scorer_of=lambda _: backend,
        backlog=backlog,
        max_batch=plan.batch,
        max_wait_s=0.002,
        clock=clock,
        on_prediction=count,
        on_batch=lambda size, _: sizes.append(size),
        on_end=lambda _: None,
    )
    streams = [
        threading.Thread(target=_stream, args=(f"s{number}", model, backlog, stop, number))
        for number in range(plan.streams)
    ]
    worker.start()
    for each in streams:
        each.start()
    time.sleep(plan.seconds / 4)  # until all run
    idle, total, before, cpu_s = *cpu_ticks(), done[0], time.process_time()
    began = time.perf_counter()
    time.sleep(plan.seconds)
    spent, counted = time.perf_counter() - began, done[0] - before
    idle_after, total_after = cpu_ticks()
    used_s = time.process_time() - cpu_s
    stop.set()
    backlog.close()
    for each in streams:
        each.join()
    worker.join(60)
    if worker.error:
        raise worker.error
    return {
        "clips_per_s": counted / spent,
        "cpu_idle": (idle_after - idle) / max(1, total_after - total),
        "own_cpu_ms_per_clip": 1000 * used_s / max(1, counted),
        "mean_batch": statistics.mean(sizes),
    }


def _stream(
    name: str, model: LoadedModel, backlog: Backlog, stop: threading.Event, number: int
) -> None:
    """Windows of a stream one after another, half of whose pictures were in the last one."""
    frames = model.clip_spec.num_frames
    shown: deque[RgbImage] = deque(maxlen=frames)
    for count, picture in enumerate(_pictures(model, number)):
        shown.append(picture)
        if len(shown) < frames or count % (frames // 2):
            continue
        one = _window(name, tuple(shown))
        if not backlog.put(one, lossless=True, cancelled=stop) or stop.is_set():
            return


def _pictures(model: LoadedModel, number: int) -> Iterator[RgbImage]:
    """New pictures for ever, as a decoder gives them; copies, for drawing them takes longer."""
    drawn = [window[-1] for window in islice(golden_windows(model.clip_spec, 1), 4 + number % 4)]
    while True:
        for picture in drawn:
            new = picture.copy()
            new.flags.writeable = False
            yield new


def _window(stream: str, clip: tuple[RgbImage, ...]) -> Window:
    plain = window(stream)
    return Window(
        stream=stream,
        stream_epoch=1,
        clip=clip,
        start_s=plain.start_s,
        end_s=plain.end_s,
        start_utc_s=plain.start_utc_s,
        end_utc_s=plain.end_utc_s,
        coverage=1.0,
        arrival_monotonic_s=0.0,
        closed_monotonic_s=time.monotonic(),
    )


def measure(model: LoadedModel, precision: Precision, plan: Plan) -> dict[str, Any]:
    """All figures of one arithmetic."""
    graphs = CudaBackend(model, precision)
    eager = CudaBackend(model, precision, graphs=False)
    clips = list(islice(golden_windows(model.clip_spec, 3), plan.batch))
    for backend in (graphs, eager):
        backend.warm_up([plan.batch])
    ways: dict[str, Callable[[], float]] = {
        "bare": lambda: rate(bare(graphs, plan.batch), plan.seconds),
        "one": lambda: rate(batches_of(graphs, clips[:1]), plan.seconds),
        "many": lambda: rate(batches_of(graphs, clips), plan.seconds),
        "eager_one": lambda: rate(batches_of(eager, clips[:1]), plan.seconds),
        "eager_many": lambda: rate(batches_of(eager, clips), plan.seconds),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    lines = []
    for turn in range(plan.rounds):
        for name in list(ways)[:: -1 if turn % 2 else 1]:
            found[name].append(ways[name]())
        lines.append(line(graphs, model, plan))
    expected, scores = TorchBackend(model).scores(clips), graphs.scores(clips)
    return {
        "precision": precision,
        "bare_per_s": statistics.median(found["bare"]),
        "line_per_s": statistics.median(one["clips_per_s"] for one in lines),
        "line_over_bare": _ratio([one["clips_per_s"] for one in lines], found["bare"]),
        "batch_gain": _ratio(found["many"], found["one"]),
        "graphs_gain_one": _ratio(found["one"], found["eager_one"]),
        "graphs_gain_many": _ratio(found["many"], found["eager_many"]),
        "cpu_idle": statistics.median(one["cpu_idle"] for one in lines),
        "own_cpu_ms_per_clip": statistics.median(one["own_cpu_ms_per_clip"] for one in lines),
        "mean_batch": statistics.median(one["mean_batch"] for one in lines),
        "top1": float((scores.argmax(axis=1) == expected.argmax(axis=1)).mean()),
        "largest_difference": float(np.abs(scores - expected).max()),
    }


def _ratio(over: list[float], under: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


def main() -> None:
    """Measure and print; end with 1 where a bar is missed, with 2 where there is no GPU."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--network", default="x3d_s", choices=sorted(ZOO))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--precision", choices=PRECISIONS, action="append")
    parser.add_argument("--out", type=Path, help="write the JSON here too")
    asked = parser.parse_args()
    if asked.device != "cpu" and not torch.cuda.is_available():
        print("there is no CUDA device here: nothing was measured", file=sys.stderr)
        sys.exit(2)
    plan = Plan(asked.batch, asked.seconds, asked.rounds, asked.streams)
    device = resolve_device(asked.device)
    with tempfile.TemporaryDirectory() as folder:
        seen = wandering(ZOO[asked.network].clip_spec, 12)
        model = load_bundle(random_model(asked.network, Path(folder), seen).path, device)
        rows = [measure(model, one, plan) for one in asked.precision or PRECISIONS]
    for key in rows[0]:
        print(f"{key:<22}" + "".join(f"{_told(row[key]):>14}" for row in rows))
    best = max(rows, key=lambda row: row["line_per_s"])
    judged = asked.device != "cpu"
    held = {name: best[name] >= bar for name, bar in BARS.items()} if judged else {}
    for name, kept in held.items():
        print(f"{name} {best[name]:.2f} >= {BARS[name]}: {'held' if kept else 'MISSED'}")
    described = torch.cuda.get_device_name(device) if judged else "a CPU, to try the program"
    found = {
        "benchmark": "gpu",
        "device": described,
        "cores": len(os.sched_getaffinity(0)),
        "torch": torch.__version__,
        "settings": {key: str(value) for key, value in vars(asked).items()},
        "rows": rows,
        "bars": BARS,
        "held": held,
    }
    print(json.dumps(found))
    if asked.out:
        asked.out.write_text(json.dumps(found) + "\n")
    sys.exit(not all(held.values()))


def _told(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
