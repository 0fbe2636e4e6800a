"""Handing out how things are: statuses, and what a snapshot shows to whoever joins late."""

from collections.abc import Sequence

from streamcls.client.ledger import Ledger
from streamcls.client.reading import Spoiled, read
from streamcls.client.wanted import Channel, Wanted
from streamcls.events import Message
from streamcls.protocol import Position, Snapshot


class Present:
    """What is a state and no log: of it the newest counts, and each is shown once."""

    def __init__(self, wanted: Wanted, ledger: Ledger) -> None:
        self._wanted = wanted
        self._ledger = ledger
        self._statuses: dict[str, Position] = {}  # the newest by topic

    def show_status(self, channel: Channel, message: Message | Spoiled) -> None:
        """Hand out a status, unless it is a repetition."""
        last = self._statuses.get(channel.topic)
        if last and last.bootid == message.bootid and message.sequence <= last.sequence:
            return
        self._statuses[channel.topic] = Position(message.bootid, message.sequence)
        self._show(message)

    def show_snapshot(
        self, head: Snapshot, messages: Sequence[Sequence[bytes]], *, joins: bool
    ) -> dict[str, int]:
        """Hand out the newest statuses.

        Args:
            joins: also the newest predictions and what is newest of each open event, on topics
                that have no position yet.

        Returns:
            The last sequence that was shown, by topic; statuses aside.
        """
        shown: dict[str, int] = {}
        for index, frames in enumerate(messages):
            try:
                heard = read(self._wanted, frames)
            except ValueError as error:
                self._ledger.show(error)
                continue
            if heard is None:
                continue
            channel, message = heard
            name = channel.topic
            # Of the events only the open ones say how things are.
            stands = (channel.kind == "event") == (index >= head.latest)
            if channel.kind == "status":
                self.show_status(channel, message)
            elif joins and stands and name not in self._ledger.positions:
                self._show(message)
                shown[name] = max(message.sequence, shown.get(name, 0))
        return shown

    def _show(self, message: Message | Spoiled) -> None:
        if isinstance(message, Spoiled):
            self._ledger.show(message.error)
        elif self._wanted.passes(message):
            self._ledger.show(message)
