"""A decider under test, and policies of every kind."""

import numpy as np
from hypothesis import strategies as st

from streamcls.pipeline.decisions import Change, Decider, Policy

PAN, SHAKE = 1, 2
PLAIN = {
    "smoothing_s": 0.0,
    "on_threshold": 0.6,
    "off_threshold": 0.4,
    "min_duration_s": 0.0,
    "cooldown_s": 0.0,
}


def policy(**changes: float) -> Policy:
    return Policy(**(PLAIN | changes))


class Run:
    """Feeds a decider of (background, pan, shake) and writes down what it said.

    An entry is (transition, label index, start, end).
    """

    def __init__(self, pan: Policy | None = None, shake: Policy | None = None) -> None:
        self.decider = Decider([None, pan or policy(), shake or policy()])
        self.log: list[tuple[str, int, float, float]] = []

    def push(self, time_s: float, pan: float, *, shake: float = 0.0, epoch: int = 1) -> None:
        scores = np.array([1.0, pan, shake])
        self._note(self.decider.push(scores, stream_epoch=epoch, time_s=time_s, utc_s=1e9 + time_s))

    def end(self) -> None:
        self._note(self.decider.end_all())

    def of(self, index: int) -> list[tuple[str, int, float, float]]:
        """A label's starts and ends."""
        return [entry for entry in self.log if entry[1] == index and entry[0] != "update"]

    def _note(self, changes: list[Change]) -> None:
        for change in changes:
            span = change.span
            self.log.append((change.transition, span.index, span.start_s, span.held_s))


seconds = st.just(0.0) | st.floats(0, 5)
policies = st.builds(
    lambda smoothing, on, drop, shortest, rest, again: policy(
        smoothing_s=smoothing,
        on_threshold=on,
        off_threshold=on * drop,
        min_duration_s=shortest,
        cooldown_s=rest,
        update_s=again,
    ),
    seconds,
    st.floats(0.05, 1),
    st.floats(0, 1),
    seconds,
    seconds,
    seconds,
)
