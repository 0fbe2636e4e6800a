"""Which labels of a stream have a bar: a choice that is steady to look at."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from streamcls.events import Score

_HALF_LIFE_S = 10.0  # a label that was strong keeps its place for about so long


@dataclass(frozen=True, slots=True)
class Bar:
    """One label as it is shown."""

    label: str
    index: int
    score: float | None
    """None: below the top-k that the daemon sends, so nobody here knows."""


@dataclass(slots=True)
class _Held:
    bar: Bar
    strength: float


class Scores:
    """One stream's newest top-k, with a short memory of what was in it before.

    Bars stand in the order of the model's labels, so none changes places with another. The memory
    chooses which are there, so a label at the edge of the top-k does not come and go.
    """

    def __init__(self) -> None:
        self.most = 0
        """The largest top-k so far: how many bars there may be."""
        self.best: str | None = None
        self._held: dict[str, _Held] = {}
        self._at: datetime | None = None

    @property
    def labels(self) -> Iterable[str]:
        """Every label that was ever in the top-k."""
        return self._held

    def take(self, top: Sequence[Score], at: datetime) -> None:
        """Note a prediction of the instant `at`."""
        elapsed_s = max(0.0, (at - self._at).total_seconds()) if self._at else 0.0
        fade = 0.5 ** (elapsed_s / _HALF_LIFE_S)
        for held in self._held.values():
            held.bar = Bar(held.bar.label, held.bar.index, None)
            held.strength *= fade
        for score in top:
            before = self._held.get(score.label)
            strength = max(score.score, before.strength if before else 0.0)
            bar = Bar(score.label, score.index, score.score)
            self._held[score.label] = _Held(bar, strength)
        self._at = at
        self.most = max(self.most, len(top))
        self.best = max(top, key=lambda score: score.score).label if top else None

    def shown(self, count: int, open_labels: Mapping[str, int]) -> list[Bar]:
        """At most `count` bars by index: open labels (name -> index), the best, the strongest."""
        strength = dict.fromkeys(open_labels, 0.0)
        strength |= {label: held.strength for label, held in self._held.items()}
        ranked = sorted(
            strength,
            key=lambda label: (label in open_labels, label == self.best, strength[label]),
            reverse=True,
        )
        bars = [
            self._held[label].bar if label in self._held else Bar(label, open_labels[label], None)
            for label in ranked[:count]
        ]
        return sorted(bars, key=lambda bar: (bar.index, bar.label))
