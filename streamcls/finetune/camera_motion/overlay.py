"""What cameras and players draw over the picture: clocks, logos, bars, tickers, dirt."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streamcls.finetune.camera_motion.objects import blend
from streamcls.frames import RgbImage

_LETTERS = list("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789   :-/.")


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text; it stands, counts the time, or rolls through a band.

    Attributes:
        words: what it says; "{clock}" becomes the running time.
        place: left and baseline, shares of the picture's size.
        height: of the letters, sides.
        colour: RGB.
        band: whether a plain band lies behind it across the picture.
        roll: sides/s to the left.
    """

    words: str
    place: tuple[float, float]
    height: float
    colour: tuple[int, int, int]
    band: bool
    roll: float

    def draw(self, frame: RgbImage, time_s: float) -> None:
        """Write the text into the frame."""
        rows, columns = frame.shape[:2]
        unit = min(rows, columns)
        tall = self.height * unit
        left = round(self.place[0] * columns - self.roll * unit * time_s)
        base = round(self.place[1] * rows)
        if self.band:
            top = max(0, round(base - 1.4 * tall))
            frame[top : max(top, round(base + 0.5 * tall))] = [255 - v for v in self.colour]
        words = self.words.replace(
            "{clock}", f"12:{int(time_s) // 60 % 60:02d}:{int(time_s) % 60:02d}"
        )
        thick = max(1, round(tall / 9))
        cv2.putText(frame, words, (left, base), 0, tall / 22, self.colour, thick, cv2.LINE_AA)


@dataclass(frozen=True, slots=True)
class Overlay:
    """Everything that is fixed to the picture's frame instead of the scene.

    Attributes:
        texts: lines of text.
        bars: share of the height (or width) blacked out at each of two opposite edges.
        upright: whether the bars are at left and right.
        dirt: RGBA specks on the lens or a logo, or None.
    """

    texts: tuple[Text, ...] = ()
    bars: float = 0.0
    upright: bool = False
    dirt: npt.NDArray[np.uint8] | None = None

    def draw(self, frame: RgbImage, time_s: float) -> None:
        """Draw all of it into the frame."""
        if self.dirt is not None:
            size = (frame.shape[1], frame.shape[0])
            dirt = cv2.resize(self.dirt, size, interpolation=cv2.INTER_LINEAR)
            blend(frame, dirt[:, :, :3], dirt[:, :, 3:])
        if self.bars:
            length = frame.shape[1] if self.upright else frame.shape[0]
            thick = round(self.bars * length)
            edges = frame.swapaxes(0, 1) if self.upright else frame
            edges[:thick] = 0
            edges[length - thick :] = 0
        for text in self.texts:
            text.draw(frame, time_s)


def draw_overlay(rng: np.random.Generator) -> Overlay:
    """Nothing for most pictures; else text, bars, dirt or a logo."""
    texts, barred, dirty = rng.random(3) < [0.3, 0.12, 0.1]
    return Overlay(
        texts=tuple(_draw_text(rng) for _ in range(rng.integers(1, 3))) if texts else (),
        bars=float(barred * rng.uniform(0.04, 0.2)),
        upright=bool(rng.random() < 0.35),
        dirt=_draw_dirt(rng) if dirty else None,
    )


def _draw_text(rng: np.random.Generator) -> Text:
    count = int(rng.integers(6, 30))
    rolls = rng.random() < 0.25
    words = "".join(rng.choice(_LETTERS, count * (3 if rolls else 1)))
    if not rolls and rng.random() < 0.6:
        words = "2024-05-17 {clock} " + words[:6]
    height = float(rng.uniform(0.03, 0.09))
    low = rng.random() < 0.5
    white = rng.random() < 0.7
    colour = (255, 255, 255) if white else (int(rng.integers(256)), int(rng.integers(256)), 0)
    return Text(
        words,
        (float(rng.uniform(-0.1, 0.5)), float(rng.uniform(0.85, 0.97) if low else 0.1)),
        height,
        colour,
        bool(rolls or rng.random() < 0.25),
        float(rolls * rng.uniform(0.1, 0.7)),
    )


def _draw_dirt(rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Soft specks, or one hard-edged logo."""
    alpha = np.zeros((128, 128), np.uint8)
    if rng.random() < 0.5:
        for _ in range(rng.integers(1, 7)):
            centre = rng.integers(0, 128, 2).tolist()
            cv2.circle(alpha, centre, int(rng.integers(3, 16)), int(rng.integers(80, 255)), -1)
        alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), float(rng.uniform(1, 5))), np.uint8)
        shade = rng.integers(0, 120, 3)
        colours = np.broadcast_to(shade.astype(np.uint8), (128, 128, 3))
    else:
        left, top = rng.integers(4, 90, 2)
        size = int(rng.integers(12, 34))
        alpha[top : top + size, left : left + size] = 255
        small = rng.integers(0, 256, (4, 4, 3)).astype(np.uint8)
        colours = np.asarray(
            cv2.resize(small, (128, 128), interpolation=cv2.INTER_NEAREST), np.uint8
        )
    return np.dstack([colours, alpha])
