"""Requests to the replay endpoint: numbered, one at a time, asked again when nothing comes."""

from typing import NamedTuple

import msgspec

from streamcls.protocol import Answer, Refusal, ReplayRequest, Request, encode

ANSWER_S = 3.0
"""After so long it is asked again, and then after twice as long, up to `LONGEST_S`."""
LONGEST_S = 10.0
PATIENCE_S = 25.0
"""How long a replay may be unanswered while the daemon is there. A daemon that is away, or paces
the replays of many consumers, loses nobody anything: what is late comes late."""
SNAPSHOT_PATIENCE_S = 8.0
"""The same for a snapshot: live messages wait for it, and it can be had later."""


class Ask(NamedTuple):
    """What to send."""

    body: bytes
    again: bool
    """What was sent before may have found nobody."""


class Asker:
    """Keeps the one request that is out, and the time."""

    def __init__(self) -> None:
        self.request: Request | None = None
        self._number = 0
        self._first_number = 0
        self._asked_s = 0.0
        self._wait_s = ANSWER_S
        self._silent_s = 0.0
        self._unsent = False
        self._again = False
        self._deaf = False

    @property
    def deadline_s(self) -> float | None:
        """When the answer is overdue; None while nothing is asked."""
        return self._asked_s + self._wait_s if self.request else None

    def is_late(self, now_s: float) -> bool:
        """Whether an answer is overdue."""
        return self.deadline_s is not None and now_s >= self.deadline_s

    @property
    def is_deaf(self) -> bool:
        """Whether the endpoint has not answered in time, with the daemon there."""
        return self._deaf or (self.request is not None and self._silent_s > 0)

    def ask(self, request: Request, now_s: float) -> None:
        """Make this the request that is out."""
        self._first_number = self._number + 1
        self._wait_s, self._silent_s, self._again = ANSWER_S, 0.0, False
        self._put(request, now_s)

    def outgoing(self) -> Ask | None:
        """What is to be sent now, once."""
        if self.request is None or not self._unsent:
            return None
        self._unsent = False
        return Ask(encode(self.request), self._again)

    def is_answer(self, answer: Answer) -> bool:
        """Whether this answers the request that is out; also a late one to an earlier try."""
        if self.request is None:
            return False
        # What the daemon could not read as a request it refuses without the number.
        unnumbered = isinstance(answer, Refusal) and answer.request == 0
        return unnumbered or self._first_number <= answer.request <= self._number

    def answered(self) -> None:
        """The request has its answer."""
        self.request = None
        self._deaf = False

    def again(self, now_s: float, *, connected: bool) -> bool:
        """Ask again; False where the endpoint was silent for too long, and nothing is out then.

        Args:
            connected: whether the daemon is there, by what it publishes.
        """
        if self.request is None:
            return False
        self._silent_s = self._silent_s + now_s - self._asked_s if connected else 0.0
        is_replay = isinstance(self.request, ReplayRequest)
        patience_s = PATIENCE_S if is_replay else SNAPSHOT_PATIENCE_S
        # An endpoint that was silent a moment ago is not given as much patience again.
        if self._silent_s >= (ANSWER_S if self._deaf else patience_s):
            self.request = None
            self._deaf = True
            return False
        self._wait_s = min(2 * self._wait_s, LONGEST_S) if connected else ANSWER_S
        self._again = True
        self._put(self.request, now_s)
        return True

    def _put(self, request: Request, now_s: float) -> None:
        self._number += 1
        self.request = msgspec.structs.replace(request, request=self._number)
        self._asked_s = now_s
        self._unsent = True
