"""What is to be handed out, and how far that brings the consumer on every topic."""

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from streamcls.client.items import Gap, Item, Reason
from streamcls.client.reading import Spoiled
from streamcls.client.wanted import Wanted
from streamcls.events import Message, parse_topic
from streamcls.protocol import Missing, Position

BEFORE_ALL = Position("", 0)
"""Where a topic begins of which every message counts, whichever run it began in."""


class _Entry(NamedTuple):
    item: Item | ValueError | None
    topic: str | None = None
    """Whose position moves once the item is processed."""
    position: Position | None = None
    """Where to; None forgets the topic."""


class Ledger:
    """Keeps order on each topic: every message once, or a gap that says which are missing.

    Attributes:
        positions: by topic, the last message queued here.
        processed: by topic, the last one that the consumer is done with.
        moved: whether `processed` changed; for the owner to reset.
    """

    def __init__(self, wanted: Wanted, positions: Mapping[str, Position]) -> None:
        self.positions = {name: at for name, at in positions.items() if wanted.follows(name)}
        self.processed = dict(positions)
        self.moved = False
        self._wanted = wanted
        self._entries: deque[_Entry] = deque()
        self._handed: _Entry | None = None

    @property
    def empty(self) -> bool:
        """Whether all that was queued has been taken."""
        return not self._entries

    def take(self) -> Item | None:
        """The next item; the one taken before is processed with that.

        Raises:
            ValueError: the next is a message that cannot be read. The one after it can be taken.
        """
        self.settle()
        if not self._entries:
            return None
        self._handed = self._entries.popleft()
        if isinstance(self._handed.item, ValueError):
            raise self._handed.item
        return self._handed.item

    def settle(self) -> None:
        """The consumer is done with what was taken."""
        if self._handed:
            self._settle(self._handed)
            self._handed = None
        while self._entries and self._entries[0].item is None:
            self._settle(self._entries.popleft())

    def show(self, item: Item | ValueError) -> None:
        """Queue what moves no position."""
        self._entries.append(_Entry(item))

    def begin(self, name: str, position: Position) -> None:
        """Start a topic that was not followed before."""
        if position == BEFORE_ALL:
            self.positions[name] = position
        else:
            self.move(name, position)

    def move(self, name: str, position: Position | None) -> None:
        """Go to a position without anything to hand out; None forgets the topic."""
        if position is None:
            self.positions.pop(name, None)
        else:
            self.positions[name] = position
        self._entries.append(_Entry(None, name, position))

    def hand(self, name: str, message: Message | Spoiled) -> None:
        """Queue a message that is next on its topic."""
        position = Position(message.bootid, message.sequence)
        self.positions[name] = position
        if isinstance(message, Spoiled):
            self._entries.append(_Entry(message.error, name, position))
        else:
            seen = message if self._wanted.passes(message) else None
            self._entries.append(_Entry(seen, name, position))

    def replay(self, name: str, message: Message | Spoiled) -> None:
        """Queue a message of a replay, which says itself what is missing: else that is a gap."""
        position = self.positions.get(name)
        if position:
            if position.bootid == message.bootid and message.sequence <= position.sequence:
                return
            before = Position(message.bootid, message.sequence - 1)
            self.reach(name, before, "expired", tail=False)
        self.hand(name, message)

    def lose(self, name: str, missing: Missing) -> None:
        """Queue what a replay says is gone."""
        position = self.positions.get(name)
        first = max(1, missing.first)  # which begins the numbers
        if position and position.bootid == missing.bootid:
            first = max(first, position.sequence + 1)
        self._gap(name, Gap(*parse_topic(name), missing.bootid, first, missing.last, "expired"))

    def reach(self, name: str, target: Position, reason: Reason, *, tail: bool) -> None:
        """Go forward to a position; what lies before it and was not queued is a gap.

        Args:
            tail: whether an earlier run may have had more than was queued of it.
        """
        position = self.positions.get(name)
        first = 1
        if position and position.bootid == target.bootid:
            if position.sequence >= target.sequence:
                return
            first = position.sequence + 1
        elif tail and position and position != BEFORE_ALL:
            rest = Gap(*parse_topic(name), position.bootid, position.sequence + 1, None, reason)
            self._gap(name, rest)
        self._gap(name, Gap(*parse_topic(name), target.bootid, first, target.sequence, reason))
        if self.positions.get(name) != target:
            self.move(name, target)

    def _gap(self, name: str, gap: Gap) -> None:
        if gap.last is not None and gap.last < gap.first:
            return
        end = gap.first - 1 if gap.last is None else gap.last
        self.positions[name] = Position(gap.bootid, end)
        self._entries.append(_Entry(gap, name, self.positions[name]))

    def _settle(self, entry: _Entry) -> None:
        if entry.topic is None:
            return
        self.moved = True
        if entry.position is None:
            self.processed.pop(entry.topic, None)
        else:
            self.processed[entry.topic] = entry.position
