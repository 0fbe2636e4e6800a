"""One daemon, given one number of cameras after another, and what each number came to."""

import math
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamcls.bench.box import Around, Counters, memory_free_mb
from streamcls.bench.child import Child, tables
from streamcls.bench.costs import Costs
from streamcls.bench.knee import percentile
from streamcls.bench.processes import Split, by_role, cpu_s, memory_mb, threads
from streamcls.bench.watching import Watcher, fairness
from streamcls.observe.samples import Samples

FIRST = "first"
"""The stream that a daemon begins with, until it is given those that are measured."""
MAX_AGE_MS = 500.0
SETTLE_S = 2.0  # beyond a first window's pictures
GRACE_S = 2.5  # what was due at the end may still come
_GOLDEN = (math.sqrt(5) - 1) / 2  # parts of a stride: however many, they lie far apart


@dataclass(frozen=True, slots=True)
class Level:
    """What so many cameras came to.

    Attributes:
        age_p50_ms: from when a window's last picture was due, had nothing ever been late, until its
            subscriber had what the network said of it. Infinite where nothing came.
        latency_p50_ms: from its arrival to its publication, as the daemon tells it.
        unreported: windows that did not come and that the daemon does not count.
        dropped: windows that it gave up meanwhile, by reason.
        stride_s: the widest in force at the end.
        fairness: the fewest windows of a camera over the most; `jain` is Jain's index.
        model_busy: share of the time in which a batch was in the network.
        subscriber_cores: what the measuring itself kept busy.
        free_mb: memory that was left in the machine.
    """

    cameras: int
    held: bool
    age_p50_ms: float
    age_p99_ms: float
    latency_p50_ms: float
    latency_p99_ms: float
    model_p99_ms: float
    due: int
    served: int
    unreported: int
    dropped: dict[str, int]
    stride_s: float
    fairness: float
    jain: float
    cpu: Split
    model_busy: float
    subscriber_cores: float
    around: Around
    uss_mb: float
    pss_mb: float
    free_mb: float

    @property
    def served_share(self) -> float:
        """Of the windows that were due."""
        return self.served / self.due


@dataclass(frozen=True, slots=True)
class Demands:
    """How a number of cameras is measured, and when it is held.

    Attributes:
        stride_s: the stride in force where nothing is late, as the model's grid has it.
        seconds: a whole number of strides, so that every camera has as many windows due.
        window_s: how long a camera's first window takes.
        starts: groups in which cameras begin, each at another part of a second or of a shorter
            stride: pictures of real ones do not come all at once; 1: all do.
    """

    stride_s: float
    seconds: float
    window_s: float
    max_age_ms: float = MAX_AGE_MS
    min_served: float = 1.0
    starts: int = 8
    live: bool = False

    @property
    def start_span_s(self) -> float:
        """In whose parts groups begin."""
        return min(1.0, self.stride_s)

    def lasts_s(self) -> float:
        """How long a film must last that no camera comes to its end of, however slow the start."""
        begins_s = self.starts * (self.start_span_s + 2)
        return 60 + begins_s + self.window_s + SETTLE_S + self.seconds + GRACE_S


