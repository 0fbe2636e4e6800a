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
from streamcls.events import KINDS, Encoded, EventData, Payload, StatusData, Writer, topic
from streamcls.history import History, Journal
from streamcls.observe.logs import log_fault
from streamcls.observe.metrics import DeliveryCounts
from streamcls.pipeline.door import CLOSE_S, Door
from streamcls.pipeline.publish import Payloads, Publisher
from streamcls.pipeline.replay import ReplayServer
from streamcls.protocol import Answer, Request, SnapshotRequest

_DAY_S = 86_400
_MB = 1_000_000


class Delivery:
    """One run's way out.

    Args:
        watch: told, on the publishing thread, of messages that are kept and about to be sent.

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
        watch: Callable[[Sequence[Encoded]], None] | None = None,
    ) -> None:
        self._settings = publish
        self._clock = clock
        self.status: dict[str, StatusData] = {}
        self._problems: list[str] = []
        self._config_problem = ""
        self._watch = watch
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
            if self._journal:
                undo.callback(self._journal.close, {})
            self._history = History(
                boot_id=boot_id,
                streams=streams,
                heartbeat_s=publish.heartbeat_s,
                keep=publish.keep_predictions,
                journal=self._journal,
            )
            self.endpoint = self._door.address_of(events)
            self.replay_endpoint = self._door.address_of(replays)
            self._publisher = Publisher(
                socket=events,
                writer=self._writer,
                record=self._record,
                clock=clock,
                heartbeat_s=publish.heartbeat_s,
                on_round=self._tell_of_problems,
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
            undo.pop_all()

    def start(self) -> None:
        """Start the threads. First goes out the end of what an earlier run left open."""
        for stream, end in self._recovered_ends():
            self._publisher.post(stream, partial(list, [end]))
        # No snapshot may tell of these as open: of a stream no longer configured, nothing that
        # comes later would ever say that they are over.
        self._publisher.post("", tuple, self._replays.start)
        self._door.start()
        if self._journal:
            self._journal.start()
        self._publisher.start()

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

    def expect(self, stream: str) -> None:
        """Let snapshots name the topics of a stream that is added. Callable from any thread."""
        self._history.expect(stream)

    def forget(self, stream: str, on_forgotten: Callable[[], None]) -> None:
        """Repeat a stream's state no longer: it is served no more. Callable from any thread.

        Args:
            on_forgotten: called on the publishing thread once all its messages were sent.
        """
        self._publisher.post(stream, lambda: self._forget(stream), on_forgotten)

    def tell_config_problem(self, text: str) -> None:
        """Say in every status what keeps a new configuration from being served; empty: nothing."""
        self._config_problem = text

    def stop(self) -> None:
        """End after everything posted so far has been sent. Idempotent."""
        self._publisher.stop()
        self._replays.stop()
        if self._journal:
            self._journal.stop()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end and free the addresses, all within the time; True if all ended in it.

        Threads that hang share one half of it; what was sent has the rest to leave.
        """
        deadline_s = self._clock.monotonic_s() + timeout_s

        def left_s(until_s: float) -> float:
            return max(0.0, until_s - self._clock.monotonic_s())

        ended = True
        for thread in (self._publisher, self._replays, self._journal):
            if thread:
                ended &= thread.join(left_s(deadline_s - timeout_s / 2))
        self._history.close(left_s(deadline_s - timeout_s / 2))
        self._door.close(min(CLOSE_S, left_s(deadline_s)))
        return ended

    def counts(self) -> DeliveryCounts:
        """What went out, to whom, and what went wrong. Callable from any thread."""
        kept = self._history.stats
        return DeliveryCounts(
            published=dict(self._publisher.published),
            subscribers=self._door.subscribers,
            refused=dict(self._door.refused),
            replay_requests=dict(self._replays.requests),
            replayed_messages=self._replays.messages,
            journal_errors=kept.journal_errors,
            journal_waiting=kept.journal_waiting,
            journal_lost=kept.journal_lost,
            journal_bytes=kept.journal_bytes,
        )

    def _respond(self, request: Request) -> tuple[Answer, Sequence[tuple[str, bytes]]]:
        if isinstance(request, SnapshotRequest):
            return self._history.snapshot(request)
        return self._history.replay(request)

    def _recovered_ends(self) -> Iterator[tuple[str, EventData]]:
        """The ends of what earlier runs left open, as far as it has become known since asked."""
        for stream, event in self._history.left_open():
            yield (
                stream,
                msgspec.structs.replace(event, transition="end", reason="crash_recovered"),
            )

    # What follows runs on the publishing thread.

    def _record(self, group: Sequence[Encoded]) -> None:
        self._history.record(group)
        if self._watch:
            self._watch(group)

    def _tell_of_problems(self) -> Iterator[tuple[str, Payload]]:
        """Every stream's status where a problem has begun, changed its kind or is over."""
        before, self._problems = self._problems, list(self._history.problems)
        if self._config_problem:
            self._problems.append(f"configuration: not reloaded; {self._config_problem}")
        # What stands behind the kind are numbers, which heartbeats keep up to date.
        if _kinds(before) != _kinds(self._problems):
            for stream, status in self.status.items():
                yield stream, msgspec.structs.replace(status, problems=self._problems)

    def _note_status(self, stream: str, status: StatusData) -> Iterator[Payload]:
        self.status[stream] = status
        yield msgspec.structs.replace(status, problems=self._problems)

    def _forget(self, stream: str) -> Iterator[Payload]:
        self.status.pop(stream, None)
        yield from ()

    def _heartbeat(self) -> Iterator[tuple[str, Payload]]:
        yield from self._recovered_ends()
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


def _kinds(problems: Sequence[str]) -> list[str]:
    return [problem.partition(";")[0] for problem in problems]


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
