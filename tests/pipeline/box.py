"""A small box in simulated time: cameras whose decoders and one worker share a few cores.

The pace, the backlog and the windows' numbers are the daemon's own; decoding is work that takes
CPU seconds, group of pictures by group: one that no kept window touches costs nothing.
"""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from streamcls.frames import Window
from streamcls.pipeline.backlog import Backlog
from streamcls.pipeline.pace import Pace
from streamcls.transforms import ClipSpec, WindowPlan
from tests.pipeline.stubs import ManualClock

X3D_S = ClipSpec(num_frames=13, sampling_rate=6, trained_fps=30, short_side=4, crop=4)
FPS = 25
TICK_S = 0.02
NEVER = threading.Event()


@dataclass
class Camera:
    """A stream, from its frames' due times to its windows; behind where it lacks CPU."""

    seat: int
    stride_s: float
    frame_cost_s: float
    gop: int
    max_stride_s: float | None = None
    closed: int = 0
    lost: int = 0
    frame: int = 0
    work_s: float = 0.0
    lateness_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.plan = WindowPlan.of(X3D_S, self.stride_s)
        self.pace = Pace(self.plan, self.seat, self.max_stride_s)
        self.span_s = float(self.plan.span_s)
        self.keyframe = self.seat * 7 % self.gop
        self.decoding = False
        self.held = 0
        self.kept: list[int] = []
        self.next = math.ceil(self.span_s / self.stride_s - self.pace.phase)

    def end_s(self, number: int) -> float:
        return (number + self.pace.phase) * self.stride_s

    def needs(self, from_s: float, before_s: float) -> bool:
        while self.end_s(self.next) - self.span_s < before_s:  # decided once, when first asked
            if self.pace.keeps(self.next):
                self.kept.append(self.next)
            else:
                self.lost += self.pace.owes(self.next)
            self.next += 1
        return any(
            self.end_s(k) >= from_s and self.end_s(k) - self.span_s < before_s for k in self.kept
        )

    def begin_frame(self) -> None:
        """How much work the next frame is: none, its own, or that of all held back before it."""
        since_keyframe = (self.frame - self.keyframe) % self.gop
        next_keyframe = self.frame - since_keyframe + self.gop
        needed = self.needs(self.frame / FPS, next_keyframe / FPS)
        if since_keyframe == 0 or not needed:
            self.decoding, self.held = needed, 0 if since_keyframe == 0 else self.held
        elif not self.decoding:
            self.decoding, self.work_s = True, self.held * self.frame_cost_s
        self.held += not self.decoding
        self.work_s += self.frame_cost_s if self.decoding else 0.0

    def run(self, cpu_s: float, now_s: float) -> list[float]:
        """Decode for so long what is due; the ends of the windows that this closes."""
        ends: list[float] = []
        while self.frame / FPS <= now_s:
            if self.work_s == 0:
                self.begin_frame()
            done_s = min(self.work_s, cpu_s)
            self.work_s, cpu_s = self.work_s - done_s, cpu_s - done_s
            if self.work_s > 1e-9:
                break
            self.work_s = 0.0
            at_s = self.frame / FPS
            self.frame += 1
            ends += [self.end_s(k) for k in self.kept if self.end_s(k) <= at_s]
            self.kept = [k for k in self.kept if self.end_s(k) > at_s]
        return ends

    def behind_s(self, now_s: float) -> float:
        return max(0.0, now_s - self.frame / FPS)

    def give_up(self) -> None:
        under_way = [k for k in self.kept if self.end_s(k) - self.span_s < self.frame / FPS]
        self.lost += len(under_way)
        self.kept = [k for k in self.kept if k not in under_way]


class Box:
    """All cameras and the worker, tick by tick."""

    def __init__(self, cameras: list[Camera], *, cores: int = 2, window_cost_s: float) -> None:
        """`window_cost_s`: what the network takes for one window, with all cores to itself."""
        self.cameras = cameras
        self.clock = ManualClock(0.0)
        self.backlog = Backlog(self.clock)
        self.ages_s: list[float] = []
        self.served = [0] * len(cameras)
        self.power: Callable[[float], float] = lambda now_s: 1.0
        self._cores = cores
        self._cost_s = window_cost_s
        self._batch: list[Window] = []
        self._busy_until_s = 0.0

    def run(self, seconds: float) -> None:
        """Go on for so long; what was measured before is forgotten."""
        self.ages_s, self.served = [], [0] * len(self.cameras)
        end_s = self.clock.now_s + seconds
        while self.clock.now_s < end_s:
            self.clock.now_s += TICK_S
            self._tick(self.clock.now_s)

    def _tick(self, now_s: float) -> None:
        # The network goes first; where it runs, decoders have an eighth of the cores.
        free = self._cores * self.power(now_s) * (0.125 if self._busy_until_s > now_s else 1.0)
        active = sum(camera.frame / FPS <= now_s for camera in self.cameras)
        share_s = TICK_S * min(1.0, free / max(1, active))
        for camera in self.cameras:
            for end_s in camera.run(share_s, now_s):
                self.backlog.put(_window(camera.seat, end_s), lossless=False, cancelled=NEVER)
                camera.closed += 1
            self._judge(camera, now_s)
        if self._busy_until_s <= now_s:
            self._classify(now_s)

    def _judge(self, camera: Camera, now_s: float) -> None:
        """As a stream line does at each frame."""
        behind_s, waited_s = camera.behind_s(now_s), self.backlog.late_s(str(camera.seat))
        if camera.pace.note(max(behind_s, waited_s), now_s):
            if camera.pace.is_too_late(behind_s):
                camera.give_up()
            if camera.pace.is_too_late(waited_s):
                self.backlog.withdraw(str(camera.seat))

    def _classify(self, now_s: float) -> None:
        for window in self._batch:
            self.ages_s.append(self._busy_until_s - window.end_utc_s)
            self.served[int(window.stream)] += 1
        taken = self.backlog.take(8, 0) or []
        self._batch = [item for item in taken if isinstance(item, Window)]
        self._busy_until_s = now_s + self._cost_s / self.power(now_s) * len(self._batch)


def _window(seat: int, end_s: float) -> Window:
    return Window(
        stream=str(seat),
        stream_epoch=1,
        clip=(np.zeros((1, 1, 3), np.uint8),),
        start_s=Fraction(0),
        end_s=Fraction(0),
        start_utc_s=0.0,
        end_utc_s=end_s,
        coverage=1.0,
        arrival_monotonic_s=end_s,
        closed_monotonic_s=end_s,
    )


def p99(values: list[float]) -> float:
    return sorted(values)[int(0.99 * len(values))]


def fairness(shares: list[int]) -> float:
    """Jain's index: 1 where all are equal, 1/n where one has all."""
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 0.0