class Ramp:
    """Measures numbers of cameras, all of one source."""

    def __init__(
        self,
        child: Child,
        url: Path | str,
        demands: Demands,
        *,
        costs: Costs | None = None,
        on_step: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Begin with nothing measured.

        Args:
            costs: by which the capture threads' time is parted; None: all of it is decoding.
            on_step: told what is done now, in a few words.
        """
        self.levels: dict[int, Level] = {}
        self._child = child
        self._watcher = Watcher(child.receive, live=demands.live)
        self._url = url
        self._demands = demands
        self._costs = costs
        self._on_step = on_step
        self._measured = 0

    @property
    def backend(self) -> str:
        """What ran the network last."""
        return self._watcher.backend

    def wait_for(self, name: str, patience_s: float = 120) -> None:
        """Wait until a stream has had a picture: the daemon then takes what it is told."""
        self._watcher.expect(name)
        self._watcher.until_flowing([name], patience_s)

    def level(self, cameras: int) -> Level:
        """Measure so many cameras, unless that has been done."""
        return self.levels[cameras] if cameras in self.levels else self.again(cameras)

    def again(self, cameras: int) -> Level:
        """Measure so many cameras, with streams that are new to the daemon."""
        names = [f"cam{self._measured}-{index}" for index in range(cameras)]
        self._measured += 1
        self._on_step(f"{_cameras(cameras)}: starting")
        self._begin(names)
        self.levels[cameras] = self._measure(names)
        return self.levels[cameras]

    def _begin(self, names: list[str]) -> None:
        """Let the streams begin, in place of all others."""
        span_s, starts = self._demands.start_span_s, min(self._demands.starts, len(names))
        groups = [names[first::starts] for first in range(starts)]
        begun: list[str] = []
        for index, group in enumerate(groups):
            begun += group
            for name in group:
                self._watcher.expect(name)
            self._watcher.listen((index * _GOLDEN % 1 * span_s - time.time()) % span_s)
            self._child.change_streams(tables(begun, self._url))
            self._watcher.until_flowing(group)

    def _measure(self, names: list[str]) -> Level:
        demands, process = self._demands, self._child.process.pid
        self._on_step(f"{_cameras(len(names))}: settling")
        self._watcher.listen(demands.window_s + SETTLE_S)
        self._on_step(f"{_cameras(len(names))}: measuring for {demands.seconds:.0f} s")
        before, began_s = _Look.at(process, self._child.metrics()), time.time()
        over_s = began_s + demands.seconds
        self._watcher.listen(over_s - time.time())
        after = _Look.at(process, self._child.metrics())
        memory, free_mb = memory_mb(process), memory_free_mb()
        self._on_step(f"{_cameras(len(names))}: waiting for what is late")
        self._watcher.listen(GRACE_S)
        counted = self._child.metrics()
        cameras = [self._watcher.cameras[name] for name in names]
        ages = [age for camera in cameras for age in camera.ages_ms(began_s, over_s)]
        windows = [one for camera in cameras for one in camera.came(began_s, over_s)]
        of_those_due = [camera.due(began_s, over_s) for camera in cameras]
        due = len(names) * round(demands.seconds / demands.stride_s)
        served, p99 = min(due, sum(of_those_due)), quantile(ages, 0.99)
        unreported = self._unreported(names, counted)
        fewest, jain = fairness(of_those_due)
        return Level(
            cameras=len(names),
            held=p99 <= demands.max_age_ms
            and served >= demands.min_served * due
            and not unreported,
            age_p50_ms=quantile(ages, 0.5),
            age_p99_ms=p99,
            latency_p50_ms=quantile([one.total_ms for one in windows], 0.5),
            latency_p99_ms=quantile([one.total_ms for one in windows], 0.99),
            model_p99_ms=quantile([one.inference_ms for one in windows], 0.99),
            due=due,
            served=served,
            unreported=unreported,
            dropped=dict(_drops(after.counted, names) - _drops(before.counted, names)),
            stride_s=max(counted.get(("streamcls_stride_seconds", name), 0) for name in names),
            fairness=fewest,
            jain=jain,
            cpu=self._split(names, before, after),
            model_busy=(after.in_model_s - before.in_model_s) / (after.box.at_s - before.box.at_s),
            subscriber_cores=(after.own_s - before.own_s) / (after.box.at_s - before.box.at_s),
            around=Around.between(
                before.box,
                after.box,
                after.process_s - before.process_s + after.own_s - before.own_s,
            ),
            uss_mb=memory["uss"],
            pss_mb=memory["pss"],
            free_mb=free_mb,
        )

    def _split(self, names: Sequence[str], before: "_Look", after: "_Look") -> Split:
        pictures = [
            sum(
                after.counted.get((f"streamcls_frames_{what}_total", name), 0)
                - before.counted.get((f"streamcls_frames_{what}_total", name), 0)
                for name in names
            )
            for what in ("decoded", "converted")
        ]
        return Split.of(
            by_role(before.threads, after.threads),
            after.process_s - before.process_s,
            after.box.at_s - before.box.at_s,
            self._costs.convert_share(*pictures) if self._costs else 0.0,
        )

    def _unreported(self, names: Sequence[str], counted: Samples) -> int:
        """Windows since the streams began that did not come and that the daemon does not count."""
        missing = {
            name: self._watcher.cameras[name].missing(self._demands.stride_s) for name in names
        }
        return sum(max(0, missing[name] - _drops(counted, [name]).total()) for name in names)


@dataclass(frozen=True, slots=True)
class _Look:
    """What is counted at one moment, inside and outside."""

    box: Counters
    threads: dict[int, tuple[str, float]]
    process_s: float
    own_s: float
    counted: Samples

    @property
    def in_model_s(self) -> float:
        """Wall time for which batches were in the network."""
        return self.counted.get(("streamcls_inference_duration_seconds_sum",), 0.0)

    @classmethod
    def at(cls, process: int, counted: Samples) -> "_Look":
        own = os.times()
        return cls(
            Counters.now(), dict(threads(process)), cpu_s(process), own.user + own.system, counted
        )


def quantile(values: list[float], share: float) -> float:
    """As `percentile`; infinite of nothing, for what never came is older than all that did."""
    return percentile(values, share) if values else math.inf


def _drops(counted: Samples, names: Sequence[str]) -> Counter[str]:
    """Windows that the daemon counts as dropped of these streams, by reason."""
    reasons = Counter[str]()
    for key, value in counted.items():
        if key[0] == "streamcls_windows_dropped_total" and key[1] in names:
            reasons[key[2]] += round(value)
    return reasons


def _cameras(number: int) -> str:
    return f"{number} camera" + "s" * (number != 1)
