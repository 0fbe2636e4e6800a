"""Decoded small frames on disk, so that later epochs decode nothing.

A file for each video, of all its frames after the frame half; keyed by the video's path, length and
time of change, and by what the frame half does, so whatever changes is decoded anew.

Nothing is thrown out for new videos once the limit is reached: an epoch visits all of them, and a
cache that takes turns would then hold none when it comes round.
"""

import hashlib
import os
from bisect import bisect_right
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from streamcls.errors import UnusableSource
from streamcls.finetune.clips.reader import all_frames, read_clip
from streamcls.frames import RgbClip
from streamcls.transforms import ClipSpec, to_small_rgb

_SUFFIX = ".frames"


@dataclass(frozen=True, slots=True)
class FrameCache:
    """A folder of decoded videos, shared by any number of processes.

    Attributes:
        limit_bytes: beyond it videos are read as without a cache.
    """

    folder: Path
    limit_bytes: int

    def read_clip(
        self, path: Path, start_s: Fraction, spec: ClipSpec, *, first_s: Fraction
    ) -> RgbClip:
        """As `reader.read_clip`, to the bit.

        Raises:
            UnusableSource: as that.
        """
        try:
            kept = self.folder / (_key(path, spec) + _SUFFIX)
        except OSError as error:
            raise UnusableSource(f"{path} cannot be read as a video: {error.strerror}") from None
        instants = [first_s + start_s + n * spec.frame_interval_s for n in range(spec.num_frames)]
        for attempt in (_picked, self._kept_first):
            clip = attempt(kept, instants, path, spec)
            if clip is not None:
                return clip
        return read_clip(path, start_s, spec, first_s=first_s)

    def _kept_first(
        self, kept: Path, instants: list[Fraction], path: Path, spec: ClipSpec
    ) -> RgbClip | None:
        """Decode and keep the whole video, if there is room for it, and pick from that."""
        self.folder.mkdir(parents=True, exist_ok=True)
        left = self.limit_bytes - sum(_size(one) for one in self.folder.glob(f"*{_SUFFIX}"))
        data = _decoded(path, spec, left)
        if data is None:
            return None
        unfinished = kept.with_name(f".{kept.name}.{os.getpid()}")
        try:
            unfinished.write_bytes(data)
            os.replace(unfinished, kept)
        except OSError:  # a full disk is no reason to end a training
            unfinished.unlink(missing_ok=True)
            return None
        return _picked(kept, instants, path, spec)


def _picked(kept: Path, instants: list[Fraction], _path: Path, _spec: ClipSpec) -> RgbClip | None:
    """The frames showing at some instants; None where the video is not kept, or not whole."""
    try:
        with safe_open(kept, "np") as file:
            time_base = Fraction(file.metadata()["time_base"])
            times = file.get_tensor("times").tolist()
            frames = file.get_slice("frames")
            places = [bisect_right(times, instant // time_base) - 1 for instant in instants]
            if min(places) < 0:
                return None
            return np.concatenate([frames[place : place + 1] for place in places])
    except FileNotFoundError:
        return None
    except (SafetensorError, OSError, KeyError, ValueError, TypeError):
        kept.unlink(missing_ok=True)
        return None


def _decoded(path: Path, spec: ClipSpec, most_bytes: int) -> bytes | None:
    """A whole video as a file of frames; None where it is too long, or changes its shape."""
    frames, times, size = [], [], 0
    for time_s, frame in all_frames(path):
        frames.append(to_small_rgb(frame, spec))
        times.append(time_s)
        size += frames[-1].nbytes
        if size > most_bytes or frames[-1].shape != frames[0].shape:
            return None
    if not frames:
        return None
    time_base = 1 / Fraction(np.lcm.reduce([time_s.denominator for time_s in times]).item())
    ticks = np.array([int(time_s / time_base) for time_s in times], np.int64)
    return save({"frames": np.stack(frames), "times": ticks}, {"time_base": str(time_base)})


def _key(path: Path, spec: ClipSpec) -> str:
    status = path.stat()
    what = (
        *(str(path.resolve()), status.st_size, status.st_mtime_ns),
        *(spec.short_side, repr(spec.pixels)),
    )
    return hashlib.blake2b(repr(what).encode(), digest_size=16).hexdigest()


def _size(path: Path) -> int:
    with suppress(OSError):  # another process may put it in place just now
        return path.stat().st_size
    return 0
