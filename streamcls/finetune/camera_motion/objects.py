"""Things that move by themselves in front of the camera: passers-by, vehicles, water, screens."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from streamcls.finetune.camera_motion import labels as c
from streamcls.finetune.camera_motion.backdrop import Backdrop, draw_backdrop
from streamcls.finetune.camera_motion.camera import Stretch, draw_motion, poses
from streamcls.finetune.camera_motion.photos import Assets, RgbaImage
from streamcls.frames import RgbImage

Array = npt.NDArray[np.float64]

_SPEED_MAX = 1.0  # sides/s of an object in the scene
_PANE_SHARE = c.Span(0.15, 0.6)  # of the picture's area
# Shares of: no object, one, a few, a crowd, a column in step, one as large as a bus up close.
_KINDS = (0.4, 0.18, 0.16, 0.12, 0.14, 0.0)
_DENSE_KINDS = (0.3, 0.15, 0.13, 0.12, 0.18, 0.12)
# Lowest and highest height in sides, fewest and most of them.
_HEIGHTS = {
    "one": (0.3, 0.75, 1, 1),
    "few": (0.12, 0.4, 2, 4),
    "crowd": (0.05, 0.2, 5, 12),
    "column": (0.08, 0.3, 8, 22),
    "wall": (0.7, 1.0, 1, 1),
}


@dataclass(frozen=True, slots=True)
class Sprite:
    """A cut-out that moves through the scene and turns with the camera.

    Attributes:
        image: RGBA, uint8.
        height: in sides.
        place: position at `middle_s` in the scene, sides from pose zero's centre.
        velocity: sides/s.
        bob: amplitude (sides) and frequency (Hz) of an up and down step.
        parallax: camera displacement is multiplied by this; above 1 for what is near.
        middle_s: when it is at `place`.
    """

    image: RgbaImage
    height: float
    place: Array
    velocity: Array
    bob: tuple[float, float]
    parallax: float
    middle_s: float

    def draw(self, frame: RgbImage, time_s: float, pose: Array) -> None:
        """Paste the object into the frame."""
        rows, columns = frame.shape[:2]
        unit = min(rows, columns)
        elapsed = time_s - self.middle_s
        place = self.place + self.velocity * elapsed - self.parallax * pose[:2]
        place = place + np.array([0.0, self.bob[0] * np.sin(2 * np.pi * self.bob[1] * elapsed)])
        cosine, sine = np.cos(-pose[3]), np.sin(-pose[3])
        grow = np.exp(pose[2])
        turn = np.array([[cosine, -sine], [sine, cosine]])
        centre = turn @ place * grow * unit + [columns / 2, rows / 2]
        scale = self.height * grow * unit / self.image.shape[0]
        linear = turn * scale
        half = np.array(self.image.shape[1::-1]) / 2
        reach = np.abs(linear) @ half + 1
        left, top = np.maximum(np.floor(centre - reach), 0).astype(int)
        right, bottom = np.minimum(np.ceil(centre + reach), [columns, rows]).astype(int)
        if right - left < 1 or bottom - top < 1:
            return
        matrix = np.column_stack([linear, centre - linear @ half - [left, top]])
        patch = cv2.warpAffine(self.image, matrix, (int(right - left), int(bottom - top)))
        blend(frame[top:bottom, left:right], patch[:, :, :3], patch[:, :, 3:])


@dataclass(frozen=True, slots=True)
class Pane:
    """A part of the picture in which another picture moves: a river, a screen, a busy road."""

    backdrop: Backdrop
    stretch: Stretch
    mask: npt.NDArray[np.uint8]

    def draw(self, frame: RgbImage, time_s: float) -> None:
        """Show the other picture inside the mask."""
        size = (frame.shape[1], frame.shape[0])
        pose = poses([self.stretch], np.array([time_s]))[0]
        mask = cv2.resize(self.mask, size, interpolation=cv2.INTER_LINEAR)
        blend(frame, self.backdrop.view(pose, size), mask[:, :, None])


@dataclass(frozen=True, slots=True)
class Foliage:
    """A part of the picture that sways, as leaves in wind or ripples on water."""

    fields: npt.NDArray[np.float32]
    frequency_hz: float

    def draw(self, frame: RgbImage, time_s: float) -> RgbImage:
        """The frame with its pixels displaced."""
        rows, columns = frame.shape[:2]
        angle = 2 * np.pi * self.frequency_hz * time_s
        small = self.fields[0] * np.sin(angle) + self.fields[1] * np.cos(angle)
        shift = cv2.resize(small, (columns, rows)) * min(rows, columns)
        x, y = np.meshgrid(np.arange(columns), np.arange(rows))
        moved = cv2.remap(
            frame,
            (x + shift[:, :, 0]).astype(np.float32),
            (y + shift[:, :, 1]).astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        )
        return np.asarray(moved, np.uint8)


def blend(target: RgbImage, source: npt.NDArray[Any], alpha: npt.NDArray[Any]) -> None:
    """Mix `source` into `target` in place; alpha 255 replaces it. Both
    hold grey levels; shapes (height, width, 3) and (height, width, 1).
    """
    below, weight = target.astype(np.int16), alpha.astype(np.int16)
    target[:] = below + ((source.astype(np.int16) - below) * (weight >> 1) >> 7)


def draw_sprites(
    assets: Assets, moment_s: float, pose: Array, rng: np.random.Generator, *, dense: bool
) -> list[Sprite]:
    """Objects that are in the picture around `moment_s`: none, one, a few, a crowd, a column.

    Args:
        pose: the camera's at that moment.
        dense: whether they may hide most of the picture; so only before a still camera.
    """
    kinds = ("none", "one", "few", "crowd", "column", "wall")
    kind = rng.choice(kinds, p=_DENSE_KINDS if dense else _KINDS)
    if kind == "none":
        return []
    low, high, fewest, most = _HEIGHTS[kind]
    heights = rng.uniform(low, high, rng.integers(fewest, most + 1))
    limit = c.TRAFFIC_SHARE_MAX if dense else c.FOREGROUND_SHARE_MAX
    heights *= min(1.0, float(np.sqrt(limit / np.sum(heights**2))))
    # On a road all go one way; on a square each goes its own.
    heading = rng.uniform(0, 2 * np.pi) if rng.random() < 0.6 else None
    speed = None
    if kind == "column":
        heading, speed = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 1.0)
    return [
        _draw_sprite(assets, height * np.exp(-pose[2]), limit, heading, speed, moment_s, pose, rng)
        for height in heights
    ]


def draw_pane(assets: Assets, rng: np.random.Generator) -> Pane:
    """A moving picture inside a random blob or box."""
    label = rng.choice(["pan_left", "pan_right", "tilt_up", "tilt_down", "shaking", "zoom_in"])
    motion = draw_motion(str(label), rng)
    mask = _draw_mask(float(rng.uniform(*_PANE_SHARE)), rng)
    return Pane(draw_backdrop(assets.photos, rng), Stretch(motion, 0.0, 1e-3), mask)


def draw_foliage(rng: np.random.Generator) -> Foliage:
    """Sway of up to 0.025 sides in up to about half of the picture."""
    fields = rng.normal(0, 1, (2, 6, 6, 2)) * rng.uniform(0.004, 0.012)
    mask = _draw_mask(float(rng.uniform(0.15, 0.5)), rng)
    fields *= (cv2.resize(mask, (6, 6), interpolation=cv2.INTER_AREA) / 255)[None, :, :, None]
    return Foliage(fields.astype(np.float32), float(rng.uniform(0.3, 3.0)))


def _draw_sprite(
    assets: Assets,
    height: float,
    share: float,
    heading: float | None,
    speed: float | None,
    moment_s: float,
    pose: Array,
    rng: np.random.Generator,
) -> Sprite:
    image = _draw_cut_out(assets, rng)
    aspect = image.shape[1] / image.shape[0]
    # Wide cut-outs shrink, so that one object alone never hides more than its share.
    height = min(height, float(np.sqrt(share / aspect)))
    image = _fit(image, height)
    if speed is not None and heading is not None:  # in step with the others
        angle, speed = heading + rng.normal(0, 0.1), speed * rng.uniform(0.8, 1.2)
    else:
        angle = (
            rng.uniform(0, 2 * np.pi) if heading is None else heading + rng.choice([0, 0, np.pi])
        )
        speed = rng.choice([0.0, 1.0], p=[0.1, 0.9]) * _SPEED_MAX * rng.uniform(0.02, 1.0)
    parallax = float(rng.choice([1.0, rng.uniform(1.0, 1.3)]))
    return Sprite(
        image,
        height,
        parallax * pose[:2] + rng.uniform(-0.55, 0.55, 2) * np.exp(-pose[2]),
        speed * np.array([np.cos(angle), np.sin(angle)]),
        (float(rng.choice([0, 1]) * rng.uniform(0, 0.01)), float(rng.uniform(1, 3))),
        parallax,
        moment_s,
    )


def _draw_cut_out(assets: Assets, rng: np.random.Generator) -> RgbaImage:
    """A stamp, or a box or ellipse cut from a photograph (vehicles, furniture)."""
    if assets.stamps and rng.random() < 0.6:
        image = assets.stamps[rng.integers(len(assets.stamps))]
        return np.ascontiguousarray(image[:, ::-1]) if rng.random() < 0.5 else image
    side = (int(rng.integers(48, 128)), int(rng.integers(48, 128)))
    colours = draw_backdrop(assets.photos, rng).view(np.zeros(4), side)
    alpha = np.zeros((side[1], side[0]), np.uint8)
    if rng.random() < 0.5:
        centre = (side[0] // 2, side[1] // 2)
        cv2.ellipse(alpha, centre, (centre[0] - 2, centre[1] - 2), 0, 0, 360, 255, -1)
    else:
        alpha[2:-2, 2:-2] = 255
    return np.dstack([colours, cv2.GaussianBlur(alpha, (3, 3), 0)])


def _fit(image: RgbaImage, height: float) -> RgbaImage:
    """Shrink a cut-out for pictures of about 128 pixels, against flicker of its fine detail."""
    rows = max(4, round(height * 128))
    if image.shape[0] <= rows:
        return image
    columns = max(2, round(image.shape[1] * rows / image.shape[0]))
    return np.asarray(cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)


def _draw_mask(share: float, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """A 64 x 64 mask that covers the given share of the picture: blobs, or a box."""
    if rng.random() < 0.4:
        mask = np.zeros((64, 64), np.uint8)
        width = float(np.clip(np.sqrt(share) * rng.uniform(0.6, 1.7), share, 1))
        columns, rows = int(64 * width), int(64 * min(1, share / width))
        left, top = rng.integers(0, 65 - columns), rng.integers(0, 65 - rows)
        mask[top : top + rows, left : left + columns] = 255
        return mask
    noise = cv2.resize(rng.normal(0, 1, (5, 5)), (64, 64), interpolation=cv2.INTER_CUBIC)
    edge = np.quantile(noise, 1 - share)
    return np.asarray(np.clip((noise - edge) * 4 * 255, 0, 255), np.uint8)
