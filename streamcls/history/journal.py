"""The journal: messages on disk before they are published."""

import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from streamcls.clock import Clock
from streamcls.events import Encoded
from streamcls.history import rows
from streamcls.history.database import connect, transaction
from streamcls.history.housekeeper import Housekeeper
from streamcls.history.journal_file import JournalFile, describe, is_damage, may_pass, refusal
from streamcls.history.upkeep import checkpoint, file_bytes, trim, wal_of
from streamcls.history.walk import Kept

log = logging.getLogger("streamcls")

_MAX_WAITING = 100_000  # messages kept for a disk that fails; then the oldest are lost
_FLUSH = 5000  # messages per transaction when it is back
_RETRY_S = 1.0
_PAUSE_S = 0.005  # between deletions, for whoever publishes
_WAL_BYTES = 16_000_000  # beyond it, the log is made to start anew


class Journal:
    """One run's journal. A disk that fails delays or loses messages here, never the run.

    `write` belongs to the publishing thread; all else may be called from any.

    Raises:
        ConfigError: the folder or the file cannot be made or written.
        BindError: another daemon has this journal.

    Attributes:
        path: the database.
        errors: how often writing failed.
        lost: messages that were never written.
        open_events: set by the owner; by event id, what is open after the last group written.
    """

    def __init__(
        self,
        path: Path,
        *,
        boot_id: str,
        max_age_s: float,
        max_bytes: int,
        power_safe: bool,
        predictions: bool,
        clock: Clock,
    ) -> None:
        self.path = path
        self.errors = 0
        self.lost = 0
        self.open_events: Callable[[], Mapping[str, Kept]] = dict
        self._boot_id = boot_id
        self._started_utc_s, self._started_s = clock.utc_s(), clock.monotonic_s()
        self._max_age_s = max_age_s
        self._max_bytes = max_bytes
        self._wal_bytes = min(_WAL_BYTES, max_bytes // 4)
        self._power_safe = power_safe
        self._kinds = {"event", "prediction"} if predictions else {"event"}
        self._clock = clock
        self._lock = threading.Lock()  # of the connection and of all below
        self._connection: sqlite3.Connection | None = None
        self._run = 0
        self._waiting: deque[Encoded] = deque()
        self._failure = ""
        self._retry_at_s = 0.0
        self._open_lost = False  # what is open is no longer what the file says
        self._closed = False
        self._house = Housekeeper(self.tidy, clock=clock)
        self._identity: list[tuple[int, int]] = []
        self._tails_lost = False  # of topics with messages in a file that is gone
        self._file = JournalFile(path)
        self._earlier_incomplete = self._file.marked
        try:
            self._begin()
        except BaseException:
            self._disconnect()
            self._file.release()
            raise

    def start(self) -> None:
        """Start the thread that keeps the file small."""
        self._house.start()

    def stop(self) -> None:
        """End the thread. Idempotent."""
        self._house.stopping.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread's end, if there was a start; True if it came in time."""
        return self._house.join(timeout_s)

    def write(self, group: Sequence[Encoded]) -> None:
        """Write a group's messages, those that are journaled, at once; what fails waits."""
        kept = [m for m in group if rows.stream_and_kind(m.topic)[1] in self._kinds]
        with self._lock:
            if self._closed:  # the lock file is no longer ours
                self.lost += len(kept)
                return
            self._waiting.extend(kept)
            self._flush()
            while len(self._waiting) > _MAX_WAITING:
                self._waiting.popleft()
                self.lost += 1
                self._open_lost = True
            self._mark()

    def close(self, sequences: Mapping[str, int], *, timeout_s: float = 2.0) -> None:
        """End the run cleanly, and note each topic's last sequence. Idempotent.

        A disk that still holds up another thread after `timeout_s` leaves the journal as it is.
        """
        self.stop()
        if not self._lock.acquire(timeout=timeout_s):
            log.warning("journal: %s is stuck; left as after a kill", self.path)
            return
        try:
            if self._closed:
                return
            self._closed = True
            self._retry_at_s = 0.0
            while self._flush():
                pass
            if not self._failure and self._try(lambda c: rows.end_run(c, self._run, sequences)):
                self._file.mark(False)
            self._disconnect()
            self._file.release()
        finally:
            self._lock.release()

    def reading_failed(self, error: sqlite3.Error) -> None:
        """Begin a new file where a reader met damage."""
        with self._lock:
            if is_damage(error) and not self._closed:
                self._fail(error)

    def waiting(self, topic: str) -> list[Encoded]:
        """A topic's messages that are not on disk yet."""
        with self._lock:
            return [message for message in self._waiting if message.topic == topic]

    @property
    def waits(self) -> int:
        """How many messages are not on disk yet."""
        return len(self._waiting)

    @property
    def problem(self) -> str:
        """Why messages wait, for an operator; empty while all is well."""
        failure = self._failure
        if not failure:
            return ""
        lost = f", {self.lost} are lost" if self.lost else ""
        return f"journal: {failure}; {self.waits} events wait to be written{lost}"

    @property
    def file_bytes(self) -> int:
        """What the database and its log take on disk."""
        return file_bytes(self.path) + file_bytes(wal_of(self.path))

    def tidy(self) -> None:
        """One round of upkeep: write what waits, trim, move the log into the database."""
        while self._drain_some():
            self._clock.wait(self._house.stopping, _PAUSE_S)
        while self._trim_some():
            self._clock.wait(self._house.stopping, _PAUSE_S)
        if self._connection:
            with suppress(sqlite3.Error):  # writing meets it too, and tells of it
                checkpoint(self.path, self._wal_bytes, self._lock)

    def _drain_some(self) -> bool:
        """Write a chunk of what waits; whether there is more. Notices a file that is gone."""
        with self._lock:
            if self._closed:
                return False
            if self._connection and self._file.identity() != self._identity:
                self._open_lost = self._tails_lost = True
                self._fail(OSError("the file was deleted or replaced; a new one is begun"))
            more = self._flush()
            self._mark()
            return more

    def _trim_some(self) -> bool:
        """Delete a little; whether there is more."""
        with self._lock:
            if self._connection is None or self._house.stopping.is_set():
                return False
            log_bytes = min(file_bytes(wal_of(self.path)), self._wal_bytes)
            # A wall clock that jumps forward makes nothing older than the time that really passed.
            passed_s = self._clock.monotonic_s() - self._started_s
            utc_s = min(self._clock.utc_s(), self._started_utc_s + passed_s)
            before, most, more = utc_s - self._max_age_s, self._max_bytes - log_bytes, list[bool]()
            self._try(lambda c: more.append(trim(c, before, most, run=self._run)))
            return any(more)

    # All below needs the lock.

    def _mark(self) -> None:
        self._file.mark(self._earlier_incomplete or self._tails_lost or bool(self._waiting))

    def _begin(self) -> None:
        """Connect and register the run. Of a disk that is full only the writing hears."""
        try:
            try:
                self._connect()
            except sqlite3.DatabaseError as error:
                if not is_damage(error) or self._file.is_text():
                    raise
                self._set_aside(error)
                self._connect()
        except (sqlite3.Error, OSError) as error:
            if not may_pass(error):
                raise refusal(self.path, error) from None
            self._fail(error)

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None:
            self._file.make()
            connection = connect(self.path, power_safe=self._power_safe, wal_bytes=self._wal_bytes)
            try:
                with transaction(connection):
                    self._run = rows.register_run(
                        connection,
                        self._boot_id,
                        started_utc_s=self._started_utc_s,
                        predictions="prediction" in self._kinds,
                    )
                    if self._earlier_incomplete:
                        rows.mark_incomplete(connection, self._run)
            except BaseException:
                connection.close()
                raise
            self._connection, self._identity = connection, self._file.identity()
            self._earlier_incomplete = False
            self._mark()
        return self._connection

    def _disconnect(self) -> None:
        if self._connection:
            with suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None

    def _flush(self) -> bool:
        """Write a chunk of what waits; whether there is more that can be written."""
        failing = self._failure
        if failing and self._clock.monotonic_s() < self._retry_at_s:
            return False
        if self._waiting or failing or self._open_lost:
            group = list(islice(self._waiting, _FLUSH))
            if not self._try(lambda connection: self._insert(connection, group)):
                return False
            self._failure = ""
            self._open_lost = False
            for _ in group:
                self._waiting.popleft()
        if failing:
            log.warning("journal: %s can be written again", self.path)
        return bool(self._waiting)

    def _insert(self, connection: sqlite3.Connection, group: list[Encoded]) -> None:
        if self._open_lost:
            rows.replace_open(connection, self.open_events())
        rows.insert(connection, self._run, group)

    def _try(self, work: Callable[[sqlite3.Connection], None]) -> bool:
        """Do something in one transaction; where it fails, begin anew with a new connection."""
        try:
            connection = self._connect()
            with transaction(connection):
                work(connection)
        except (sqlite3.Error, OSError) as error:
            self._fail(error)
            return False
        return True

    def _fail(self, error: Exception) -> None:
        self.errors += 1
        self._retry_at_s = self._clock.monotonic_s() + _RETRY_S
        self._disconnect()
        if is_damage(error):
            with suppress(OSError):
                self._set_aside(error)
        failure = describe(error)
        if failure != self._failure:
            log.warning("journal: %s: %s", self.path, failure)
        self._failure = failure

    def _set_aside(self, error: Exception) -> None:
        aside = self._file.set_aside(self._clock.utc_s())
        self._open_lost = self._tails_lost = True
        log.warning("journal: %s is damaged (%s); moved to %s", self.path, error, aside)
