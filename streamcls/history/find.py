"""Reading the journal from outside, while a daemon may be writing."""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from streamcls.errors import ConfigError
from streamcls.history.database import reading, typed

_PAGE = 500  # rows per read, so that no read holds back the daemon's log file


def find_events(
    path: Path,
    *,
    since_utc_s: float | None,
    until_utc_s: float | None,
    streams: Sequence[str],
    labels: Sequence[str],
) -> Iterator[bytes]:
    """The bodies of journaled events, in the order in which they were published.

    Args:
        path: the journal.
        since_utc_s, until_utc_s: bounds of the messages' time, inclusive, POSIX seconds.
        streams, labels: only these; none for all.

    Raises:
        ConfigError: there is no journal at `path`, or it cannot be read.
    """
    if not path.is_file():
        raise ConfigError(f"there is no journal at {path}; name it with --journal or --config")
    return _found(
        path,
        -1e300 if since_utc_s is None else since_utc_s,
        1e300 if until_utc_s is None else until_utc_s,
        streams,
        labels,
    )


def newest_events(path: Path, since_utc_s: float, limit: int) -> list[bytes]:
    """The bodies of events journaled since an instant, newest first, at most `limit`.

    Raises:
        ConfigError: as `find_events`.
    """
    try:
        with reading(path) as connection:
            rows = connection.execute(
                "SELECT body FROM messages WHERE time >= ? AND kind = 'event'"
                " ORDER BY time DESC, id DESC LIMIT ?",
                (since_utc_s, limit),
            )
            return [body for (body,) in typed(rows, bytes)]
    except sqlite3.Error as error:
        raise ConfigError(f"cannot read the journal {path}: {error}") from None


def _found(
    path: Path, since: float, until: float, streams: Sequence[str], labels: Sequence[str]
) -> Iterator[bytes]:
    wanted = "kind = 'event'" + _among("stream", streams) + _among("label", labels)
    # Times may step back, ids do not: the times only tell which ids to look at.
    page = (
        "SELECT id, body FROM messages WHERE id > ? AND id <= ? AND time BETWEEN ? AND ?"
        f" AND {wanted} ORDER BY id LIMIT {_PAGE}"
    )
    bounds = "SELECT min(id) - 1, max(id) FROM messages WHERE time BETWEEN ? AND ?"
    try:
        with reading(path) as connection:
            after, last = connection.execute(bounds, (since, until)).fetchone()
        while after is not None:
            with reading(path) as connection:
                rows = connection.execute(
                    page, (after, last, since, until, *streams, *labels)
                ).fetchall()
            yield from (body for _, body in rows)
            after = rows[-1][0] if rows else None
    except sqlite3.Error as error:
        advice = (
            "copy it with its -wal into a folder that you may write, and name it with --journal"
        )
        raise ConfigError(f"cannot read the journal {path}: {error}; {advice}") from None


def _among(column: str, values: Sequence[str]) -> str:
    return f" AND {column} IN ({', '.join('?' * len(values))})" if values else ""
