"""Where a daemon writes: whether it may, how much room there is, and what is there already."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from streamcls.config import journal_path
from streamcls.doctor.finding import Finding, Subject
from streamcls.errors import ConfigError
from streamcls.history import find_events

_MB = 1_000_000


def look(subject: Subject) -> Iterator[Finding]:
    """The journal's folder, the room in it, and the journal."""
    settings = subject.journal
    if not settings.enabled:
        yield Finding("journal", "note", "off: replays reach back no further than memory")
        return
    path = journal_path(settings)
    remedy = "set [journal] path to a folder that can be written, or [journal] enabled = false"
    folder = folder_finding("state", path.parent, remedy)
    if folder.level != "ok":
        yield Finding(folder.name, "error", folder.detail, remedy)
        return
    yield folder
    yield _room(path, settings.max_size_mb)
    yield _journal(path)


def folder_finding(name: str, folder: Path, otherwise: str) -> Finding:
    """Whether a folder can be written, or made; nothing is.

    Args:
        otherwise: what follows where it cannot.
    """
    there = _nearest(folder)
    if not there.is_dir():
        return Finding(name, "warning", f"{there} is not a folder", otherwise)
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding(name, "warning", f"{there} may not be written", otherwise)
    made = "can be written" if there == folder else "will be made"
    return Finding(name, "ok", f"{folder} {made}")


def _room(path: Path, max_size_mb: float) -> Finding:
    free_mb = shutil.disk_usage(_nearest(path.parent)).free / _MB
    grows_mb = max_size_mb - _size_mb(path)
    told = f"{free_mb / 1000:.1f} GB free; the journal may grow by {grows_mb / 1000:.1f} GB"
    if free_mb < grows_mb:
        return Finding("room", "warning", told, "free some, or lower [journal] max_size_mb")
    return Finding("room", "ok", told)


def _journal(path: Path) -> Finding:
    if not path.exists():
        return Finding("journal", "ok", f"{path} will be made")
    try:
        every = find_events(path, since_utc_s=None, until_utc_s=None, streams=(), labels=())
        first = next(every, None)
    except ConfigError as error:
        remedy = "see who owns it; the daemon moves a damaged one aside by itself"
        return Finding("journal", "warning", str(error), remedy)
    told = "readable" if first else "readable, without events yet"
    return Finding("journal", "ok", f"{path}: {told}, {_size_mb(path):.1f} MB")


def _size_mb(path: Path) -> float:
    return path.stat().st_size / _MB if path.exists() else 0.0


def _nearest(path: Path) -> Path:
    """The path, or that of the folders it would be made in which is there."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
