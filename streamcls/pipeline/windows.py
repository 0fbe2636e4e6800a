"""Frames in, windows out: the grid, the ring and coverage of one stream. No threads, no waiting."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

from streamcls.clock import Clock
from streamcls.frames import Frame, RawImage, RgbImage, Step, Undecoded, Window
from streamcls.pipeline.pace import Pace
from streamcls.pipeline.ring import FrameRing
from streamcls.pipeline.selection import Selection
from streamcls.pipeline.still import StillPicture
from streamcls.pipeline.timeline import Timeline
from streamcls.transforms.grid import GridSampler, WindowPlan


@dataclass(slots=True)
class WindowStats:
    """Counts for the metrics; written by the stream's capture thread only."""

    frames_converted: int = 0
    windows: int = 0
    """Whole windows with enough coverage."""
    windows_dropped: Counter[str] = field(default_factory=Counter)
    frames_dropped: Counter[str] = field(default_factory=Counter)
    """Decoded frames that no window may use."""

    def add(self, other: "WindowStats") -> None:
        """Count what another has counted as well."""
        self.frames_converted += other.frames_converted
        self.windows += other.windows
        self.windows_dropped.update(other.windows_dropped)
        self.frames_dropped.update(other.frames_dropped)


@dataclass(slots=True)
class _Held:
    """The latest frame: converted only once an instant is known to show it."""

    frame: Frame
    rgb: RgbImage | None = None


