"""Where a journal lives: its folder, its lock, and what becomes of a file that is damaged."""

import errno
import fcntl
import logging
import os
import sqlite3
import stat
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from streamcls.errors import BindError, ConfigError

log = logging.getLogger("streamcls")

_REMEDY = "set [journal] path to a folder that can be written, or [journal] enabled = false"
_KEEP_DAMAGED = 3
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_PASSING = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class JournalFile:
    """A journal's path, locked: two daemons never share one.

    The lock file's mode carries a mark, as a full disk refuses no change of a mode: the run that
    has the lock published messages that are not in the journal.

    Raises:
        ConfigError: the folder or the file cannot be made or written.
        BindError: another daemon has it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._handle = os.open(f"{path}.lock", flags, 0o600)
        except OSError as error:
            raise refusal(path, error) from None
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.make()
            self.marked = bool(os.fstat(self._handle).st_mode & stat.S_IXUSR)
        except BlockingIOError:
            self.release()
            raise BindError(
                f"another daemon writes the journal {path}; give this one its own [journal] path"
            ) from None
        except OSError as error:
            self.release()
            raise refusal(path, error) from None

    def make(self) -> None:
        """Make the file, for nobody else to read, where it is missing; a full disk may be late."""
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            os.close(os.open(self.path, flags, 0o600))
        except FileExistsError:
            if not self.path.is_file() or not os.access(self.path, os.R_OK | os.W_OK):
                raise PermissionError(errno.EACCES, "not a file that can be written") from None
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise

    def set_aside(self, utc_s: float) -> Path:
        """Move a damaged journal out of the way, beside the new one; returns where it is."""
        stamp = datetime.fromtimestamp(utc_s, UTC).strftime("%Y-%m-%dT%H%M%SZ")
        aside = self.path.with_name(f"{self.path.name}.damaged-{stamp}")
        for suffix in ("", "-wal", "-shm"):
            try:
                os.replace(f"{self.path}{suffix}", f"{aside}{suffix}")
            except FileNotFoundError:
                continue
        for old in sorted(self.path.parent.glob(f"{self.path.name}.damaged-*Z"))[:-_KEEP_DAMAGED]:
            for suffix in ("", "-wal", "-shm"):
                Path(f"{old}{suffix}").unlink(missing_ok=True)
        self.make()
        return aside

    def mark(self, incomplete: bool) -> None:
        """Note whether published messages are not in the journal."""
        if incomplete != self.marked:
            with suppress(OSError):
                os.fchmod(self._handle, 0o700 if incomplete else 0o600)
                self.marked = incomplete

    def identity(self) -> list[tuple[int, int]]:
        """Which files the database and its log are; fewer where one is gone."""
        found = []
        for suffix in ("", "-wal"):
            with suppress(FileNotFoundError):
                status = os.stat(f"{self.path}{suffix}")
                found.append((status.st_dev, status.st_ino))
        return found

    def is_text(self) -> bool:
        """Whether somebody's plain text lies there, which is never moved."""
        with self.path.open("rb") as file:
            start = file.read(4096)
        return bool(start) and b"\0" not in start

    def release(self) -> None:
        """Let another daemon have it."""
        os.close(self._handle)


def refusal(path: Path, error: Exception) -> ConfigError:
    """Why a journal cannot be used, and what to do."""
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return ConfigError(f"cannot use the journal {path}: {reason}; {_REMEDY}")


def is_damage(error: Exception) -> bool:
    """Whether the file is no database any more."""
    return _code(error) in _DAMAGE


def may_pass(error: Exception) -> bool:
    """Whether trying again later may help: the disk is full, fails, or another program writes."""
    return _code(error) in _PASSING or (
        isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO)
    )


def describe(error: Exception) -> str:
    """A failure in a few words."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or _code(error) == sqlite3.SQLITE_FULL:
        return "disk is full"
    return str(error)


def _code(error: Exception) -> int:
    """SQLite's primary code; 0 for other errors."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
