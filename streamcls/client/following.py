"""The algorithm of `streamcls.protocol`, without sockets and clocks.

    frames -> hear ---.                    .-> take -> items
    frames -> answer --+--> Follower ------+
    time   -> tick ---'                    '-> request -> what to ask

While something is asked, nothing published is read (`hears` is false): it waits in the socket's
queue. So memory is bounded and order kept.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from streamcls.client.asking import Ask, Asker
from streamcls.client.ledger import BEFORE_ALL, Ledger
from streamcls.client.present import Present
from streamcls.client.quiet import Quiet
from streamcls.client.reading import Heard, Spoiled, read, read_answer
from streamcls.client.replaying import take_replay
from streamcls.client.runs import Runs
from streamcls.client.wanted import Channel, Wanted
from streamcls.events import Message, StatusData, topic
from streamcls.protocol import Position, Refusal, Replay, ReplayRequest, Snapshot, SnapshotRequest

Start = Literal["snapshot", "earliest", "now"]

_SNAPSHOT_AGAIN_S = 60.0  # each try holds live messages back for a moment


class Follower:
    """Follows one daemon's topics through losses, restarts and late joining.

    Attributes:
        ledger: what is to be handed out, and the positions.
        quiet: since when nothing came from the daemon.
        heartbeat_s: how often the daemon says that it will speak; 0 until it did.
    """

    def __init__(
        self,
        wanted: Wanted,
        *,
        start: Start,
        positions: Mapping[str, Position],
        silence_s: float | None,
        now_s: float,
    ) -> None:
        """Begin before anything was heard.

        Args:
            start: where topics begin that `positions` does not know.
            positions: where the consumer stands, by topic.
            silence_s: as `Quiet`.
        """
        self.ledger = Ledger(wanted, positions)
        self.quiet = Quiet(silence_s, now_s)
        self.heartbeat_s = 0.0
        self._present = Present(wanted, self.ledger)
        self._wanted = wanted
        self._start = start
        self._asker = Asker()
        self._snapshot_due = True
        self._snapshot_again_s = 0.0  # when to ask anew for one that was not answered
        self._joined = False  # whether a snapshot ever came
        self._runs = Runs()
        self._whole_run = False  # whether a snapshot says which topics the run began with
        self._joining: dict[str, int] = {}  # by topic, the last that the snapshot handed out
        self._behind: dict[str, Position] = {}  # topics to catch up, and up to where
        self._held: Heard | None = None  # waits until what comes before it is there

    @property
    def asks(self) -> bool:
        """Whether an answer is awaited."""
        return self._asker.request is not None

    @property
    def hears(self) -> bool:
        """Whether what is published may be read now."""
        return not (self._snapshot_due or self._behind or self._held) and self.ledger.empty

    @property
    def is_unanswered(self) -> bool:
        """Whether the daemon is there and its replay endpoint does not answer."""
        return self._asker.is_deaf

    def wake_s(self) -> float | None:
        """When `tick` is due, if nothing comes before."""
        again_s = self._snapshot_again_s if self._lacks_snapshot else None
        due = (self.quiet.due_s, self._asker.deadline_s, again_s)
        return min((at for at in due if at is not None), default=None)

    def request(self, now_s: float) -> Ask | None:
        """What is to be sent now, if anything is."""
        if not self.asks and self.ledger.empty:
            if self._snapshot_due:
                self._asker.ask(SnapshotRequest(streams=self._wanted.streams), now_s)
            elif self._behind:
                name, target = next(iter(self._behind.items()))
                to = Position(target.bootid, max(1, target.sequence))
                after = self.ledger.positions.get(name)
                if after == BEFORE_ALL:
                    after = None
                self._asker.ask(ReplayRequest(topic=name, after=after, to=to), now_s)
        return self._asker.outgoing()

    def tick(self, now_s: float, *, connected: bool, waiting: bool) -> None:
        """Notice what did not come in time.

        Args:
            connected: whether the daemon is there.
            waiting: whether something published waits to be read.
        """
        if self._lacks_snapshot and now_s >= self._snapshot_again_s:
            self._snapshot_due = True
        if self._asker.is_late(now_s) and not self._asker.again(now_s, connected=connected):
            self._give_up(now_s)
        if self.ledger.empty and not waiting and (silence := self.quiet.report(now_s)):
            self.ledger.show(silence)

    def hear(self, frames: Sequence[bytes], now_s: float) -> None:
        """Take what was published."""
        self.quiet.hear(now_s)
        try:
            heard = read(self._wanted, frames)
        except ValueError as error:
            self.ledger.show(error)
            return
        if heard:
            self._place(heard)

    def answer(self, frames: Sequence[bytes], now_s: float) -> None:
        """Take what was answered. What answers no open request is left aside."""
        self.quiet.hear(now_s)
        try:
            head, messages = read_answer(frames)
        except ValueError as error:
            self.ledger.show(error)
            return
        if not self._asker.is_answer(head):
            return
        asked = self._asker.request
        if isinstance(head, Refusal):
            self._refused(head, now_s)
        elif isinstance(head, Snapshot) and isinstance(asked, SnapshotRequest):
            self._asker.answered()
            self._join(head, messages)
        elif isinstance(head, Replay) and isinstance(asked, ReplayRequest):
            self._replay(asked, head, messages)
        self._go_on()

    def _place(self, heard: Heard) -> None:
        channel, message = heard
        if message.bootid != self._runs.present:
            if message.bootid not in self._runs.earlier:
                self._held, self._snapshot_due = heard, True
            return
        if channel.kind == "status":
            self._place_status(channel, message)
            return
        name, sequence = channel.topic, message.sequence
        position = self.ledger.positions.get(name)
        if position is None:
            position = self._beginning(message.bootid, sequence - 1)
            self.ledger.positions[name] = position
        if position.bootid != message.bootid or sequence > position.sequence + 1:
            self._held = heard
            self._lag(name, Position(message.bootid, sequence - 1))
        elif sequence > position.sequence or sequence > self._joining.get(name, sequence):
            self._joining.pop(name, None)
            self.ledger.hand(name, message)

    def _place_status(self, channel: Channel, message: Message | Spoiled) -> None:
        if not isinstance(message, Spoiled) and isinstance(message.data, StatusData):
            self._compare(channel.stream, message.bootid, message.data.sequences)
        if self._behind:
            self._held = (channel, message)
        else:
            self._present.show_status(channel, message)

    def _compare(self, stream: str, bootid: str, sequences: Mapping[str, int]) -> None:
        """A heartbeat says how far the stream's topics are."""
        for kind, newest in sequences.items():
            if not self._wanted.followed(stream, kind):
                continue
            name, target = topic(stream, kind), Position(bootid, newest)
            position = self.ledger.positions.get(name)
            if position is None:
                position = self._beginning(bootid, newest)
                self.ledger.begin(name, position)
            if position.bootid != bootid or position.sequence < newest:
                self._lag(name, target)

    def _beginning(self, bootid: str, before: int) -> Position:
        """Where a topic begins that was not heard of yet."""
        if self._whole_run:
            return Position(bootid, 0)
        # Without the snapshot nobody knows what there was: it is asked for, or told as a gap.
        is_all_wanted = self._joined or self._start == "earliest"
        return BEFORE_ALL if is_all_wanted else Position(bootid, before)

    @property
    def _lacks_snapshot(self) -> bool:
        due = self._whole_run or self._snapshot_due or self.asks
        return not due and self._runs.present is not None

    def _lag(self, name: str, target: Position) -> None:
        self._behind[name] = target
        self._joining.pop(name, None)

    def _join(self, head: Snapshot, messages: Sequence[Sequence[bytes]]) -> None:
        first, self._joined = not self._joined, True
        self._snapshot_due, self._whole_run = False, True
        self.heartbeat_s = head.heartbeat_s
        self._enter(head.bootid)
        shown: dict[str, int] = {}
        if not (first and self._start == "now"):
            joins = first and self._start == "snapshot"
            shown = self._present.show_snapshot(head, messages, joins=joins)
        for name, sequence in head.sequences.items():
            if not self._wanted.follows(name):
                continue
            position, target = self.ledger.positions.get(name), Position(head.bootid, sequence)
            if position is None and first and self._start != "earliest":
                self._joining[name] = shown.get(name, 0)
                self.ledger.move(name, target)
                continue
            if position is None and not first:
                self.ledger.positions[name] = BEFORE_ALL  # it is new: all of it is news
            if not position or position.bootid != head.bootid or position.sequence < sequence:
                self._behind[name] = target
        for name in self.ledger.positions.keys() - head.sequences.keys():
            self._behind[name] = Position(head.bootid, 0)

    def _enter(self, bootid: str) -> None:
        met = [position.bootid for position in self.ledger.positions.values()]
        self._runs.enter(bootid, [*met, self._held[1].bootid] if self._held else met)
        self._joining.clear()

    def _replay(
        self, asked: ReplayRequest, head: Replay, messages: Sequence[Sequence[bytes]]
    ) -> None:
        leads_nowhere = head.more and head.through == asked.after
        if head.topic != asked.topic or leads_nowhere:
            return  # as good as no answer
        self._asker.answered()
        take_replay(self.ledger, self._wanted, head, messages, earlier=self._runs.earlier)
        if not (head.more and head.through):
            self._arrive(head.topic)

    def _arrive(self, name: str) -> None:
        """The replay of a topic has come to its end."""
        target, position = self._behind.pop(name), self.ledger.positions.get(name)
        if position is None:
            self.ledger.move(name, target)
        elif position.bootid == target.bootid or position.bootid in self._runs.earlier:
            self.ledger.reach(name, target, "expired", tail=False)
        else:
            self._snapshot_due = True  # it led into a run that was not heard of yet

    def _refused(self, refusal: Refusal, now_s: float) -> None:
        if refusal.reason == "unavailable":
            return  # for the moment; asked again when the answer is overdue
        request = self._asker.request
        self._asker.answered()
        if not isinstance(request, ReplayRequest):
            self._go_without_snapshot(now_s)
            return
        name, target = request.topic, self._behind.pop(request.topic)
        is_gone = refusal.reason == "unknown_topic"
        self.ledger.reach(name, target, "expired" if is_gone else "unanswered", tail=True)
        if is_gone and target.sequence == 0:
            self.ledger.move(name, None)

    def _give_up(self, now_s: float) -> None:
        if self._snapshot_due:
            self._go_without_snapshot(now_s)
        else:
            for name, target in self._behind.items():
                self.ledger.reach(name, target, "unanswered", tail=True)
            self._behind.clear()
        self._go_on()

    def _go_without_snapshot(self, now_s: float) -> None:
        self._snapshot_due = False
        self._snapshot_again_s = now_s + _SNAPSHOT_AGAIN_S
        if self._held:
            self._enter(self._held[1].bootid)
            self._whole_run = False

    def _go_on(self) -> None:
        """Take up again what was held, once nothing more is to be asked before it."""
        if self._held and not (self.asks or self._snapshot_due or self._behind):
            held, self._held = self._held, None
            self._place(held)
