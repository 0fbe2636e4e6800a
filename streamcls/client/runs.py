"""Which run of the daemon is the present one, and which are over."""

from collections.abc import Iterable

from streamcls.client.ledger import BEFORE_ALL


class Runs:
    """Tells runs apart by their boot ids.

    Attributes:
        present: the one being followed; None before any was heard of.
        earlier: those that are known to be over.
    """

    def __init__(self) -> None:
        self.present: str | None = None
        self.earlier = {BEFORE_ALL.bootid}

    def enter(self, bootid: str, met: Iterable[str]) -> None:
        """This run is the present one, and every other that was met is over."""
        self.earlier.update(met)
        if self.present:
            self.earlier.add(self.present)
        self.earlier.discard(bootid)
        self.present = bootid
