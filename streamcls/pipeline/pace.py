"""Which windows of a live stream are worked on, when there is more to do than can be done. Pure.

A stream that is late gives up whole windows, evenly: one in `multiple` is kept, so that the stride
in force is that many strides, and what lies between two windows need not even be decoded. No
stream knows of the others. Each widens its stride by a fixed step when it is late, and narrows it
by a share while it is not: of two streams that share a machine the faster one is late more often
and loses more of its rate, so that they come to equal rates.
"""

import math

from streamcls.transforms.grid import WindowPlan, phase_of

_LATE_S = 0.15  # later than jitter makes it
_TOO_LATE_S = 0.4  # what is under way by now is no longer worth its work
_AT_ONCE_S = 0.3  # a few frames, which may be late for any reason, are not a trend
_LASTING_S = 3.0  # for so long may a machine that has power to spare catch up
_IN_VAIN_S = 30.0  # late for so long, giving up has not helped: not all sources can leave out
_REMEMBERED_S = 30.0  # a single delay in this time costs what is under way, and no more
_STEP_S = 1.5
_SLOWEST_S = 30.0  # a stream is never looked at more seldom, unless its own stride is longer
_SETTLING_S = 5.0
# Of 7 s it is back at 1 s after 66 s of calm: slow in the first seconds, where it might be late
# again, fast after that. d(stride)/dt = -_NARROWING * stride * calm_s ** 2
_NARROWING = 2e-5


class Pace:
    """One live stream's pace, by windows that are numbered on the clock of arrivals.

    Attributes:
        phase: where in each stride its windows end; see `WindowPlan.first_window`.
    """

    def __init__(self, plan: WindowPlan, seat: int, max_stride_s: float | None = None) -> None:
        """Start at the full rate.

        Args:
            seat: the stream's number among all, from 0.
            max_stride_s: up to here a wider stride is no loss of windows; None: the plan's stride.
        """
        self.phase = phase_of(seat)
        self._seat = seat * math.sqrt(2) % 1  # also well spread, and apart from the phase
        self._stride_s = float(plan.stride_s)
        self._agreed = self._whole(max_stride_s or self._stride_s)
        self._wish_s = self._stride_s
        self._seen_s: float | None = None
        self._late_since_s: float | None = None
        self._calm_since_s = -math.inf
        self._heard_until_s = -math.inf
        self._struck_s = -math.inf

    @property
    def multiple(self) -> int:
        """Strides from one window to the next."""
        return self._whole(self._wish_s)

    @property
    def stride_s(self) -> float:
        """The stride in force, seconds."""
        return self.multiple * self._stride_s

    def keeps(self, number: int) -> bool:
        """Whether a window is worked on, by what is known now."""
        return self._is_on(number, self.multiple)

    def owes(self, number: int) -> bool:
        """Whether a window that is not worked on is a loss, and to be counted."""
        return self._is_on(number, min(self._agreed, self.multiple))

    def note(self, late_s: float, now_s: float) -> bool:
        """Take note, at each frame, of how late the stream is.

        Returns:
            Whether what is late is to be given up.
        """
        if self._seen_s is None:  # opening many streams at once makes all of them late, and passes
            self._heard_until_s = now_s + _SETTLING_S
        since_s, self._seen_s = now_s - (self._seen_s or now_s), now_s
        if late_s <= _LATE_S:
            self._late_since_s = None
            self._narrow(now_s, since_s)
            return False
        if self._late_since_s is None:
            self._late_since_s = now_s
        late_for_s = now_s - self._late_since_s
        too_late = self.is_too_late(late_s) and _AT_ONCE_S <= late_for_s < _IN_VAIN_S
        self._calm_since_s = max(now_s, self._heard_until_s)
        if (too_late or late_for_s >= _LASTING_S) and now_s >= self._heard_until_s:
            self._widen(now_s)
        return too_late

    @staticmethod
    def is_too_late(late_s: float) -> bool:
        """Whether what is late by so much is to be given up, once that lasts."""
        return late_s > _TOO_LATE_S

    def _widen(self, now_s: float) -> None:
        if now_s - self._struck_s < _REMEMBERED_S:
            widest_s = max(_SLOWEST_S, self._stride_s)
            self._wish_s = min(widest_s, self._wish_s + max(_STEP_S, self._stride_s))
        self._struck_s = now_s
        # What it changes shows only with the next windows.
        self._heard_until_s = self._calm_since_s = now_s + min(self._wish_s, _SETTLING_S)

    def _narrow(self, now_s: float, since_s: float) -> None:
        calm_s = max(0.0, now_s - self._calm_since_s)
        if self._wish_s > self._stride_s:
            share = min(1.0, _NARROWING * calm_s**2 * since_s)
            self._wish_s = max(self._stride_s, self._wish_s * (1 - share))

    def _whole(self, stride_s: float) -> int:
        return max(1, round(stride_s / self._stride_s))

    def _is_on(self, number: int, multiple: int) -> bool:
        """Whether a window is one in `multiple`, at this stream's own place among them."""
        return (number - int(self._seat * multiple)) % multiple == 0
