"""What carries messages out: numbered, journaled, published, and kept for whoever missed them.

    post -> Publisher -> History (journal, memory) -> XPUB socket -> subscribers
                                    ^-- ReplayServer <-- ROUTER socket <--'

Used by the daemon, and by whoever wants a publisher without video.
"""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial

import msgspec

from streamcls.clock import Clock
from streamcls.config import JournalSettings, KeySettings, PublishSettings, journal_path
from streamcls.events import KINDS, Encoded, Payload, StatusData, Writer, topic
from streamcls.history import History, Journal
from streamcls.observe.logs import log_fault
from streamcls.observe.metrics import DeliveryCounts
from streamcls.pipeline.door import Door
from streamcls.pipeline.publish import Payloads, Publisher
from streamcls.pipeline.replay import ReplayServer
from streamcls.protocol import Answer, Request, SnapshotRequest

_DAY_S = 86_400
_MB = 1_000_000


class Delivery:
    """One run's way out.

    The constructor opens the journal and binds both addresses, so that what is wrong shows before
    a thread starts.

    Raises:
        ConfigError: the journal's folder or a key file cannot be used.
        BindError: an address or the journal is another daemon's.
    """

    def __init__(
        self,
        publish: PublishSettings,
        journal: JournalSettings,
        keys: KeySettings,
        *,
        streams: Sequence[str],
        boot_id: str,
        clock: Clock,
        on_end: Callable[[BaseException | None], None],
    ) -> None:
        self._settings = publish
        self.status: dict[str, StatusData] = {}
        self._problems: list[str] = []
        self._writer = Writer(f"/streamcls/{socket.gethostname()}", boot_id)
        with ExitStack() as undo:
            self._door = Door(keys=keys, ipc_mode=publish.ipc_mode)
            undo.callback(self._door.close)
            events = self._door.open(
                Publisher.SOCKET,
                publish.endpoint,
                setting="endpoint",
                options=Publisher.options(publish.queue_size),
            )
            replays = self._door.open(
                ReplayServer.SOCKET,
                publish.replay,
                setting="replay_endpoint",
                options=ReplayServer.OPTIONS,
            )
            self._journal = _journal(journal, boot_id, clock)
            undo.pop_all()
        self._history = History(
            boot_id=boot_id,
            streams=streams,
            heartbeat_s=publish.heartbeat_s,
            keep=publish.keep_predictions,
            journal=self._journal,
            clock=clock,
        )
        self.endpoint = self._door.address_of(events)
        self.replay_endpoint = self._door.address_of(replays)
        self._publisher = Publisher(
            socket=events,
            writer=self._writer,
            record=self._record,
            clock=clock,
            heartbeat_s=publish.heartbeat_s,
            on_heartbeat=self._heartbeat,
            on_end=on_end,
        )
        self._replays = ReplayServer(
            socket=replays,
            respond=self._respond,
            messages_per_s=publish.replay_rate,
            clock=clock,
            on_fault=log_fault,
            on_end=on_end,
        )

    def start(self) -> None:
        """Start the threads. First goes out the end of what an earlier run left open."""
        for stream, event in self._history.left_open():
            end = msgspec.structs.replace(event, transition="end", reason="crash_recovered")
            self._publisher.post(stream, partial(list, [end]))
        self._door.start()
        if self._journal:
            self._journal.start()
        self._publisher.start()
        self._replays.start()

    def wait_for_subscriber(self, cancelled: Callable[[], bool]) -> None:
        """Wait for the first subscriber as long as the settings say."""
        self._publisher.wait_for_subscriber(self._settings.wait_for_subscriber_s, cancelled)

    def post(
        self, stream: str, payloads: Payloads, on_sent: Callable[[], None] | None = None
    ) -> None:
        """Queue a stream's messages; never blocks. Callable from any thread.

        Args:
            payloads: called on the publishing thread when its turn has come.
            on_sent: called there once they were journaled and sent.
        """
        self._publisher.post(stream, payloads, on_sent)

    def post_status(self, stream: str, status: StatusData) -> None:
        """Queue a stream's new state, which heartbeats then repeat."""
        self._publisher.post(stream, lambda: self._note_status(stream, status))

    def stop(self) -> None:
        """End after everything posted so far has been sent. Idempotent."""
        self._publisher.stop()
        self._replays.stop()
        if self._journal:
            self._journal.stop()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end and free the addresses; True if all ended in time."""
        ended = self._publisher.join(timeout_s) & self._replays.join(timeout_s)
        if self._journal:
            ended &= self._journal.join(timeout_s)
        self._history.close()
        self._door.close()
        return ended

    def counts(self) -> DeliveryCounts:
        """What went out, to whom, and what went wrong. Callable from any thread."""
        kept = self._history.stats
        return DeliveryCounts(
            published=dict(self._publisher.published),
            subscribers=self._door.subscribers,
            refused=dict(self._door.refused),
            replay_requests=dict(self._replays.requests),
            journal_errors=kept.journal_errors,
            journal_waiting=kept.journal_waiting,
            journal_lost=kept.journal_lost,
            journal_bytes=kept.journal_bytes,
        )

    def _respond(self, request: Request) -> tuple[Answer, Sequence[tuple[str, bytes]]]:
        if isinstance(request, SnapshotRequest):
            return self._history.snapshot(request)
        return self._history.replay(request)

    # What follows runs on the publishing thread.

    def _record(self, group: Sequence[Encoded]) -> None:
        self._history.record(group)
        problems = self._history.problems
        if bool(problems) != bool(self._problems):
            # Once when it begins and once when it is over; heartbeats carry it meanwhile.
            for stream, status in self.status.items():
                self.post_status(stream, status)
        self._problems = problems

    def _note_status(self, stream: str, status: StatusData) -> Iterator[Payload]:
        self.status[stream] = status
        yield msgspec.structs.replace(status, problems=self._problems)

    def _heartbeat(self) -> Iterator[tuple[str, Payload]]:
        self._problems = self._history.problems
        for stream, status in self.status.items():
            newest = {
                kind: self._writer.sequence(topic(stream, kind))
                for kind in KINDS
                if kind != "status"
            }
            yield (
                stream,
                msgspec.structs.replace(
                    status, heartbeat=True, sequences=newest, problems=self._problems
                ),
            )


def _journal(settings: JournalSettings, boot_id: str, clock: Clock) -> Journal | None:
    if not settings.enabled:
        return None
    return Journal(
        journal_path(settings),
        boot_id=boot_id,
        max_age_s=settings.max_age_days * _DAY_S,
        max_bytes=round(settings.max_size_mb * _MB),
        power_safe=settings.power_safe,
        predictions=settings.predictions,
        clock=clock,
    )
