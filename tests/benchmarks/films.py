"""Videos to measure on: filmed once, and kept for the next run.

camera      as cameras encode: no B-frames, a keyframe every two seconds
recording   as x264 encodes by default: B-frames, a keyframe every 250 frames

Both with a sensor's noise, at a camera's bit rate, and H.264 of one slice a picture: x264's default
of several would let slice threading shine.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import av
import cv2
import numpy as np
import typer

FPS = 30
SIZES = {"1080p": (1920, 1080, 4_000_000), "720p": (1280, 720, 2_000_000)}
"""Width, height, bits a second."""
KINDS = {"camera": ("bframes=0", 2.0), "recording": ("", 250 / FPS)}
"""x264's parameters, and seconds between keyframes."""

_PHOTO = Path(__file__).parent.parent / "data" / "photos" / "aitzgorri.jpg"
_EDITION = 2  # of the films: one more wherever `film` gives other pictures
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()

Cache = Annotated[Path, typer.Option(help="Folder in which films and models are kept.")]
DEFAULT_CACHE = _CACHE / "streamcls" / "benchmarks"


@dataclass(frozen=True, slots=True)
class Film:
    """A video file, and what is known of it."""

    path: Path
    size: str
    kind: str
    seconds: float

    @property
    def name(self) -> str:
        """Size and kind."""
        return f"{self.size} {self.kind}"

    @property
    def mbit_per_s(self) -> float:
        """What it takes on the wire."""
        return self.path.stat().st_size * 8 / self.seconds / 1e6


def filmed(cache: Path, size: str, kind: str, seconds: int) -> Film:
    """The film of a size and kind, from the cache where it is there."""
    path = cache / f"{size}-{kind}-{seconds}s-{_EDITION}.mp4"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        print(f"filming {path.name}", flush=True)
        parameters, keyframes_s = KINDS[kind]
        half = path.with_suffix(".half.mp4")
        x264 = ":".join(filter(None, [parameters, "slices=1", "sliced-threads=0"]))
        width, height, bit_rate = SIZES[size]
        film(
            *(half, width, height),
            seconds=seconds,
            keyframes_s=keyframes_s,
            noise=5,
            bit_rate=bit_rate,
            x264=x264,
        )
        half.rename(path)
    return Film(path, size, kind, seconds)


def lasting(film: Film, seconds: float) -> Film:
    """The film over and over, as one file without a break, until it is as long as that."""
    times = -int(-seconds // film.seconds)
    path = film.path.with_stem(f"{film.path.stem}-x{times}")
    if times <= 1:
        return film
    if not path.exists():
        half = path.with_suffix(".half.mp4")
        _repeat(film, half, times)
        half.rename(path)
    return Film(path, film.size, film.kind, film.seconds * times)


def film(
    path: Path,
    width: int,
    height: int,
    *,
    seconds: int,
    keyframes_s: float,
    noise: int = 0,
    bit_rate: int = 0,
    x264: str = "",
) -> Path:
    """A view that wanders over a photograph, with a box that moves, as cameras encode it.

    Args:
        noise: spread of what a sensor adds to every picture, of 255; it costs bits, as there.
        bit_rate: bits a second; 0: as many as an even quality takes.
        x264: parameters of its own, `name=value` with colons between.
    """
    photo = np.asarray(cv2.imread(str(_PHOTO)), np.uint8)[:, :, ::-1]
    size = (round(width * 1.4), round(height * 1.4))
    ground = np.asarray(cv2.resize(photo, size), np.uint8)
    grain = np.random.default_rng(0).normal(0, noise, (2 * height, 2 * width, 1)).astype(np.int8)
    options = {"preset": "veryfast", "x264-params": x264} | ({} if bit_rate else {"crf": "23"})
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options=options)
        if bit_rate:
            stream.bit_rate = bit_rate
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.gop_size = round(keyframes_s * FPS)
        for n in range(seconds * FPS):
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


def _repeat(film: Film, path: Path, times: int) -> None:
    with av.open(str(path), "w") as target:
        with av.open(str(film.path)) as source:
            out = target.add_stream_from_template(source.streams.video[0])
        for number in range(times):
            with av.open(str(film.path)) as source:
                stream = source.streams.video[0]
                assert stream.time_base
                shift = round(number * film.seconds / stream.time_base)
                for packet in source.demux(stream):
                    if packet.dts is None or packet.pts is None:
                        continue
                    packet.dts, packet.pts = packet.dts + shift, packet.pts + shift
                    packet.stream = out
                    target.mux(packet)
