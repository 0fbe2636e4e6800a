"""What has arrived of a file that is being fetched: `NAME.part`, and beside it which it is."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from streamcls.errors import StreamclsError


class PartialFile:
    """The bytes that are there, and of which version of which URL they are.

    Attributes:
        version: what the server calls it, for `If-Range`; None: nothing there can be added to.
    """

    def __init__(self, file: FileIO, target: Path, url: str) -> None:
        self._file = file
        self._target, self._url = target, url
        self.version = self._known_version()
        if self.version is None:
            self.restart()

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return os.fstat(self._file.fileno()).st_size

    def restart(self, version: str | None = None) -> None:
        """Forget what has arrived, and remember of which version the next bytes are."""
        self._file.truncate(0)
        self.version = version
        _note_path(self._target).write_text(json.dumps({"url": self._url, "version": version}))

    def need(self, missing_bytes: int) -> None:
        """Refuse early what the disk has no room for."""
        folder = self._target.parent
        if missing_bytes > shutil.disk_usage(folder).free:
            raise StreamclsError(
                f"{folder} has no room for {missing_bytes / 1e6:.0f} MB; make room or choose"
                " another folder"
            )

    def write(self, data: bytes) -> None:
        """Add bytes at the end."""
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) :]

    def sha256(self) -> str:
        """Of all that is there, hexadecimal."""
        self._file.seek(0)
        return hashlib.file_digest(self._file, "sha256").hexdigest()

    def complete(self) -> None:
        """Give the file its name."""
        os.replace(_part_path(self._target), self._target)
        _note_path(self._target).unlink(missing_ok=True)

    def _known_version(self) -> str | None:
        try:
            note = json.loads(_note_path(self._target).read_text())
            return str(note["version"]) if note["url"] == self._url and note["version"] else None
        except (OSError, ValueError, LookupError, TypeError):
            return None


@contextmanager
def partial_file(target: Path, url: str) -> Iterator[PartialFile]:
    """What has arrived of `target`, locked against another process; empty, it leaves no trace.

    Raises:
        StreamclsError: another process has it, or the disk does not take it.
    """
    path = _part_path(target)
    try:
        with FileIO(path, "a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StreamclsError(f"another process is fetching {target}; wait for it") from None
            try:
                yield PartialFile(file, target, url)
            finally:
                if path.exists() and not path.stat().st_size:
                    path.unlink()
                    _note_path(target).unlink(missing_ok=True)
    except OSError as error:
        raise StreamclsError(
            f"{target} cannot be written: {error.strerror}; make room or choose another folder, and"
            " run it again: what has arrived is kept"
        ) from None


def _part_path(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _note_path(target: Path) -> Path:
    return target.with_name(f"{target.name}.part.json")
