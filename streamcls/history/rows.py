"""Writing messages into the journal's tables, inside the caller's transaction."""

import sqlite3
from collections.abc import Mapping, Sequence
from functools import lru_cache

from streamcls.events import Encoded, EventData, parse_topic
from streamcls.history.walk import Kept

_INSERT = "INSERT INTO messages VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)"
_OPEN = "INSERT OR REPLACE INTO open_events VALUES (?, ?, ?)"
_TAIL = "INSERT OR REPLACE INTO tails VALUES (?, ?, ?, ?)"

stream_and_kind = lru_cache(maxsize=10_000)(parse_topic)


def register_run(
    connection: sqlite3.Connection, boot_id: str, *, started_utc_s: float, predictions: bool
) -> int:
    """Note that a run has begun, unless it is noted; returns its number."""
    connection.execute(
        "INSERT OR IGNORE INTO runs SELECT coalesce(max(run), 0) + 1, ?, ?, ?, 0 FROM runs",
        (boot_id, started_utc_s, predictions),
    )
    row = connection.execute("SELECT run FROM runs WHERE bootid = ?", (boot_id,)).fetchone()
    return int(row[0])


def mark_incomplete(connection: sqlite3.Connection, present: int) -> None:
    """Note that nobody knows where the run before this one ended."""
    connection.execute(
        "UPDATE runs SET tails_known = -1 WHERE tails_known = 0"
        " AND run = (SELECT max(run) FROM runs WHERE run < ?)",
        (present,),
    )


def insert(connection: sqlite3.Connection, run: int, group: Sequence[Encoded]) -> None:
    """Write messages, what they open and end, and where their topics now end."""
    rows = []
    opened: dict[str, tuple[str, str, bytes]] = {}
    ended: list[tuple[str]] = []
    tails: dict[str, int] = {}
    for message in group:
        stream, kind = stream_and_kind(message.topic)
        payload, body, sequence = message.payload, message.body, message.sequence
        label = None
        if isinstance(payload, EventData):
            label = payload.label
            if payload.transition == "end":
                ended.append((payload.event_id,))
                opened.pop(payload.event_id, None)
            else:
                opened[payload.event_id] = (payload.event_id, stream, body)
        rows.append((run, stream, kind, sequence, message.time.timestamp(), label, body))
        tails[message.topic] = sequence
    connection.executemany(_INSERT, rows)
    if ended:
        connection.executemany("DELETE FROM open_events WHERE event_id = ?", ended)
    if opened:
        connection.executemany(_OPEN, opened.values())
    put_tails(connection, run, tails)


def put_tails(connection: sqlite3.Connection, run: int, sequences: Mapping[str, int]) -> None:
    """Note each topic's newest sequence."""
    rows = [(run, *stream_and_kind(topic), last) for topic, last in sequences.items()]
    connection.executemany(_TAIL, rows)


def end_run(connection: sqlite3.Connection, run: int, sequences: Mapping[str, int]) -> None:
    """Note that a run ended cleanly, and where."""
    put_tails(connection, run, sequences)
    connection.execute("UPDATE runs SET tails_known = 1 WHERE run = ?", (run,))


def replace_open(connection: sqlite3.Connection, events: Mapping[str, Kept]) -> None:
    """Set what is open, where messages that told of it were lost."""
    connection.execute("DELETE FROM open_events")
    rows = [(name, stream_and_kind(kept.topic)[0], kept.body) for name, kept in events.items()]
    connection.executemany(_OPEN, rows)
