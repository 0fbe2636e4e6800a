"""Which windows of one stream epoch are worked on: all, or those that its pace keeps. Pure."""

from collections import Counter

from streamcls.pipeline.pace import Pace
from streamcls.transforms.grid import WindowPlan


class Selection:
    """Windows by the instants at which they start; each is decided once, when first asked about.

    What a decoder has left out by then cannot be had later, however the pace has changed.
    """

    def __init__(
        self, plan: WindowPlan, pace: Pace | None, first_number: int, dropped: Counter[str]
    ) -> None:
        """Nothing is decided yet.

        Args:
            pace: None: every window is kept.
            first_number: what the pace calls the window that starts at instant 0.
            dropped: where windows that are given up are counted, by reason.
        """
        self._plan = plan
        self._pace = pace
        self._first_number = first_number
        self._dropped = dropped
        self._decided = 0  # windows
        self._given_up: set[int] = set()  # starts of those that would not have ended yet

    def needs(self, first: int, before: int) -> bool:
        """Whether a window that is kept needs an instant from `first` up to, not with, `before`."""
        self._decide(before)
        if not self._given_up:
            return self._plan.needs_any(first, before)
        return first < before and any(
            start not in self._given_up for start in self._plan.starts(first, before)
        )

    def closes(self, instant: int) -> int | None:
        """The start of the kept window whose last frame is `instant`, or None."""
        start = self._plan.closes(instant)
        if start in self._given_up:
            self._given_up.remove(start)
            return None
        return start

    def is_under_way(self, instant: int) -> bool:
        """Whether, once `instant` was shown, a kept window has begun that is not complete yet."""
        return any(start not in self._given_up for start in self._under_way(instant))

    def give_up(self, instant: int) -> None:
        """Give up what is under way once `instant` was shown."""
        self._decide(instant + 1)
        under_way = set(self._under_way(instant)) - self._given_up
        self._dropped["behind"] += len(under_way)
        self._given_up |= under_way

    def _under_way(self, instant: int) -> range:
        return self._plan.starts(instant + 1, instant + 1)

    def _decide(self, before: int) -> None:
        """Decide on the windows that start before an instant."""
        while (start := self._decided * self._plan.stride_steps) < before:
            number = self._first_number + self._decided
            if self._pace and not self._pace.keeps(number):
                self._given_up.add(start)
                self._dropped["behind"] += self._pace.owes(number)
            self._decided += 1
