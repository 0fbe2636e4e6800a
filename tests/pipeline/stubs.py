"""Small parts for tests of the pure stages: a settable clock, frames and windows without video."""

import threading
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from streamcls.frames import BgrImage, Frame, RawImage, RgbImage, Undecoded, Window


@dataclass
class ManualClock:
    """Stands still until it is set; waiting moves it on at once."""

    now_s: float = 1000.0
    utc_offset_s: float = 1_700_000_000.0

    def monotonic_s(self) -> float:
        return self.now_s

    def utc_s(self) -> float:
        return self.now_s + self.utc_offset_s

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.now_s += seconds
        return event.is_set()


def picture(value: int, width: int = 4, height: int = 4) -> BgrImage:
    """A flat picture that can be told from others by its grey level."""
    return BgrImage(np.full((height, width, 3), value % 256, np.uint8))


def undecoded(media_s: Fraction, arrival_s: float = 0.0) -> Frame:
    """A frame that its source took for one that nobody needs."""
    image = Undecoded(4, 4, 0, 0, Fraction(1))
    return Frame(image, media_s, arrival_s, arrival_s + 1_700_000_000)


def frame(
    media_s: Fraction | float | None, value: int = 0, *, arrival_s: float = 0.0, width: int = 4
) -> Frame:
    exact = None if media_s is None else Fraction(media_s)
    return Frame(picture(value, width), exact, arrival_s, arrival_s + 1_700_000_000)


def as_is(image: RawImage) -> RgbImage:
    assert isinstance(image, BgrImage)
    return image.pixels


class CountingConvert:
    """Converts like `as_is`, and remembers what it was asked to convert."""

    def __init__(self) -> None:
        self.values: list[int] = []

    def __call__(self, image: RawImage) -> RgbImage:
        rgb = as_is(image)
        self.values.append(int(rgb[0, 0, 0]))
        return rgb


def window(
    stream: str = "cam",
    end_s: float = 1.0,
    *,
    epoch: int = 1,
    clock_offset_s: float | None = None,
) -> Window:
    exact = Fraction(end_s)
    return Window(
        stream=stream,
        stream_epoch=epoch,
        clip=tuple(np.zeros((2, 2, 2, 3), np.uint8)),
        start_s=exact - 1,
        end_s=exact,
        start_utc_s=float(exact) - 1,
        end_utc_s=float(exact),
        coverage=1.0,
        arrival_monotonic_s=0.0,
        closed_monotonic_s=0.0,
        clock_offset_s=clock_offset_s,
        stride_s=0.5,
    )
