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

import cv2
import numpy as np
import typer

from streamcls.bench import films

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
        films.lasting(film.path, half, film.seconds * times - 0.5)
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
    """`streamcls.bench.films.film` over a photograph, for there is more in one than in a scene."""
    photo = np.asarray(cv2.imread(str(_PHOTO)), np.uint8)[:, :, ::-1]
    ground = np.asarray(cv2.resize(photo, (round(width * 1.4), round(height * 1.4))), np.uint8)
    return films.film(
        *(path, (width, height), ground),
        fps=FPS,
        seconds=seconds,
        keyframes_s=keyframes_s,
        noise=noise,
        bit_rate=bit_rate,
        x264=x264,
    )
