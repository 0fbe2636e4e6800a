"""Requests to the replay endpoint: numbered, one at a time, asked again when nothing comes."""

from typing import NamedTuple

import msgspec

from streamcls.protocol import Answer, Refusal, Request, encode

ANSWER_S = 3.0
"""How long an answer may take. The daemon paces its replays, so it may be busy with others."""
TRIES = 3


class Ask(NamedTuple):
    """What to send."""

    body: bytes
    fresh: bool
    """On a new connection: the old one may be the reason why no answer came."""


class Asker:
    """Keeps the one request that is out, and the time."""

    def __init__(self) -> None:
        self.request: Request | None = None
        self._number = 0
        self._tries_left = 0
        self._deadline_s = 0.0
        self._unsent = False
        self._fresh = False
        self._deaf = False

    @property
    def deadline_s(self) -> float | None:
        """When the answer is overdue; None while nothing is asked."""
        return self._deadline_s if self.request else None

    def ask(self, request: Request, now_s: float) -> None:
        """Make this the request that is out."""
        # An endpoint that was silent a moment ago is not given as much patience again.
        self._tries_left = 1 if self._deaf else TRIES
        self._fresh = self._deaf
        self._put(request, now_s)

    def outgoing(self) -> Ask | None:
        """What is to be sent now, once."""
        if self.request is None or not self._unsent:
            return None
        self._unsent = False
        return Ask(encode(self.request), self._fresh)

    def is_answer(self, answer: Answer) -> bool:
        """Whether this answers the request that is out."""
        if self.request is None:
            return False
        # What the daemon could not read as a request it refuses without the number.
        unnumbered = isinstance(answer, Refusal) and answer.request == 0
        return unnumbered or answer.request == self._number

    def answered(self) -> None:
        """The request has its answer."""
        self.request = None
        self._deaf = False

    def again(self, now_s: float) -> bool:
        """Ask again; False after the last try, when nothing is out any more."""
        self._tries_left -= 1
        if self.request is None or self._tries_left <= 0:
            self.request = None
            self._deaf = True
            return False
        self._fresh = True
        self._put(self.request, now_s)
        return True

    def _put(self, request: Request, now_s: float) -> None:
        self._number += 1
        self.request = msgspec.structs.replace(request, request=self._number)
        self._deadline_s = now_s + ANSWER_S
        self._unsent = True
