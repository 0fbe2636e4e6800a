"""How many cameras are held in real time, and how latency behaves below and beyond that.

    python -m tests.benchmarks.cameras [--start 4] [--limit 32] [--rtsp] [--out FOLDER]

Each camera is a film at its own pace (with --rtsp, from a real RTSP server on the same machine),
begun at its own part of the stride. A number of cameras is held when

- 99 % of windows are published within 500 ms of when their last picture was due, by the
  subscriber's clock and as if no picture had ever been late;
- at least 99 % of the windows that were due came;
- of those that did not come, not one is missing in the daemon's counts of what it dropped.

The number is doubled, then halved in, up to the largest that is held; then half and twice of it.
`latency` is from arrival to publication and `model` the time in the network, as the daemon tells
them; `served` the share of the windows that were due, and `dropped` what the daemon says of the
others since the cameras began.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from typing import Annotated, Any

import typer

from streamcls.bench.child import daemon, tables
from streamcls.bench.knee import largest
from streamcls.bench.ramp import FIRST, MAX_AGE_MS, Demands, Level, Ramp
from streamcls.models.manifest import read_manifest
from streamcls.transforms import WindowPlan
from tests.benchmarks.films import DEFAULT_CACHE, Cache, Film, filmed, lasting
from tests.benchmarks.line import ModelToml
from tests.benchmarks.network import model_file
from tests.benchmarks.report import Bar, Out, finish
from tests.rtsp import rtsp_server

_MIN_SERVED = 0.99


def measured(ramp: Ramp, cameras: int) -> Level:
    """A level, printed where it is new."""
    if cameras in ramp.levels:
        return ramp.levels[cameras]
    level = ramp.level(cameras)
    print(
        f"{level.cameras:3} cameras: p99 age {level.age_p99_ms:.0f} ms,"
        f" {level.served_share:.1%} served, {'held' if level.held else 'not held'}",
        flush=True,
    )
    return level


def row_of(level: Level) -> dict[str, Any]:
    """A level as a row of the table."""
    row = asdict(level)
    dropped = ", ".join(f"{why} {count}" for why, count in row.pop("dropped").items() if count)
    left_out = ("cpu", "around", "due", "served", "free_mb", "subscriber_cores", "model_busy")
    kept = {name: value for name, value in row.items() if name not in left_out}
    return kept | {
        "served": level.served_share,
        "dropped": dropped,
        "cpu_cores": level.cpu.total,
    }


@contextmanager
def source(film: Film, rtsp: bool) -> Iterator[str]:
    """What the cameras' URL is."""
    with rtsp_server(file=film.path, fps=30) if rtsp else nullcontext() as server:
        yield server.url if server else str(film.path)


def bars_of(ramp: Ramp, capacity: int) -> list[Bar]:
    """Half and twice the capacity, against what they are held to."""
    half, at = measured(ramp, max(1, capacity // 2)), ramp.level(capacity)
    twice = measured(ramp, 2 * capacity)
    limit_ms = 1.3 * half.model_p99_ms + 5
    return [
        Bar("cameras held, p99 age at capacity, ms", at.age_p99_ms, MAX_AGE_MS, at_least=False),
        Bar(
            "half load: p99 arrival to publication, ms (1.3 x model + 5)",
            half.latency_p99_ms,
            limit_ms,
            at_least=False,
        ),
        Bar(
            "twice capacity: p99 age over that at capacity",
            twice.age_p99_ms / at.age_p99_ms,
            1.5,
            at_least=False,
        ),
        Bar("twice capacity: windows missed and not reported", twice.unreported, 0, at_least=False),
    ]


def main(
    out: Out = None,
    start: Annotated[int, typer.Option(min=1, help="Cameras to begin with.")] = 4,
    limit: Annotated[int, typer.Option(help="The most to try as capacity.")] = 64,
    seconds: Annotated[float, typer.Option(help="How long each number is measured.")] = 15,
    stride: Annotated[float, typer.Option(help="Seconds between a camera's windows.")] = 1.0,
    kind: Annotated[str, typer.Option(help="camera or recording.")] = "camera",
    size: Annotated[str, typer.Option(help="1080p or 720p.")] = "1080p",
    crop: Annotated[int, typer.Option(help="160 or 182 pixels, of X3D-S.")] = 182,
    rtsp: Annotated[bool, typer.Option("--rtsp", help="From a real RTSP server.")] = False,
    together: Annotated[bool, typer.Option("--together", help="Begin all at once.")] = False,
    model_toml: ModelToml = "",
    cache: Cache = DEFAULT_CACHE,
) -> None:
    """Find the capacity, measure half and twice of it, and say whether the bars hold."""
    film = filmed(cache, size, kind, 15)
    model = model_file(cache, film, crop=crop)
    plan = WindowPlan.of(read_manifest(model).clip_spec, stride)
    stride = float(plan.stride_s)
    demands = Demands(
        stride_s=stride,
        seconds=stride * max(1, round(seconds / stride)),  # so that every camera has as many due
        window_s=float(plan.span_s),
        min_served=_MIN_SERVED,
        starts=1 if together else 2 * limit,
        live=rtsp,
    )
    with source(lasting(film, demands.lasts_s()), rtsp) as url:
        first = tables([FIRST], url)
        with daemon(first, model, stride_s=stride, model_toml=model_toml) as child:
            ramp = Ramp(child, url, demands)
            ramp.wait_for(FIRST)
            capacity = largest(
                lambda cameras: measured(ramp, cameras).held, start=start, limit=limit
            )
            bars = bars_of(ramp, capacity) if capacity else []
    bars = bars or [Bar("cameras held", 0, 1)]
    settings = {
        "stride_s": stride,
        "seconds": demands.seconds,
        "film": film.name,
        "rtsp": rtsp,
        "together": together,
        "network": f"x3d_s, 13 x {crop}",
        "model_toml": model_toml,
        "build": ramp.backend,
    }
    rows = [row_of(ramp.levels[number]) for number in sorted(ramp.levels)]
    finish("cameras", out, settings=settings, rows=rows, bars=bars, details={"capacity": capacity})


if __name__ == "__main__":
    typer.run(main)
