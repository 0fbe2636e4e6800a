"""A camera's picture to measure with, filmed once and kept, and recordings without an end.

As cameras encode: H.264 of one slice a picture, no B-frames, a keyframe every two seconds, at a
camera's bit rate, which a sensor's noise uses up.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np

from streamcls.errors import ConfigError
from streamcls.frames import RgbImage

CAMERA = "bframes=0:slices=1:sliced-threads=0"
"""x264's parameters: its default of several slices would let slice threading shine."""
KEYFRAMES_S = 2.0
SECONDS = 10
_EDITION = 1  # of the films: one more wherever `film` or `scene` gives other pictures
_BITS_A_PIXEL = 0.0643  # 4 Mbit/s for 1920 x 1080 at 30 a second


@dataclass(frozen=True, slots=True)
class Size:
    """Of a picture, pixels."""

    width: int
    height: int

    @classmethod
    def parse(cls, text: str) -> "Size":
        """Of `1920x1080`.

        Raises:
            ValueError: it is not two even numbers of a size that there are cameras of.
        """
        width, _, height = text.partition("x")
        if not (width.isdecimal() and height.isdecimal()):
            raise ValueError(f"{text!r} is no size; write it as 1920x1080")
        size = cls(int(width), int(height))
        if size.width % 2 or size.height % 2 or not all(64 <= n <= 8192 for n in (*size.pair,)):
            raise ValueError(f"{text!r}: use even numbers from 64 to 8192")
        return size

    @property
    def pair(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


def filmed(cache: Path, size: Size, fps: Fraction) -> Path:
    """The film of a size and frame rate, from the cache where it is there; the folder must be."""
    bit_rate = round(_BITS_A_PIXEL * size.width * size.height * fps)
    rate = f"{float(fps):.3f}".rstrip("0").rstrip(".")
    path = cache / f"{size}-{rate}fps-{bit_rate // 1000}k-{SECONDS}s-{_EDITION}.mp4"
    if not path.exists():
        half = path.with_suffix(f".{os.getpid()}.mp4")
        ground = scene(round(size.width * 1.4), round(size.height * 1.4))
        try:
            film(half, size.pair, ground, fps=fps, seconds=SECONDS, noise=5, bit_rate=bit_rate)
            half.rename(path)
        finally:
            half.unlink(missing_ok=True)
    return path


def scene(width: int, height: int, seed: int = 0) -> RgbImage:
    """A picture of coarse and fine texture and of edges, as a street has, the same each time."""
    random = np.random.default_rng(seed)
    picture = np.full((height, width, 3), 110, np.float32)
    for cells, strength in ((4, 45), (16, 30), (64, 20), (256, 12)):
        rough = random.normal(0, strength, (cells * height // width + 1, cells, 3))
        picture += cv2.resize(rough.astype(np.float32), (width, height))
    for _ in range(60):
        x, y = random.integers(0, width), random.integers(0, height)
        right, below = (
            x + random.integers(8, width // 6 + 9),
            y + random.integers(8, height // 4 + 9),
        )
        picture[y:below, x:right] += random.normal(0, 40, 3)
    return np.clip(picture, 0, 255).astype(np.uint8)


def film(
    path: Path,
    size: tuple[int, int],
    ground: RgbImage,
    *,
    fps: Fraction | int,
    seconds: int,
    keyframes_s: float = KEYFRAMES_S,
    noise: int = 0,
    bit_rate: int = 0,
    x264: str = CAMERA,
) -> Path:
    """A view that wanders over a larger picture, with a box that moves across it.

    Args:
        ground: 1.4 times as wide and as high as the view.
        noise: spread of what a sensor adds to every picture, of 255; it costs bits, as there.
        bit_rate: bits a second; 0: as many as an even quality takes.
        x264: parameters of its own, `name=value` with colons between.
    """
    width, height = size
    grain = np.random.default_rng(0).normal(0, noise, (2 * height, 2 * width, 1)).astype(np.int8)
    options = {"preset": "veryfast", "x264-params": x264} | ({} if bit_rate else {"crf": "23"})
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options=options)
        if bit_rate:
            stream.bit_rate = bit_rate
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.gop_size = round(keyframes_s * fps)
        for n in range(round(seconds * fps)):
            left = round(width * 0.2 * (1 + np.sin(n / 47)))
            top = round(height * 0.2 * (1 + np.cos(n / 61)))
            picture = ground[top : top + height, left : left + width].copy()
            x = n * 7 % (width - width // 8)
            picture[height // 3 : height // 2, x : x + width // 8] = (200, 60, 30)
            if noise:
                down, right = n * 389 % height, n * 577 % width
                shot = grain[down : down + height, right : right + width]
                picture = np.asarray(cv2.add(picture, np.repeat(shot, 3, 2), dtype=cv2.CV_8U))
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@dataclass(frozen=True, slots=True)
class Recording:
    """What a video file holds of pictures."""

    path: Path
    codec: str
    size: Size
    fps: float
    seconds: float

    @property
    def mbit_per_s(self) -> float:
        """What the file takes for each second of it."""
        return self.path.stat().st_size * 8 / self.seconds / 1e6

    @classmethod
    def of(cls, path: Path) -> "Recording":
        """Look at a file, packet by packet; nothing is decoded.

        Raises:
            ConfigError: it is no video that can be played for ever.
        """
        try:
            with av.open(f"file:{path.absolute()}") as source:
                if not source.streams.video:
                    raise ConfigError(f"{path} has no video in it")
                stream = source.streams.video[0]
                context = stream.codec_context
                times, step = _times(source, stream)
                if len(times) < 2:
                    raise ConfigError(f"{path} has no two pictures with a time; name another video")
                length = float((times[-1] - times[0] + step) * (stream.time_base or 0))
                return cls(
                    path=path,
                    codec=context.name,
                    size=Size(context.width, context.height),
                    fps=len(times) / length,
                    seconds=length,
                )
        except (av.FFmpegError, OSError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise ConfigError(f"{path} cannot be read as a video: {reason}") from None


def lasting(path: Path, target: Path, seconds: float) -> Path:
    """Write a recording's pictures over and over, without a break, until it is as long as that.

    The first picture is at time 0; nothing is encoded anew.

    Raises:
        ConfigError: as `Recording.of`, or its container cannot hold it.
    """
    try:
        with av.open(str(target), "w") as out, av.open(f"file:{path.absolute()}") as first:
            times, step = _times(first, first.streams.video[0])
            template = first.streams.video[0]
            stream = out.add_stream_from_template(template)
            base = template.time_base or Fraction(1, 90_000)
            length = times[-1] - times[0] + step
            for number in range(-int(-seconds // float(length * base))):
                _append(path, out.mux, stream, number * length - times[0])
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be repeated as MP4: {error}") from None
    return target


def _append(
    path: Path,
    mux: Callable[["av.Packet[av.VideoStream]"], None],
    stream: av.VideoStream,
    shift: int,
) -> None:
    with av.open(f"file:{path.absolute()}") as source:
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is None or packet.pts is None:
                continue
            packet.dts, packet.pts = packet.dts + shift, packet.pts + shift
            packet.stream = stream
            mux(packet)


def _times(source: "av.container.InputContainer", stream: av.VideoStream) -> tuple[list[int], int]:
    """The pictures' times in order, in the stream's own units, and how long the last one shows."""
    times = sorted(packet.pts for packet in source.demux(stream) if packet.pts is not None)
    steps = sorted(after - before for before, after in pairwise(times))
    return times, steps[len(steps) // 2] if steps else 0


def default_cache() -> Path:
    """The folder in the user's own cache."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "streamcls" / "bench"
