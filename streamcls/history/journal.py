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
from streamcls.history.database import connect, transaction
from streamcls.history.place import Place, describe, is_damage, may_pass, refusal
from streamcls.history.rows import end_run, insert, register_run, replace_open, stream_and_kind
from streamcls.history.upkeep import checkpoint, file_bytes, trim, wal_of
from streamcls.history.walk import Kept

log = logging.getLogger("streamcls")

_MAX_WAITING = 100_000  # messages kept for a disk that fails; then the oldest are lost
_FLUSH = 5000  # messages per transaction when it is back
_RETRY_S = 1.0
_TICK_S = 1.0
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
        self._started_utc_s = clock.utc_s()
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
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep_house, name="journal", daemon=True)
        self._place = Place(path)
        try:
            self._begin()
        except BaseException:
            self._disconnect()
            self._place.release()
            raise

    def start(self) -> None:
        """Start the thread that keeps the file small."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread. Idempotent."""
        self._stopping.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread's end, if there was a start; True if it came in time."""
        if self._thread.ident:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def write(self, group: Sequence[Encoded]) -> None:
        """Write a group's messages, those that are journaled, at once; what fails waits."""
        rows = [message for message in group if stream_and_kind(message.topic)[1] in self._kinds]
        with self._lock:
            if self._closed:  # the lock file is no longer ours
                self.lost += len(rows)
                return
            self._waiting.extend(rows)
            self._flush()
            while len(self._waiting) > _MAX_WAITING:
                self._waiting.popleft()
                self.lost += 1
                self._open_lost = True

    def close(self, sequences: Mapping[str, int]) -> None:
        """End the run cleanly, and note each topic's last sequence. Idempotent."""
        self.stop()
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._retry_at_s = 0.0
            self._flush()
            if not self._failure:
                self._try(lambda connection: end_run(connection, self._run, sequences))
            self._disconnect()
            self._place.release()

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
        with self._lock:
            if not self._closed:
                self._flush()
        while self._trim_some():
            self._clock.wait(self._stopping, _PAUSE_S)
        self._checkpoint()

    def _keep_house(self) -> None:
        while not self._clock.wait(self._stopping, _TICK_S):
            self.tidy()

    def _trim_some(self) -> bool:
        """Delete a little; whether there is more."""
        with self._lock:
            if self._connection is None or self._stopping.is_set():
                return False
            log_bytes = min(file_bytes(wal_of(self.path)), self._wal_bytes)
            more = False

            def work(connection: sqlite3.Connection) -> None:
                nonlocal more
                more = trim(
                    connection,
                    before_utc_s=self._clock.utc_s() - self._max_age_s,
                    max_bytes=self._max_bytes - log_bytes,
                    run=self._run,
                )

            return self._try(work) and more

    def _checkpoint(self) -> None:
        if self._connection is None:
            return
        try:
            checkpoint(self.path, self._wal_bytes, self._lock)
        except sqlite3.Error as error:  # writing meets it too, and tells of it
            log.debug("journal: checkpoint of %s: %s", self.path, error)

    # All below needs the lock.

    def _begin(self) -> None:
        """Connect and register the run. Of a disk that is full only the writing hears."""
        try:
            try:
                self._connect()
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                self._set_aside(error)
                self._connect()
        except (sqlite3.Error, OSError) as error:
            if not may_pass(error):
                raise refusal(self.path, error) from None
            self._fail(error)

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None:
            self._place.make()
            connection = connect(self.path, power_safe=self._power_safe, wal_bytes=self._wal_bytes)
            try:
                with transaction(connection):
                    self._run = register_run(
                        connection,
                        self._boot_id,
                        started_utc_s=self._started_utc_s,
                        predictions="prediction" in self._kinds,
                    )
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _disconnect(self) -> None:
        if self._connection:
            with suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None

    def _flush(self) -> None:
        failing = self._failure
        if failing and self._clock.monotonic_s() < self._retry_at_s:
            return
        while self._waiting or self._failure:
            group = list(islice(self._waiting, _FLUSH))
            if not self._try(lambda connection: self._insert(connection, group)):  # noqa: B023
                return
            self._open_lost = False
            for _ in group:
                self._waiting.popleft()
        if failing:
            log.warning("journal: %s can be written again", self.path)

    def _insert(self, connection: sqlite3.Connection, group: list[Encoded]) -> None:
        if self._open_lost:
            replace_open(connection, self.open_events())
        insert(connection, self._run, group)

    def _try(self, work: Callable[[sqlite3.Connection], None]) -> bool:
        """Do something in one transaction; where it fails, begin anew with a new connection."""
        try:
            connection = self._connect()
            with transaction(connection):
                work(connection)
        except (sqlite3.Error, OSError) as error:
            self._fail(error)
            return False
        self._failure = ""
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
        aside = self._place.set_aside(self._clock.utc_s())
        self._open_lost = True
        log.warning("journal: %s is damaged (%s); moved to %s", self.path, error, aside)
