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

import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from tests.benchmarks.films import DEFAULT_CACHE, Cache, Film, filmed, lasting
from tests.benchmarks.line import ModelToml, change_streams, running
from tests.benchmarks.network import model_file
from tests.benchmarks.processes import cpu_s
from tests.benchmarks.report import Bar, Out, finish, percentile
from tests.benchmarks.watching import Watcher, fairness
from tests.rtsp import rtsp_server
from tests.serving import Served, stream
from tests.soak.watching import metrics

FIRST = "first"
"""The stream that a daemon begins with, until it is given those that are measured."""
MAX_AGE_MS = 500.0
MIN_SERVED = 0.99
_SETTLE_S = 4.0  # a first window needs 2.4 s of pictures
_GRACE_S = 2.5  # what was due at the end may still come
_GOLDEN = (math.sqrt(5) - 1) / 2  # parts of a stride: however many, they lie far apart


@dataclass(frozen=True, slots=True)
class Level:
    """What so many cameras came to."""

    cameras: int
    held: bool
    age_p50_ms: float
    age_p99_ms: float
    latency_p99_ms: float
    model_p99_ms: float
    served: float
    unreported: int
    dropped: str
    fairness: float
    jain: float
    cpu_cores: float


class Ramp:
    """One daemon, given one number of cameras after another."""

    def __init__(
        self,
        served: Served,
        config: Path,
        url: str,
        *,
        live: bool,
        stride_s: float,
        seconds: float,
        together: bool,
    ) -> None:
        self.levels: dict[int, Level] = {}
        self._watcher = Watcher(served, live=live)
        self._served = served
        self._config = config
        self._url = url
        self._stride_s = stride_s
        self._seconds = seconds
        self._together = together

    def wait_for(self, name: str) -> None:
        """Wait until a stream has had a picture: the daemon then takes what it is told."""
        self._watcher.expect(name)
        self._watcher.until_flowing([name])

    def level(self, cameras: int) -> Level:
        """Measure so many cameras, unless that has been done."""
        if cameras not in self.levels:
            names = [f"cam{len(self.levels)}-{index}" for index in range(cameras)]
            self._begin(names)
            self.levels[cameras] = found = self._measure(names)
            print(
                f"{cameras:3} cameras: p99 age {found.age_p99_ms:.0f} ms,"
                f" {found.served:.1%} served, {'held' if found.held else 'not held'}",
                flush=True,
            )
        return self.levels[cameras]

    def largest(self, start: int, limit: int) -> int:
        """The largest number that is held, up to the limit; 0 where not even one is."""
        held, lost, cameras = 0, limit + 1, start
        while held + 1 < lost:
            if self.level(cameras).held:
                held = cameras
            else:
                lost = cameras
            cameras = min(2 * held, limit) if held and lost > limit else (held + lost) // 2
        return held

    def _begin(self, names: list[str]) -> None:
        """Let the streams begin, each at its own part of the stride, in place of all others."""
        groups = [names] if self._together else [[name] for name in names]
        begun: list[str] = []
        for index, group in enumerate(groups):
            begun += group
            for name in group:
                self._watcher.expect(name)
            part_s = index * _GOLDEN % 1 * self._stride_s
            self._watcher.listen((part_s - time.time()) % self._stride_s)
            change_streams(self._served, self._config, tables(begun, self._url))
            self._watcher.until_flowing(group)

    def _measure(self, names: list[str]) -> Level:
        self._watcher.listen(_SETTLE_S)
        process, began_s = self._served.process.pid, time.time()
        over_s = began_s + self._seconds
        used_s = cpu_s(process)
        self._watcher.listen(over_s - time.time())
        used_s = cpu_s(process) - used_s
        self._watcher.listen(_GRACE_S)
        cameras = [self._watcher.cameras[name] for name in names]
        ages = [age for camera in cameras for age in camera.ages_ms(began_s, over_s)]
        windows = [one for camera in cameras for one in camera.came(began_s, over_s)]
        of_those_due = [camera.due(began_s, over_s) for camera in cameras]
        served = sum(of_those_due) / (len(names) * round(self._seconds / self._stride_s))
        unreported, reasons = self._lost(names)
        p99 = _p99(ages)
        least, jain = fairness(of_those_due)
        return Level(
            cameras=len(names),
            held=p99 <= MAX_AGE_MS and served >= MIN_SERVED and not unreported,
            age_p50_ms=percentile(ages, 0.5) if ages else math.inf,
            age_p99_ms=p99,
            latency_p99_ms=_p99([one.total_ms for one in windows]),
            model_p99_ms=_p99([one.inference_ms for one in windows]),
            served=served,
            unreported=unreported,
            dropped=", ".join(f"{why} {count}" for why, count in reasons.items() if count),
            fairness=least,
            jain=jain,
            cpu_cores=used_s / self._seconds,
        )

    def _lost(self, names: list[str]) -> tuple[int, Counter[str]]:
        """Windows that did not come and that the daemon does not count; what it counts, by why."""
        counted = metrics(self._served.http)
        unreported, reasons = 0, Counter[str]()
        for name in names:
            told = {key[2]: round(value) for key, value in counted.items() if _is_drop(key, name)}
            reasons.update(told)
            missing = self._watcher.cameras[name].missing(self._stride_s)
            unreported += max(0, missing - sum(told.values()))
        return unreported, reasons


def tables(names: list[str], url: str) -> str:
    """The streams' part of a configuration."""
    return "".join(stream(name, url) for name in names)


def _p99(values: list[float]) -> float:
    return percentile(values, 0.99) if values else math.inf


def _is_drop(key: tuple[str, ...], name: str) -> bool:
    return key[0] == "streamcls_windows_dropped_total" and key[1] == name


@contextmanager
def source(film: Film, rtsp: bool) -> Iterator[str]:
    """What the cameras' URL is."""
    with rtsp_server(file=film.path, fps=30) if rtsp else nullcontext() as server:
        yield server.url if server else str(film.path)


def bars_of(ramp: Ramp, capacity: int) -> list[Bar]:
    """Half and twice the capacity, against what they are held to."""
    half, at = ramp.level(max(1, capacity // 2)), ramp.level(capacity)
    twice = ramp.level(2 * capacity)
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
    seconds = stride * max(1, round(seconds / stride))  # so that every camera has as many due
    film = filmed(cache, size, kind, 15)
    model = model_file(cache, film, crop=crop)
    # Until the last of twice the limit has begun and been measured, the first must not have ended.
    longest = lasting(film, 30 + seconds + 2 * limit * (stride + 1))
    with source(longest, rtsp) as url:
        first = tables([FIRST], url)
        with running(first, model, stride_s=stride, model_toml=model_toml) as (served, config):
            ramp = Ramp(
                *(served, config, url),
                live=rtsp,
                stride_s=stride,
                seconds=seconds,
                together=together,
            )
            ramp.wait_for(FIRST)
            capacity = ramp.largest(start, limit)
            bars = bars_of(ramp, capacity) if capacity else []
            backend = next((key for key in metrics(served.http) if "build_info" in key[0]), ())
    bars = bars or [Bar("cameras held", 0, 1)]
    settings = {
        "stride_s": stride,
        "seconds": seconds,
        "film": film.name,
        "rtsp": rtsp,
        "together": together,
        "network": f"x3d_s, 13 x {crop}",
        "model_toml": model_toml,
        "build": backend,
    }
    rows = [asdict(ramp.levels[number]) for number in sorted(ramp.levels)]
    finish("cameras", out, settings=settings, rows=rows, bars=bars, details={"capacity": capacity})


if __name__ == "__main__":
    typer.run(main)
