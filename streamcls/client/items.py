"""What a subscriber hands out beside messages."""

from dataclasses import dataclass
from typing import Literal

from streamcls.events import Message

Reason = Literal["expired", "unanswered"]


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages of one topic and daemon run that were published and will not come.

    Attributes:
        bootid: the run of the daemon that numbered them.
        first: the sequence of the first one that is missing.
        last: that of the last one; None where nobody knows how many there were, if any.
        reason: `expired`: the daemon no longer has them. `unanswered`: it did not say.
    """

    stream: str
    kind: str
    bootid: str
    first: int
    last: int | None
    reason: Reason

    @property
    def count(self) -> int | None:
        """How many are missing; None where nobody knows."""
        return None if self.last is None else self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing at all was heard of the daemon, not even a heartbeat."""

    seconds: float
    """Since the last sign of life."""
    why: str = ""
    """What is known of the reason: a refused key. Empty where nobody answers at all."""

    def __str__(self) -> str:
        known = f": {self.why}" if self.why else ""
        return f"no word from the daemon for {self.seconds:.0f} s{known}"


Item = Message | Gap | Silence
