"""How long nothing was heard, and when to say so."""

from streamcls.client.items import Silence


class Quiet:
    """Notes signs of life.

    Attributes:
        heard_s: when there was one last, monotonic.
    """

    def __init__(self, silence_s: float | None, now_s: float) -> None:
        """Begin to listen.

        Args:
            silence_s: report a silence each time it has lasted so long; None for never.
        """
        self.heard_s = now_s
        self._silence_s = silence_s
        self._due_s = now_s + (silence_s or 0.0)

    @property
    def due_s(self) -> float | None:
        """When there may be something to report."""
        return self._due_s if self._silence_s else None

    def hear(self, now_s: float) -> None:
        """There was a sign of life."""
        self.heard_s = now_s
        self._due_s = now_s + (self._silence_s or 0.0)

    def report(self, now_s: float) -> Silence | None:
        """A silence that has lasted long enough, once each time."""
        if not self._silence_s or now_s < self._due_s:
            return None
        self._due_s = now_s + self._silence_s
        return Silence(now_s - self.heard_s)
