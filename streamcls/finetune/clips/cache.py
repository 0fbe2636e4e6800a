"""Decoded small frames on disk, so that later epochs decode nothing.

A file for each video, of all its frames after the frame half; keyed by the video's path, length and
time of change, and by what the frame half does, so whatever changes is decoded anew.

Nothing is thrown out for new videos once the limit is reached: an epoch visits all of them, and a
cache that takes turns would then hold none when it comes round. Videos that do not fit are
remembered, and then read as without a cache.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from streamcls.errors import UnusableSource
from streamcls.finetune.clips.frame_file import Unfit, pick_frames, write_frames
from streamcls.finetune.clips.reader import all_frames, read_clip
from streamcls.frames import ClipArray
from streamcls.transforms import ClipSpec, to_small_rgb

_KEPT, _UNFIT = ".frames", ".unfit"


@dataclass(frozen=True, slots=True)
class FrameCache:
    """A folder of decoded videos, shared by any number of processes.

    Attributes:
        limit_bytes: of all kept files together.
    """

    folder: Path
    limit_bytes: int

    def read_clip(
        self, path: Path, start_s: Fraction, spec: ClipSpec, *, first_s: Fraction
    ) -> ClipArray:
        """As `reader.read_clip`, to the bit.

        Raises:
            UnusableSource: as that.
        """
        try:
            kept = self.folder / (_key(path, spec) + _KEPT)
        except OSError as error:
            raise UnusableSource(f"{path} cannot be read as a video: {error.strerror}") from None
        origin_s = first_s + start_s
        instants = [origin_s + n * spec.frame_interval_s for n in range(spec.num_frames)]
        clip = _pick(kept, instants)
        # A folder that cannot be written, or a full disk, is no reason to end a training.
        with suppress(OSError):
            if clip is None and not self._was_unfit(kept):
                self._keep(kept, path, spec)
                clip = _pick(kept, instants)
        return read_clip(path, start_s, spec, first_s=first_s) if clip is None else clip

    def _keep(self, kept: Path, path: Path, spec: ClipSpec) -> None:
        """Decode the whole video into its file, unless another process is at it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for earlier in self.folder.glob(f"{kept.name.partition('-')[0]}-*"):
            if earlier.stem != kept.stem:
                earlier.unlink(missing_ok=True)
        partial = kept.with_suffix(".partial")
        with _alone(partial) as file:
            if file is None:
                return
            frames = ((time_s, to_small_rgb(frame, spec)) for time_s, frame in all_frames(path))
            try:
                write_frames(file, frames, self._room_bytes())
                file.flush()
                with _alone(self.folder / ".lock", wait=True):
                    if os.fstat(file.fileno()).st_size > self._room_bytes():
                        raise Unfit
                    os.replace(partial, kept)
            except (Unfit, UnusableSource):
                kept.with_suffix(_UNFIT).write_text(str(self.limit_bytes))
            finally:
                partial.unlink(missing_ok=True)

    def _room_bytes(self) -> int:
        return self.limit_bytes - sum(_size(one) for one in self.folder.glob(f"*{_KEPT}"))

    def _was_unfit(self, kept: Path) -> bool:
        """Whether the video did not fit under this limit or a greater one."""
        try:
            return int(kept.with_suffix(_UNFIT).read_text()) >= self.limit_bytes
        except (FileNotFoundError, ValueError):
            return False


def _pick(kept: Path, instants: list[Fraction]) -> ClipArray | None:
    """The frames showing at some instants; None where the video is not kept, or not whole."""
    try:
        return pick_frames(kept, instants)
    except FileNotFoundError:
        return None
    except ValueError:
        with suppress(OSError):
            kept.unlink()
        return None


@contextmanager
def _alone(path: Path, *, wait: bool = False) -> Iterator[BinaryIO | None]:
    """A file that only one process has at a time; None where another has it.

    The lock goes when its process does, so one that was killed leaves a file that the next takes.
    """
    with open(path, "r+b", opener=_opened_or_made) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        # Until the lock was had, who had it before may have given the file its final name.
        if not path.exists() or not os.path.samestat(os.fstat(file.fileno()), path.stat()):
            yield None
            return
        file.truncate()
        yield file


def _opened_or_made(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT, 0o644)


def _key(path: Path, spec: ClipSpec) -> str:
    """Two hashes: of which video and frame half it is, and of the video's state."""
    status = path.stat()
    what = (str(path.resolve()), spec.short_side, repr(spec.pixels))
    return f"{_hash(what)}-{_hash((status.st_size, status.st_mtime_ns))}"


def _hash(what: object) -> str:
    return hashlib.blake2b(repr(what).encode(), digest_size=12).hexdigest()


def _size(path: Path) -> int:
    with suppress(OSError):  # another process may put it in place just now
        return path.stat().st_size
    return 0
