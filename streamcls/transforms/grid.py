"""Uniform temporal subsampling as a grid of instants: pure, exact, independent of frame rate.

A stream epoch is sampled at `origin + j * step_s`. At each instant the frame showing is the last
one at or before it. A window is `num_frames` of those, `frame_steps` apart.

    frames     0    .04   .08   .12   .16   .20   .24          (25 fps)
    grid       0                            .20                (step 0.2 s)
    showing    frame 0                      frame 5

On constant-rate video with a whole number of frames per interval these are exactly the frames of
pytorchvideo's `uniform_temporal_subsample` (`linspace(0, n - 1, T)`, truncated, over the window's
n = (T - 1) * interval * fps + 1 frames).
"""

import math
from dataclasses import dataclass
from fractions import Fraction

from streamcls.transforms.spec import ClipSpec

_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """Windows on the grid, in whole grid steps.

    Attributes:
        num_frames: T, grid frames in a window.
        step_s: the grid's spacing, seconds.
        frame_steps: grid steps between a window's frames; 1 unless the stride is finer.
        stride_steps: grid steps between the starts of neighbouring windows.
    """

    num_frames: int
    step_s: Fraction
    frame_steps: int
    stride_steps: int

    @classmethod
    def of(cls, spec: ClipSpec, stride_s: float) -> "WindowPlan":
        """The plan closest to a wished stride.

        A stride of at least one frame interval is rounded to whole intervals. A finer one divides
        the interval: interval 0.2 s, stride 0.05 s gives a 0.05 s grid, every 4th frame a clip.

        Raises:
            ValueError: the stride is not above 0.
        """
        stride = Fraction(stride_s).limit_denominator(1_000_000)
        if stride <= 0:
            raise ValueError(f"stride_s is {stride_s}; it must be above 0")
        interval = spec.frame_interval_s
        if stride >= interval:
            return cls(spec.num_frames, interval, 1, round(stride / interval))
        divisor = round(interval / stride)
        return cls(spec.num_frames, interval / divisor, divisor, 1)

    @property
    def stride_s(self) -> Fraction:
        """The stride in force, seconds."""
        return self.stride_steps * self.step_s

    @property
    def span_steps(self) -> int:
        """Grid steps from a window's first frame to its last."""
        return (self.num_frames - 1) * self.frame_steps

    @property
    def span_s(self) -> Fraction:
        """Seconds from a window's first frame to its last."""
        return self.span_steps * self.step_s

    def needs(self, instant: int) -> bool:
        """Whether any window holds grid instant `instant` (0 or later).

        The youngest window that can hold it starts at the last multiple of the stride at or
        before it. With `frame_steps` above 1 the stride is one step, so every instant is held.
        """
        return instant % self.stride_steps <= self.span_steps

    def needs_any(self, first: int, before: int) -> bool:
        """Whether any window holds one of the instants from `first` up to, not with, `before`."""
        first = max(first, 0)
        if first >= before:
            return False
        since_start = first % self.stride_steps
        return since_start <= self.span_steps or first - since_start + self.stride_steps < before

    def is_under_way(self, instant: int) -> bool:
        """Whether, once `instant` was shown, a window has begun that is not complete yet."""
        return instant % self.stride_steps < self.span_steps

    def closes(self, instant: int) -> int | None:
        """The start instant of the window whose last frame is `instant`, or None."""
        start = instant - self.span_steps
        return start if start >= 0 and start % self.stride_steps == 0 else None

    def instants(self, start: int) -> range:
        """The T grid instants of the window that starts at `start`."""
        return range(start, start + self.span_steps + 1, self.frame_steps)

    def starts(self, first: int, before: int) -> range:
        """The starts of the windows that begin before an instant and do not end before `first`."""
        first_start = -(-(first - self.span_steps) // self.stride_steps) * self.stride_steps
        return range(max(0, first_start), before, self.stride_steps)

    def first_window(self, arrival_s: float, phase: float) -> tuple[int, Fraction]:
        """The first window of a live epoch whose first frame came at `arrival_s`.

        On the clock of arrivals a window ends a share `phase` of the stride after one of its whole
        multiples: whenever a stream begins, its windows end apart from those of other phases.

        Returns:
            The number of that multiple, and for how long the window waits for its start, seconds:
            less than a stride.
        """
        earliest = (Fraction(arrival_s) + self.span_s) / self.stride_s - Fraction(phase)
        number = math.ceil(earliest)
        return number, (number - earliest) * self.stride_s


def phase_of(index: int) -> float:
    """The phase of one of many streams: however many there are, they lie well apart.

    Multiples of the golden ratio, modulo 1: each falls into one of the widest gaps left.
    """
    return index * _GOLDEN % 1


class GridSampler:
    """Says, frame by frame, which grid instants each frame shows at.

    An instant between two frames belongs to the earlier one, which is known only when the later
    one arrives; an instant a frame hits exactly belongs to it at once, since times only grow.
    """

    def __init__(self, step_s: Fraction, origin_s: Fraction | None = None) -> None:
        """A sampler for one epoch; without `origin_s` the first frame's time is the origin."""
        self.step_s = step_s
        self.origin_s = origin_s
        self._next = 0

    def push(self, media_s: Fraction) -> tuple[range, range]:
        """Take the next frame's time; it must be later than the one before.

        Returns:
            Two ranges of instants not given before: those the previous frame showed at, and those
            (none or one) this frame is already known to show at.
        """
        if self.origin_s is None:
            self.origin_s = media_s
        steps = (media_s - self.origin_s) / self.step_s
        reached = math.floor(steps)
        first = self._next
        if reached < first:
            return range(0), range(0)
        self._next = reached + 1
        if steps == reached:
            return range(first, reached), range(reached, reached + 1)
        return range(first, reached + 1), range(0)

    def first_from(self, media_s: Fraction) -> int:
        """The first instant at or after a media time. The origin must be known."""
        if self.origin_s is None:
            raise ValueError("no frame has been pushed, so the grid has no origin yet")
        # ceil((media_s - origin_s) / step_s) in whole numbers: asked of every packet.
        media, origin, step = media_s, self.origin_s, self.step_s
        ahead = media.numerator * origin.denominator - origin.numerator * media.denominator
        whole = media.denominator * origin.denominator * step.numerator
        return -(-ahead * step.denominator // whole)

    def time_of(self, instant: int) -> Fraction:
        """Media time of a grid instant, seconds. The origin must be known."""
        if self.origin_s is None:
            raise ValueError("no frame has been pushed, so the grid has no origin yet")
        return self.origin_s + instant * self.step_s
