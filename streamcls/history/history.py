"""What one run published and earlier ones left: recorded, and given out again."""

import logging
import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from streamcls.errors import StreamclsError
from streamcls.events import KINDS, Encoded, EventData, decode, parse_topic, topic
from streamcls.history import database
from streamcls.history.journal import Journal
from streamcls.history.memory import Memory
from streamcls.history.walk import Found, Kept, Place, Run, place_of, walk
from streamcls.protocol import Position, Replay, ReplayRequest, Snapshot, SnapshotRequest

log = logging.getLogger("streamcls")


class HistoryStats(NamedTuple):
    """How the journal does, in numbers."""

    journal_errors: int
    """How often writing failed."""
    journal_waiting: int
    """Messages that are not on disk yet."""
    journal_lost: int
    """Messages that never will be."""
    journal_bytes: int
    """The database and its log."""


class History:
    """Keeps messages before they are sent, and answers for them.

    `record` belongs to the publishing thread; all else may be called from any.

    Args:
        keep: how many of each stream's newest predictions are held in memory.
    """

    def __init__(
        self,
        *,
        boot_id: str,
        streams: Sequence[str],
        heartbeat_s: float,
        keep: int,
        journal: Journal | None,
    ) -> None:
        self._boot_id = boot_id
        self._heartbeat_s = heartbeat_s
        self._journal = journal
        self._topics = [topic(stream, kind) for stream in streams for kind in KINDS]
        self._left_open: list[tuple[str, EventData]] = []
        self._earlier_unread = journal is not None
        self._memory = Memory(keep, {})
        if journal:
            self._read_earlier(journal)
            journal.open_events = self._memory.open_events

    def expect(self, stream: str) -> None:
        """Name a stream's topics in snapshots from now on. Callable from any thread."""
        new = [topic(stream, kind) for kind in KINDS]
        self._topics += [name for name in new if name not in self._topics]

    def left_open(self) -> list[tuple[str, EventData]]:
        """Stream and newest data of each event that an earlier run started and did not end.

        Each is given once: ask again from time to time, as a disk may be readable only later.
        Record an end for each, with the reason `crash_recovered`: that closes it.
        """
        if self._earlier_unread and self._journal and not self._journal.problem:
            self._read_earlier(self._journal)
        left, self._left_open = self._left_open, []
        return left

    def record(self, group: Sequence[Encoded]) -> None:
        """Keep messages: journaled ones on disk, in one transaction, then all in memory.

        Never raises for a disk that fails; `problems` tells of it.
        """
        if self._journal:
            self._journal.write(group)
        self._memory.note(group)

    def snapshot(self, request: SnapshotRequest) -> tuple[Snapshot, list[Kept]]:
        """Where every topic stands, and what is open. Needs no disk."""
        wanted = set(request.streams)

        def of_wanted(name: str) -> bool:
            return not wanted or parse_topic(name)[0] in wanted

        sequences, newest, opened = self._memory.state()
        sequences = dict.fromkeys(self._topics, 0) | sequences
        newest = [kept for kept in newest if of_wanted(kept.topic)]
        opened = [kept for kept in opened if of_wanted(kept.topic)]
        head = Snapshot(
            request=request.request,
            bootid=self._boot_id,
            heartbeat_s=self._heartbeat_s,
            sequences={name: last for name, last in sequences.items() if of_wanted(name)},
            latest=len(newest),
        )
        return head, newest + opened

    def replay(self, request: ReplayRequest) -> tuple[Replay, list[Kept]]:
        """The messages of one topic after a position, across runs.

        A status is state, which heartbeats repeat; its replay only says where the topic stands.

        Raises:
            ValueError: the topic is none of this protocol.
            StreamclsError: the journal was needed and could not be read.
        """
        _, kind = parse_topic(request.topic)
        last, ring = self._memory.tail(request.topic)
        present = Run(self._boot_id, last)
        if kind == "status":
            through = Position(self._boot_id, last) if last or request.after else None
            head = Replay(
                request=request.request,
                topic=request.topic,
                through=through,
                more=False,
                missing=[],
            )
            return head, []
        after, oldest = request.after, ring[0][0] if ring else last + 1
        in_memory = after and after.bootid == self._boot_id and after.sequence + 1 >= oldest
        if self._journal is None or in_memory:
            return _answer(request, [present], [(Place(0, at), body) for at, body in ring])
        late = [(item.sequence, item.body) for item in self._journal.waiting(request.topic)]
        try:
            earlier, found = self._on_disk(self._journal, request)
        except sqlite3.Error as error:
            self._journal.reading_failed(error)
            path = self._journal.path
            raise StreamclsError(f"journal: {path} cannot be read: {error}; ask again") from None
        runs = [*earlier, present]
        here = len(earlier)
        found += [(Place(here, at), body) for at, body in [*late, *ring]]
        return _answer(request, runs, found)

    @property
    def problems(self) -> list[str]:
        """What is wrong, a line each, for an operator."""
        problem = self._journal.problem if self._journal else ""
        unread = "journal: events that earlier runs left open are not ended yet"
        return [line for line in (problem, unread if self._earlier_unread else "") if line]

    @property
    def stats(self) -> HistoryStats:
        """The journal's numbers; zeros without one."""
        journal = self._journal
        if journal is None:
            return HistoryStats(0, 0, 0, 0)
        return HistoryStats(journal.errors, journal.waits, journal.lost, journal.file_bytes)

    def close(self, timeout_s: float = 2.0) -> None:
        """End the run cleanly, or give up on a stuck disk after `timeout_s`. Idempotent."""
        if self._journal:
            self._journal.close(self._memory.sequences(), timeout_s=timeout_s)

    def _read_earlier(self, journal: Journal) -> None:
        """Note what earlier runs left. A file that cannot be read is read later."""
        try:
            with database.reading(journal.path) as connection:
                left = database.open_events(connection)
                streams = database.event_streams(connection)
        except sqlite3.Error as error:
            journal.reading_failed(error)
            log.debug("journal: %s: what earlier runs left is unread: %s", journal.path, error)
            return
        self._earlier_unread = False
        opened: dict[str, Kept] = {}
        self._topics += [topic(stream, "event") for stream in streams]
        for event_id, stream, body in left:
            name = topic(stream, "event")
            try:
                message = decode(name.encode(), body)
            except ValueError as error:
                log.warning("journal: %s: open event %s: %s", journal.path, event_id, error)
                continue
            if isinstance(message.data, EventData) and message.bootid != self._boot_id:
                self._left_open.append((stream, message.data))
                opened[event_id] = Kept(name, body)
        self._memory.add_open(opened)

    def _on_disk(self, journal: Journal, request: ReplayRequest) -> tuple[list[Run], list[Found]]:
        """The topic's earlier runs, and its messages there and, one index on, of this run."""
        with database.reading(journal.path) as connection:
            rows = database.runs_of(connection, *parse_topic(request.topic))
            earlier = [row for row in rows if row.run.bootid != self._boot_id]
            runs = [row.run for row in earlier] + [Run(self._boot_id, None)]
            numbers = [row.number for row in earlier]
            numbers += [row.number for row in rows if row.run.bootid == self._boot_id]
            after = place_of(request.after, runs) or Place(0, 0)
            found = database.messages_after(
                connection, parse_topic(request.topic), numbers, after, request.limit + 1
            )
        return runs[:-1], found


def _answer(
    request: ReplayRequest, runs: list[Run], found: Sequence[Found]
) -> tuple[Replay, list[Kept]]:
    """Walk what was found in several places, once each and in order."""
    start = place_of(request.after, runs) or Place(0, 0)
    kept = {place: body for place, body in found if place > start}
    return walk(request, runs, sorted(kept.items())[: request.limit + 1])
