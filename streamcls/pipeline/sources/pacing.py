"""When a file's frames are due, so that a recording plays like a camera."""

from fractions import Fraction

MAX_STEP_S = 2  # as in the timeline: a longer step is a cut, not a pause to be waited out
_MAX_LATE_S = 2.0


class Pacer:
    """Places media times on the monotonic clock by an anchor, so that no error adds up.

    Attributes:
        late_s: by how much the last frame came too late, seconds, before it was forgiven.
    """

    def __init__(self) -> None:
        self.late_s = 0.0
        self._anchor_media_s: Fraction | None = None
        self._anchor_s = 0.0
        self._last_media_s = Fraction(0)
        # Until there is one: a looped file of a single picture must not spin.
        self._interval_s = Fraction(1, 25)

    def due_s(self, media_s: Fraction, now_s: float) -> float:
        """Monotonic seconds at which the frame is due.

        At a cut or a loop the frame follows the one before by the last interval. A player more
        than two seconds late starts afresh from now, rather than rush to catch up.
        """
        if self._anchor_media_s is None:
            self._anchor(media_s, now_s)
        else:
            step_s = media_s - self._last_media_s
            if 0 < step_s <= MAX_STEP_S:
                self._interval_s = step_s
            else:
                self._anchor(media_s, self._place(self._last_media_s + self._interval_s))
        self._last_media_s = media_s
        self.late_s = max(0.0, now_s - self._place(media_s))
        if self.late_s > _MAX_LATE_S:
            self._anchor(media_s, now_s)
        return self._place(media_s)

    def _anchor(self, media_s: Fraction, at_s: float) -> None:
        self._anchor_media_s, self._anchor_s = media_s, at_s

    def _place(self, media_s: Fraction) -> float:
        assert self._anchor_media_s is not None
        return self._anchor_s + float(media_s - self._anchor_media_s)
