"""Small deterministic test videos, whose frames carry their own number in the picture.

The number is drawn as 4 x 4 black or white blocks over the whole picture, so it survives scaling,
lossy coding and a change of pixel format.
"""

import random
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

_GRID = 4
MAX_INDEX = 2 ** (_GRID * _GRID) - 1

_QUICK: dict[str, dict[str, str]] = {
    "libx264": {"preset": "ultrafast", "threads": "1"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:pools=1:frame-threads=1"},
}


def numbered_picture(index: int, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """RGB uint8 (height, width, 3) of `size` (width, height), showing `index`."""
    bits = (index >> np.arange(_GRID * _GRID)) & 1
    width, height = size
    rows = np.arange(height) * _GRID // height
    columns = np.arange(width) * _GRID // width
    grey = (bits.reshape(_GRID, _GRID) * 190 + 30).astype(np.uint8)[np.ix_(rows, columns)]
    return np.repeat(grey[:, :, None], 3, axis=2)


def number_in(picture: npt.NDArray[np.uint8] | av.VideoFrame) -> int:
    """The number that a picture shows: RGB or BGR (height, width, 3), luma, or a decoded frame."""
    pixels: npt.NDArray[Any] = (
        picture.to_ndarray(format="gray") if isinstance(picture, av.VideoFrame) else picture
    )
    grey = pixels if pixels.ndim == 2 else pixels.mean(axis=2)
    height, width = grey.shape
    rows = (2 * np.arange(_GRID) + 1) * height // (2 * _GRID)
    columns = (2 * np.arange(_GRID) + 1) * width // (2 * _GRID)
    bits = (grey[np.ix_(rows, columns)] > 125).ravel()
    return int((bits << np.arange(_GRID * _GRID)).sum())


def write_video(
    path: Path,
    *,
    frames: int = 30,
    fps: Fraction | int = 30,
    size: tuple[int, int] = (128, 96),
    codec: str = "libx264",
    gop: int = 12,
    b_frames: int = 0,
    pix_fmt: str = "yuv420p",
    times_s: Sequence[Fraction] | None = None,
    jitter_s: float = 0.0,
    seed: int = 0,
    muxing: dict[str, str] | None = None,
    title: str = "",
) -> Path:
    """Write frames 0, 1, 2, ... into `path`; its suffix chooses the container.

    Args:
        size: width and height in pixels, both even.
        times_s: when each frame shows, in place of `frames` at `fps`.
        jitter_s: moves each time by up to this much either way; keep it below half an interval.
        muxing: options of the container's format, e.g. `{"movflags": "frag_keyframe"}`.
    """
    exact = times_s is None and not jitter_s
    times = list(times_s) if times_s is not None else [Fraction(n) / fps for n in range(frames)]
    if jitter_s:
        times = _jittered(times, jitter_s, random.Random(seed))
    time_base = 1 / Fraction(fps) if exact else Fraction(1, 90_000)
    options = {"bf": str(b_frames), **_QUICK.get(codec, {})}
    with av.open(str(path), "w", options=muxing or {}) as container:
        if title:
            container.metadata["title"] = title
        stream: Any = container.add_stream(codec, rate=Fraction(fps), options=options)
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        stream.time_base = stream.codec_context.time_base = time_base
        stream.codec_context.gop_size = gop
        for index, time_s in enumerate(times):
            frame = av.VideoFrame.from_ndarray(numbered_picture(index, size), format="rgb24")
            frame.pts = round(time_s / time_base)
            frame.time_base = time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_audio(path: Path, *, seconds: float = 0.5) -> Path:
    """Write a silent recording without any video stream."""
    rate = 8000
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("aac", rate=rate)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, int(rate * seconds)), np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = rate
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _jittered(times: Sequence[Fraction], jitter_s: float, chance: random.Random) -> list[Fraction]:
    moved = [time_s + Fraction(chance.uniform(-jitter_s, jitter_s)) for time_s in times]
    earliest = min(Fraction(0), *moved)
    return [time_s - earliest for time_s in moved]
