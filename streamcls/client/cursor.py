"""A file that says how far a consumer has come, so that it goes on there after a restart."""

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from streamcls.errors import StreamclsError
from streamcls.events import parse_topic
from streamcls.protocol import Position

SAVE_EVERY_S = 0.5


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal["streamcls cursor 1"]
    positions: dict[str, Position]


class CursorFile:
    """One consumer's positions by topic, on disk. Holds a lock on `<file>.lock` until closed.

    Attributes:
        positions: as found; None where there was no file yet.

    Raises:
        StreamclsError: another process holds it, it is damaged, or the folder cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._saved_at_s = float("-inf")
        self._lock = _lock(self._path)
        try:
            self.positions = self._load()
        except StreamclsError:
            self.close()
            raise

    def due_s(self) -> float:
        """When it may be saved again, on the clock that `save` was told."""
        return self._saved_at_s + SAVE_EVERY_S

    def save(self, positions: Mapping[str, Position], now_s: float) -> None:
        """Replace the file, so that a kill or a power cut leaves the old or the new one whole.

        Raises:
            StreamclsError: the disk refuses.
        """
        body = msgspec.json.encode(_File("streamcls cursor 1", dict(positions)))
        draft = self._path.with_name(self._path.name + ".new")
        try:
            _write(draft, msgspec.json.format(body, indent=1) + b"\n")
            draft.replace(self._path)
            _sync_folder(self._path.parent)
        except OSError as error:
            raise StreamclsError(
                f"cursor {self._path} cannot be saved: {error.strerror}; free or change the disk"
            ) from None
        self._saved_at_s = now_s

    def close(self) -> None:
        """Let another process have it. Idempotent."""
        if self._lock >= 0:
            os.close(self._lock)
        self._lock = -1

    def _load(self) -> dict[str, Position] | None:
        try:
            positions = msgspec.json.decode(self._path.read_bytes(), type=_File).positions
            for name in positions:
                parse_topic(name)
            return positions
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StreamclsError(
                f"cursor {self._path} cannot be read: {error.strerror}; name another file"
            ) from None
        except (ValueError, RecursionError) as error:
            raise StreamclsError(
                f"cursor {self._path} is damaged or of another version ({error});"
                " delete it to start anew"
            ) from None


def _lock(path: Path) -> int:
    name = path.with_name(path.name + ".lock")
    try:
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StreamclsError(
            f"cursor {path} cannot be kept there: {error.strerror}; name a file in a folder"
            " that exists and can be written"
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise StreamclsError(
            f"cursor {path} is in use by another subscriber; give each its own file"
        ) from None
    return descriptor


def _write(path: Path, body: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
