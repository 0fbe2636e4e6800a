"""Converted networks on disk, so that the next start need not convert again."""

import hashlib
import logging
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

log = logging.getLogger("streamcls")

_KEEP = 8
"""Networks kept, the last used ones: each model file and backend that was served makes one."""
_SUFFIX = ".network"


def cache_folder() -> Path:
    """Where they lie: systemd's cache directory, where a unit has one, else the user's (XDG)."""
    of_unit = os.environ.get("CACHE_DIRECTORY", "").partition(":")[0]
    of_user = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not of_user.is_absolute():  # which the XDG specification says to ignore
        of_user = Path.home() / ".cache"
    return (Path(of_unit) if of_unit else of_user / "streamcls") / "networks"


class NetworkCache:
    """Bytes by what they were made from. A folder that cannot be used costs time, never the start.

    What is read is what was written: each file begins with the SHA-256 of the rest. It is trusted
    as the program is, so the folder is its owner's alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, made_from: Sequence[str]) -> bytes | None:
        """What was kept under the same words, or None."""
        path = self._path(made_from)
        try:
            digest, content = (data := path.read_bytes())[:32], data[32:]
            if self._folder.stat().st_uid != os.getuid():
                log.warning("%s belongs to another user, and is not used", self._folder)
                return None
            os.utime(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("a converted network cannot be read: %s: %s", path, error.strerror)
            return None
        if hashlib.sha256(content).digest() != digest:
            log.warning("%s is damaged; the network is converted again", path)
            return None
        return content

    def write(self, content: bytes, made_from: Sequence[str]) -> None:
        """Keep it, whole or not at all, and drop what was not used for longest."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Its mode is 0600; its name cannot be another process's.
            with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:
                try:
                    file.write(hashlib.sha256(content).digest() + content)
                    file.flush()
                    os.replace(file.name, self._path(made_from))
                except BaseException:
                    os.unlink(file.name)
                    raise
            self._prune()
        except OSError as error:
            log.warning(
                "converted networks cannot be kept in %s, so each start converts again: %s",
                *(self._folder, error.strerror),
            )

    def _path(self, made_from: Sequence[str]) -> Path:
        name = hashlib.sha256("\n".join(made_from).encode()).hexdigest()
        return self._folder / f"{name[:32]}{_SUFFIX}"

    def _prune(self) -> None:
        files = sorted(self._folder.glob(f"*{_SUFFIX}"), key=lambda path: -path.stat().st_mtime)
        for path in files[_KEEP:]:
            with suppress(FileNotFoundError):  # another daemon prunes too
                path.unlink()
