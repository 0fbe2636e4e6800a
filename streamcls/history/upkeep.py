"""Keeping the journal within its age and size, a little at a time."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from streamcls.history.database import typed

_BATCH = 100  # messages per transaction: a few milliseconds
_EMPTY_RUNS = 10_000  # older ones of which nothing is left are forgotten
_TRUNCATE_BUSY_S = 0.02  # how long publishing may wait for readers of the log


def wal_of(path: Path) -> Path:
    """The write-ahead log beside a journal."""
    return path.with_name(f"{path.name}-wal")


def file_bytes(path: Path) -> int:
    """What a file takes; 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def used_bytes(connection: sqlite3.Connection) -> int:
    """What the tables take, without the pages that wait to be used again."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * page_bytes)


def trim(connection: sqlite3.Connection, before_utc_s: float, max_bytes: int, *, run: int) -> bool:
    """Delete some of what is too old, else the oldest of what is too much; whether to go on.

    What is open, and where each topic of a remaining run ended, are in tables of their own.

    Args:
        max_bytes: of used pages.
        run: the present one, which stays.
    """
    if _delete(connection, "WHERE time < ? ORDER BY time", before_utc_s):
        return True
    if used_bytes(connection) > max_bytes and _delete(connection, "ORDER BY id"):
        return True
    return _forget_runs(connection, before_utc_s, run)


def checkpoint(path: Path, wal_bytes: int, writing: threading.Lock) -> None:
    """Copy the log into the database, on a connection of its own, which holds up nobody.

    A log that stays long, because writing never rests or a reader lingers, is cut while `writing`
    is held; that is short, as most of it was copied before.
    """
    address = f"file:{quote(str(path.absolute()))}?mode=rw"  # a missing file is not made here
    with closing(sqlite3.connect(address, uri=True, timeout=_TRUNCATE_BUSY_S)) as connection:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        if file_bytes(wal_of(path)) > wal_bytes:
            with writing:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _delete(connection: sqlite3.Connection, which: str, *values: float) -> bool:
    statement = f"DELETE FROM messages WHERE id IN (SELECT id FROM messages {which} LIMIT {_BATCH})"
    return connection.execute(statement, values).rowcount > 0


def _forget_runs(connection: sqlite3.Connection, before_utc_s: float, present: int) -> bool:
    """Without this, a daemon that crashes over and over would grow the file for ever."""
    rows = connection.execute("SELECT run FROM messages ORDER BY id LIMIT 1")
    kept = next(typed(rows.fetchall(), int), None)
    oldest = min(present, kept[0]) if kept else present
    forgotten = connection.execute(
        f"SELECT run FROM runs WHERE run < ? AND (started < ? OR run < ?) LIMIT {_BATCH}",
        (oldest, before_utc_s, present - _EMPTY_RUNS),
    ).fetchall()
    connection.executemany("DELETE FROM tails WHERE run = ?", forgotten)
    connection.executemany("DELETE FROM runs WHERE run = ?", forgotten)
    return bool(forgotten)
