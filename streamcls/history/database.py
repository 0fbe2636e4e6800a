"""The journal's tables, how its file is opened, and the statements that answer replays."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import UnionType
from typing import Any, NamedTuple
from urllib.parse import quote

from streamcls.history.walk import Found, Place, Run

SCHEMA_VERSION = 1
_APPLICATION_ID = 0x73747263  # "strc"
_SCHEMA = """
CREATE TABLE runs (
    run INTEGER PRIMARY KEY,
    bootid TEXT NOT NULL UNIQUE,
    started REAL NOT NULL,
    predictions INTEGER NOT NULL,    -- whether they were journaled, too
    tails_known INTEGER NOT NULL     -- 1: of every topic; 0: of journaled ones; -1: of none
);
CREATE TABLE tails (                 -- the newest sequence of a topic; outlives its messages
    run INTEGER NOT NULL,
    stream TEXT NOT NULL,
    kind TEXT NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (run, stream, kind)
) WITHOUT ROWID;
CREATE TABLE messages (
    id INTEGER PRIMARY KEY,          -- grows as they were published
    run INTEGER NOT NULL,
    stream TEXT NOT NULL,
    kind TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    time REAL NOT NULL,              -- POSIX seconds
    label TEXT,                      -- of events
    body BLOB NOT NULL
);
CREATE UNIQUE INDEX places ON messages (stream, kind, run, sequence);
CREATE INDEX times ON messages (time);
CREATE TABLE open_events (           -- started, not ended: the newest message of each
    event_id TEXT PRIMARY KEY,
    stream TEXT NOT NULL,
    body BLOB NOT NULL
) WITHOUT ROWID;
"""
_BUSY_S = 0.25  # how long a write waits for another program that writes
_READER_BUSY_S = 2.0


class RunRow(NamedTuple):
    """A run, its number in the file, and the newest sequence of the topic asked for."""

    number: int
    run: Run


def connect(path: Path, *, power_safe: bool, wal_bytes: int) -> sqlite3.Connection:
    """A connection that writes; several threads may share it, one at a time.

    Args:
        power_safe: a commit survives a power cut, not only a killed process.
        wal_bytes: to what the write-ahead log is cut when it starts anew.

    Raises:
        sqlite3.Error: it cannot be opened, or is not a journal.
    """
    connection = sqlite3.connect(
        path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
    )
    try:
        version = _version(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if power_safe else 'NORMAL'}")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(f"PRAGMA journal_size_limit = {wal_bytes}")
        if version == 0:
            script = (
                f"BEGIN IMMEDIATE;{_SCHEMA}PRAGMA user_version = {SCHEMA_VERSION};"
                f"PRAGMA application_id = {_APPLICATION_ID};COMMIT;"
            )
            connection.executescript(script)
    except UnicodeDecodeError:  # met by Python in SQLite's own words about the damage
        connection.close()
        raise _damage("its tables' names are damaged") from None
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection) -> int:
    """The tables' format, 0 before there are any; refuses another program's file unchanged."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    ours = application == _APPLICATION_ID or (application == 0 and version and "runs" in tables)
    if not ours and (application or version or tables):
        raise sqlite3.DatabaseError("it is another program's database")
    if version not in (0, SCHEMA_VERSION):
        raise sqlite3.DatabaseError(f"its format {version} is not {SCHEMA_VERSION}")
    return int(version)


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection of its own that reads one state of the file, while others write."""
    address = f"file:{quote(str(path.absolute()))}?mode=rw"
    with closing(sqlite3.connect(address, uri=True, timeout=_READER_BUSY_S)) as connection:
        connection.isolation_level = None
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN")
        yield connection


def runs_of(connection: sqlite3.Connection, stream: str, kind: str) -> list[RunRow]:
    """All runs, oldest first, with what is known of a topic's end in each."""
    rows = connection.execute(
        "SELECT runs.run, bootid, predictions, tails_known, last FROM runs LEFT JOIN tails"
        " ON tails.run = runs.run AND stream = ? AND kind = ? ORDER BY runs.run",
        (stream, kind),
    )
    found = []
    kinds = (int, str, int, int, int | None)
    for number, bootid, predictions, tails_known, last in typed(rows, *kinds):
        journaled = kind == "event" or (kind == "prediction" and predictions)
        known = tails_known == 1 or (tails_known == 0 and journaled)
        found.append(RunRow(number, Run(bootid, (last or 0) if known else None)))
    return found


def messages_after(
    connection: sqlite3.Connection,
    topic: tuple[str, str],
    numbers: Sequence[int],
    after: Place,
    limit: int,
) -> list[Found]:
    """A topic's messages after a place, in order, at most `limit`; runs given by their numbers."""
    if after.run >= len(numbers):
        return []  # the present run could not be registered yet
    index = {number: place for place, number in enumerate(numbers)}
    rows = connection.execute(
        "SELECT run, sequence, body FROM messages WHERE stream = ? AND kind = ?"
        " AND (run, sequence) > (?, ?) ORDER BY run, sequence LIMIT ?",
        (*topic, numbers[after.run], after.sequence, limit),
    )
    of_known = (row for row in typed(rows, int, int, bytes) if row[0] in index)
    return [(Place(index[run], sequence), body) for run, sequence, body in of_known]


def open_events(connection: sqlite3.Connection) -> list[tuple[str, str, bytes]]:
    """Event id, stream and newest message of what has not ended."""
    rows = connection.execute("SELECT event_id, stream, body FROM open_events")
    return [(name, stream, body) for name, stream, body in typed(rows, str, str, bytes)]


def event_streams(connection: sqlite3.Connection) -> list[str]:
    """The streams of which events were journaled."""
    rows = connection.execute("SELECT DISTINCT stream FROM tails WHERE kind = 'event'")
    return [stream for (stream,) in typed(rows, str)]


def typed(rows: Iterable[tuple[Any, ...]], *kinds: type | UnionType) -> Iterator[tuple[Any, ...]]:
    """Rows as the tables have them.

    Raises:
        sqlite3.DatabaseError: a value has another type; to SQLite a flipped bit that makes it so
            is no damage.
    """
    for row in rows:
        if not all(isinstance(value, kind) for value, kind in zip(row, kinds, strict=True)):
            raise _damage("a value is not of its column's type")
        yield row


def _damage(text: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(text)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


class transaction:  # noqa: N801
    """All or nothing. A class, as a generator costs more than a small write."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self._connection.execute("COMMIT")
        elif self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