class WindowAssembler:
    """Closes the windows of one stream.

    Only frames that show at a grid instant some window needs are converted, each once, however
    many instants and windows share it. A window never spans two stream epochs.
    """

    def __init__(
        self,
        stream: str,
        plan: WindowPlan,
        *,
        convert: Callable[[RawImage], RgbImage],
        min_coverage: float,
        live: bool,
        clock: Clock,
        lane: int = 0,
        epochs_before: int = 0,
        watch_still: bool = False,
        pace: Pace | None = None,
    ) -> None:
        """Start with nothing seen.

        Args:
            convert: the frame half of the transforms.
            live: whether frames come when they come, or faster than life.
            lane: given to every window.
            epochs_before: stream epochs that there were already; the first is numbered after them.
            watch_still: tell in each step for how long the picture has not changed.
            pace: says when windows are to end, and which of them are worth it; None: the first one
                starts at the epoch's first frame, and all are made.
        """
        self.stats = WindowStats()
        self.timeline = Timeline(epochs_before)
        self._stream = stream
        self._plan = plan
        self._convert = convert
        self._min_coverage = min_coverage
        self._live = live
        self._lane = lane
        self._watch_still = watch_still
        self._still = StillPicture()
        self._unchanged_s = 0.0
        self._clock = clock
        self._pace = pace
        self._grid_from_s = Fraction(0)
        self._capacity = plan.span_steps + 1
        self._ring = FrameRing(self._capacity)
        self._frames_before = [0] * self._capacity
        self._grid = GridSampler(plan.step_s)
        self._selection = Selection(plan, pace, 0, self.stats.windows_dropped)
        self._held: _Held | None = None
        self._shown: int | None = None  # the epoch's newest instant
        self._unseen: int | None = None  # the newest instant whose picture nobody decoded
        self._frames = 0
        self._epoch_utc_s = 0.0

    def needs(self, from_s: Fraction, before_s: Fraction) -> bool:
        """Whether a window needs what shows from a media time on, up to another, in this epoch.

        Of a frame with no instant in its time a source may tell without decoding it.
        """
        if self._grid.origin_s is None:
            return True
        first, before = self._grid.first_from(from_s), self._grid.first_from(before_s)
        return self._selection.needs(first, before)

    def push(self, frame: Frame) -> list[Window]:
        """Take the next frame; returns the windows that it closes, oldest first."""
        if self._grid.origin_s is None and not frame.is_decoded:
            return []  # joined midway, among pictures that nobody needed before
        if self.timeline.repeats(frame):
            self.stats.frames_dropped["same_timestamp"] += 1
            return []
        if self.timeline.place(frame):
            self._begin_epoch(frame)
        media_s = self.timeline.media_s
        if media_s < self._grid_from_s:
            return []
        shown_before, shown_now = self._grid.push(media_s)
        closed = [window for j in shown_before if (window := self._show(j, self._held, frame))]
        self._frames += 1
        self._held = _Held(frame)
        closed += [window for j in shown_now if (window := self._show(j, self._held, frame))]
        return closed

    def step(self, frame: Frame, waited_s: float = 0.0) -> Step:
        """As `push`, with what else there is to know of the frame.

        Args:
            waited_s: for how long the stream's newest window has waited for the network.
        """
        late_s = max(frame.behind_s, waited_s)
        gives_up = bool(self._pace and self._pace.note(late_s, frame.arrival_monotonic_s))
        if gives_up and self._shown is not None and Pace.is_too_late(frame.behind_s):
            self._selection.give_up(self._shown)
        windows = self.push(frame)
        return Step(
            arrival_monotonic_s=frame.arrival_monotonic_s,
            arrival_utc_s=frame.arrival_utc_s,
            stream_epoch=self.timeline.epoch,
            windows=windows,
            clock_offset_s=frame.clock_offset_s,
            unchanged_s=self._unchanged_s,
            is_decoded=frame.is_decoded,
            stride_s=self._stride_s,
            withdraws=gives_up and Pace.is_too_late(waited_s),
        )

    @property
    def _stride_s(self) -> float:
        return self._pace.stride_s if self._pace else float(self._plan.stride_s)

    def _begin_epoch(self, first: Frame) -> None:
        if self._shown is not None and self._selection.is_under_way(self._shown):
            self.stats.windows_dropped["broken"] += 1
        self._shown = self._unseen = None
        self._grid = GridSampler(self._plan.step_s)
        self._held = None
        self._frames = 0
        self._still, self._unchanged_s = StillPicture(), 0.0
        self._epoch_utc_s = first.arrival_utc_s
        number, wait_s = 0, Fraction(0)
        if self._pace:
            due_s = first.arrival_monotonic_s - first.behind_s
            number, wait_s = self._plan.first_window(due_s, self._pace.phase)
        # From a frame on, not from between two: what ends on a frame is known with it.
        self._grid_from_s = self.timeline.media_s + wait_s
        self._selection = Selection(self._plan, self._pace, number, self.stats.windows_dropped)

    def _show(self, instant: int, held: _Held | None, closing: Frame) -> Window | None:
        """Note that a frame shows at an instant; the window that ends there, if one does."""
        self._shown = instant
        needed, start = self._selection.needs(instant, instant + 1), self._selection.closes(instant)
        if held is None or not needed:
            return None
        if isinstance(held.frame.image, Undecoded):
            # Its successor was lost on the way, or this plan came after the source had asked.
            self._unseen = instant
        else:
            self._keep(instant, held, held.frame.image)
        self._frames_before[instant % self._capacity] = self._frames
        return None if start is None else self._close(start, instant, closing)

    def _keep(self, instant: int, held: _Held, image: RawImage) -> None:
        if held.rgb is None:
            held.rgb = self._convert(image)
            held.rgb.flags.writeable = False  # many windows, and caches behind them, refer to it
            self.stats.frames_converted += 1
            if self._watch_still:
                self._unchanged_s = self._still.push(held.rgb, self._grid.time_of(instant))
        self._ring.put(instant, held.rgb)

    def _close(self, start: int, end: int, closing: Frame) -> Window | None:
        if self._unseen is not None and self._unseen >= start:
            self.stats.windows_dropped["undecoded"] += 1
            return None
        coverage = self._coverage(start, end)
        if coverage < self._min_coverage:
            self.stats.windows_dropped["coverage"] += 1
            return None
        self.stats.windows += 1
        start_s, end_s = self._grid.time_of(start), self._grid.time_of(end)
        since_end_s = 0.0
        if self._live:
            # The last instant passed this long before the frame that proves what showed at it was
            # here, which is not when somebody came round to it.
            since_end_s = float(self.timeline.media_s - end_s) + closing.behind_s
        if self._live:
            end_utc_s = closing.arrival_utc_s - since_end_s
        else:
            # Played faster than life: wall time is counted from the epoch's first frame.
            end_utc_s = self._epoch_utc_s + float(end * self._plan.step_s)
        return Window(
            stream=self._stream,
            stream_epoch=self.timeline.epoch,
            clip=self._ring.gather(self._plan.instants(start)),
            start_s=start_s,
            end_s=end_s,
            start_utc_s=end_utc_s - float(end_s - start_s),
            end_utc_s=end_utc_s,
            coverage=coverage,
            arrival_monotonic_s=closing.arrival_monotonic_s - since_end_s,
            closed_monotonic_s=self._clock.monotonic_s(),
            clock_offset_s=closing.clock_offset_s,
            lane=self._lane,
            stride_s=self._stride_s,
        )

    def _coverage(self, start: int, end: int) -> float:
        """Decoded frames in (start, end] over those the stream's real rate promises, at most 1."""
        interval_s = self.timeline.frame_interval_s
        if interval_s is None:
            return 1.0
        # The small term keeps 60 expected frames 60 where the float quotient is 59.999.
        expected = math.floor(float(self._plan.span_s) / interval_s + 1e-6)
        decoded = (
            self._frames_before[end % self._capacity] - self._frames_before[start % self._capacity]
        )
        return 1.0 if decoded >= expected else decoded / expected
