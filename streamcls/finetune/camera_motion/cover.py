"""A covered lens: hand, cloth, bag, paint or sticker; hardly any detail of the scene is left."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streamcls.finetune.camera_motion import labels as c
from streamcls.frames import RgbImage

Array = npt.NDArray[np.float64]

_FOLDS_MAX = 22.0  # grey levels: standard deviation of the cover's soft shading
_LEAK_MAX = 0.5  # weight of the scene's blurred light that comes through
_LEAK_BLUR = 0.16  # sides: its blur; nothing narrower can be made out


@dataclass(frozen=True, slots=True)
class Cover:
    """Something before the lens.

    Attributes:
        colour: RGB.
        folds: soft shading, float32 (rows, columns, 3), grey levels.
        sway: displacement amplitude (sides) and frequency (Hz) of the shading, direction (rad).
        leak: weight of the blurred scene.
        gap: share of the area left open at one edge, and that edge's direction (rad).
        arrival_s: when it comes, seconds; it slides in from the opposite edge over `slide_s`.
        departure_s: when it is taken away in the same manner.
    """

    colour: Array
    folds: npt.NDArray[np.float32]
    sway: tuple[float, float, float]
    leak: float
    gap: tuple[float, float]
    arrival_s: float
    departure_s: float
    slide_s: float

    def apply(self, frame: RgbImage, time_s: float) -> RgbImage:
        """The frame with what the cover hides of it hidden."""
        share = self._share(time_s)
        if share <= 0:
            return frame
        rows, columns = frame.shape[:2]
        sheet = self._sheet(frame, time_s)
        if share >= 1:
            return sheet
        # The sheet's edge crosses the picture along the gap's direction, softly.
        angle = self.gap[1]
        x, y = np.meshgrid(np.linspace(-0.5, 0.5, columns), np.linspace(-0.5, 0.5, rows))
        reach = (abs(np.cos(angle)) + abs(np.sin(angle))) / 2
        position = (x * np.cos(angle) + y * np.sin(angle)) / (2 * reach) + 0.5
        alpha = np.clip((share - position) * 20 + 0.5, 0, 1)[:, :, None]
        return np.asarray(frame + (sheet - frame.astype(np.float32)) * alpha, np.uint8)

    def _share(self, time_s: float) -> float:
        come = (time_s - self.arrival_s) / self.slide_s
        leave = (self.departure_s - time_s) / self.slide_s + 1
        most = 1.0 if self.gap[0] <= 0 else 1 - self.gap[0]
        return float(np.clip(min(come, leave), 0, 1) * most)

    def _sheet(self, frame: RgbImage, time_s: float) -> RgbImage:
        rows, columns = frame.shape[:2]
        depth, frequency, angle = self.sway
        move = depth * np.sin(2 * np.pi * frequency * time_s)
        height, width = self.folds.shape[:2]
        scale = np.array([width / columns, height / rows]) * 0.6  # margin for the sway
        offset = np.array([0.2 * width, 0.2 * height])
        offset = offset + move * np.array([np.cos(angle) * width, np.sin(angle) * height])
        matrix = np.column_stack([np.diag(scale), offset])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        folds = cv2.warpAffine(
            self.folds, matrix, (columns, rows), flags=flags, borderMode=cv2.BORDER_REFLECT
        )
        sheet = self.colour + folds
        if self.leak:
            small = cv2.resize(frame, (16, 16), interpolation=cv2.INTER_AREA)
            soft = cv2.GaussianBlur(small, (0, 0), 16 * _LEAK_BLUR)
            light = cv2.resize(soft, (columns, rows), interpolation=cv2.INTER_CUBIC)
            sheet = sheet * (1 - self.leak) + np.asarray(light, np.float32) * self.leak
        return np.clip(sheet, 0, 255).astype(np.uint8)


def draw_cover(arrival_s: float, departure_s: float, rng: np.random.Generator) -> Cover:
    """Dark in most cases; else skin, cloth, paint or a translucent bag."""
    kind = rng.choice(["dark", "skin", "colour", "bright"], p=[0.4, 0.15, 0.25, 0.2])
    if kind == "dark":
        colour = rng.uniform(0, 60) * rng.uniform(0.6, 1.2, 3)
    elif kind == "skin":
        colour = np.array([200, 120, 90]) * rng.uniform(0.25, 1.1)
    elif kind == "colour":
        colour = rng.uniform(20, 235, 3)
    else:
        colour = rng.uniform(140, 250) * rng.uniform(0.9, 1.05, 3)
    depth = _FOLDS_MAX * rng.uniform(0, 1) ** 1.5
    grid = int(rng.integers(3, 6))
    shading = rng.normal(0, depth, (grid, grid, 1)) + rng.normal(0, depth / 4, (grid, grid, 3))
    folds = cv2.resize(shading.astype(np.float32), (128, 128), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.25:  # a weave or skin texture, barely above the noise
        folds += rng.normal(0, rng.uniform(0, 2.0), (128, 128, 3)).astype(np.float32)
    moves, leaks, gaps = rng.random(3) < [0.5, 0.35, 0.25]
    return Cover(
        colour,
        np.asarray(folds, np.float32),
        (
            float(moves * rng.uniform(0, 0.12)),
            float(np.exp(rng.uniform(-1.5, 1.5))),
            float(rng.uniform(0, 2 * np.pi)),
        ),
        float(leaks * rng.uniform(0, _LEAK_MAX)),
        (float(gaps * rng.uniform(0.2, 1) * c.COVER_VISIBLE_MAX), float(rng.uniform(0, 2 * np.pi))),
        arrival_s,
        departure_s,
        float(rng.uniform(0.1, 0.5)),
    )
