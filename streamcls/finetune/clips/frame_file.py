"""A file of a video's decoded frames, of which single ones are read without the others.

A safetensors file: `frames` (count, height, width, 3), `times` (count,) in ticks of the metadata's
`time_base`, and `checks` (count,), a CRC-32 of each frame. A machine that loses power may leave a
file of the right length with zeros in it; the checks find those.
"""

import json
import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

import numpy as np
from safetensors import SafetensorError, safe_open

from streamcls.frames import ClipArray, RgbImage

# The header tells how many frames there are, and is written when that is known; spaces fill it up.
_HEADER_BYTES = 1024


class Unfit(Exception):
    """A video that is not to be kept: too long, without a frame, or of a changing shape."""


def write_frames(
    file: BinaryIO, frames: Iterable[tuple[Fraction, RgbImage]], most_bytes: int
) -> None:
    """Write frames as they come, so that no more than one is held in memory.

    Args:
        file: empty, open for writing and seekable.
        frames: with their media times in seconds, rising.

    Raises:
        Unfit: the file would be longer than `most_bytes`, or its frames do not make one array.
        OSError: it cannot be written.
    """
    times: list[Fraction] = []
    checks: list[int] = []
    shape: tuple[int, ...] = ()
    size = _HEADER_BYTES
    file.seek(_HEADER_BYTES)
    for time_s, frame in frames:
        shape = shape or frame.shape
        size += frame.nbytes + 12  # with its time and its check
        if size > most_bytes or frame.shape != shape:
            raise Unfit
        data = frame.tobytes()
        file.write(data)
        times.append(time_s)
        checks.append(crc32(data))
    if not times:
        raise Unfit
    ticks_a_second = math.lcm(*(time_s.denominator for time_s in times))
    ticks = np.array([int(time_s * ticks_a_second) for time_s in times], np.int64)
    file.write(ticks.tobytes())
    file.write(np.array(checks, np.uint32).tobytes())
    file.seek(0)
    file.write(_header(len(times), shape, Fraction(1, ticks_a_second)))


def pick_frames(path: Path, instants: Sequence[Fraction]) -> ClipArray:
    """The frames that show at some media times: the last one at or before each.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or begins after the first instant.
    """
    try:
        with safe_open(path, "np") as file:
            time_base = Fraction(file.metadata()["time_base"])
            times = file.get_tensor("times").tolist()
            checks = file.get_tensor("checks").tolist()
            places = [bisect_right(times, instant // time_base) - 1 for instant in instants]
            if places[0] < 0:
                raise ValueError(f"{path} begins after {float(instants[0]):.3f} s")
            frames = file.get_slice("frames")
            picked = [frames[place : place + 1] for place in places]
    except FileNotFoundError:
        raise
    except (SafetensorError, OSError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    if any(crc32(frame) != checks[place] for frame, place in zip(picked, places, strict=True)):
        raise ValueError(f"{path} is damaged: a frame is not what was written")
    return np.concatenate(picked)


def _header(count: int, shape: tuple[int, ...], time_base: Fraction) -> bytes:
    parts = [("frames", "U8", [count, *shape], 1), ("times", "I64", [count], 8)]
    parts.append(("checks", "U32", [count], 4))
    header: dict[str, object] = {"__metadata__": {"time_base": str(time_base)}}
    begin = 0
    for name, dtype, dimensions, item_bytes in parts:
        end = begin + math.prod(dimensions) * item_bytes
        header[name] = {"dtype": dtype, "shape": dimensions, "data_offsets": [begin, end]}
        begin = end
    length = _HEADER_BYTES - 8
    return length.to_bytes(8, "little") + json.dumps(header).encode().ljust(length)
