"""Numbered cases: each makes its own chance, is limited in time, and says how to repeat it."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.fuzz.limits import cpu_limit

_SHOWN = 600  # characters of what was tried
_LIMIT_S = 5.0


@dataclass(frozen=True)
class Case:
    """One case of one target."""

    target: str
    number: int

    @property
    def chance(self) -> random.Random:
        """The case's own random numbers, always the same."""
        return random.Random(f"{self.target} {self.number}")

    @contextmanager
    def trying(self, given: object, *, limit_s: float = _LIMIT_S) -> Iterator[None]:
        """Limit what is done with `given`, and tell of it and of the case in whatever goes wrong.

        Args:
            limit_s: seconds of this process's own time, so that a busy machine breaks no limit.
        """
        try:
            with cpu_limit(limit_s):
                yield
        except Exception as error:
            shown = repr(given)
            shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}... ({len(shown)})"
            error.add_note(f"{self} was given {shown}")
            raise

    def __str__(self) -> str:
        return f"case {self.number} of {self.target} (repeat it with: --case {self.number})"


def told(error: Exception, *secrets: str) -> str:
    """What an error says, which must be one line and betray no secret."""
    message = str(error)
    assert message
    assert len(message.splitlines()) == 1, f"more than a line: {message!r}"
    assert not any(secret in message for secret in secrets), f"betrays a secret: {message!r}"
    return message
