"""A photograph seen through the virtual camera, and what of it can be seen to move."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streamcls.finetune.camera_motion import labels as c
from streamcls.finetune.camera_motion.photos import Pyramid
from streamcls.frames import RgbImage

Array = npt.NDArray[np.float64]

_VISIBLE_MIN_PX = 100  # source pixels across the visible square, at least
_KEYSTONE_MAX = 0.25  # perspective: change of scale across one side


@dataclass(frozen=True, slots=True)
class Backdrop:
    """A place in a photograph where the camera stands.

    Beyond its edges the photograph repeats as in a mirror, so the camera may travel anywhere.

    Attributes:
        pyramid: the photograph.
        centre: what pose zero looks at, pixels of the largest level (x, y).
        visible_px: pixels of the largest level that fill the side at zoom zero.
        orient: 2 x 2, quarter turns and mirroring of the photograph.
        keystone: perspective along x and y, change of scale per side.
        blur_levels: pyramid levels by which the view is softer than it could be.
    """

    pyramid: Pyramid
    centre: Array
    visible_px: float
    orient: Array
    keystone: tuple[float, float] = (0.0, 0.0)
    blur_levels: float = 0.0

    def view(self, pose: Array, size: tuple[int, int], zoom_reference: float = 0.0) -> RgbImage:
        """What the camera sees.

        Args:
            pose: x, y, zoom, roll; see `camera`.
            size: width and height in pixels.
            zoom_reference: zoom at which the sharpness fits; one value for a whole clip keeps
                the sharpness from jumping within it.
        """
        width, height = size
        pixel = self.visible_px / min(size)  # source pixels per picture pixel at zoom zero
        fitting = np.log2(max(pixel * np.exp(-zoom_reference), 1e-6)) + self.blur_levels
        level = int(np.clip(round(fitting), 0, len(self.pyramid.levels) - 1))
        source = self.pyramid.levels[level]
        shrink = source.shape[1] / self.pyramid.levels[0].shape[1]
        cosine, sine = np.cos(pose[3]), np.sin(pose[3])
        linear = self.orient @ np.array([[cosine, -sine], [sine, cosine]])
        linear = linear * (pixel * np.exp(-pose[2]) * shrink)
        middle = np.array([(width - 1) / 2, (height - 1) / 2])
        look = (self.centre + self.visible_px * self.orient @ pose[:2]) * shrink
        matrix = np.column_stack([linear, look - linear @ middle])
        if self.keystone == (0.0, 0.0):
            warped = cv2.warpAffine(
                source,
                matrix,
                size,
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REFLECT,
            )
        else:
            warped = cv2.warpPerspective(
                source,
                self._perspective(matrix, look, middle, min(size)),
                size,
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REFLECT,
            )
        return np.asarray(warped, np.uint8)

    def _perspective(self, matrix: Array, look: Array, middle: Array, unit: int) -> Array:
        """The view's homography: `matrix`, divided by a scale that changes across the picture."""
        slope = np.array(self.keystone) / unit
        scale = np.array([slope[0], slope[1], 1 - slope @ middle])
        offset = np.vstack([matrix, [0, 0, 0]])
        offset[:2, 2] -= look
        # source = look + linear (pixel - middle) / scale(pixel)
        return np.asarray(offset + np.outer([look[0], look[1], 1.0], scale), np.float64)


def draw_backdrop(photos: tuple[Pyramid, ...], rng: np.random.Generator) -> Backdrop:
    """A random place, size and orientation in a random photograph."""
    pyramid = photos[rng.integers(len(photos))]
    height, width = pyramid.levels[0].shape[:2]
    largest = float(min(height, width))
    smallest = min(_VISIBLE_MIN_PX, largest / 2)
    visible = float(np.exp(rng.uniform(np.log(smallest), np.log(largest))))
    margin = visible / 2  # mirrored edges come into view by travelling only
    centre = np.array([rng.uniform(margin, width - margin), rng.uniform(margin, height - margin)])
    turns = rng.choice([0, 0, 0, 1, 2, 3])
    cosine, sine = np.cos(turns * np.pi / 2).round(), np.sin(turns * np.pi / 2).round()
    orient = np.array([[cosine, -sine], [sine, cosine]]) @ np.diag([rng.choice([-1.0, 1.0]), 1])
    keystone = rng.uniform(-_KEYSTONE_MAX, _KEYSTONE_MAX, 2) * (rng.random() < 0.2)
    blur = rng.choice([-0.7, 0.0, 0.5, 1.0], p=[0.2, 0.5, 0.2, 0.1])
    return Backdrop(
        pyramid, centre, visible, orient, (float(keystone[0]), float(keystone[1])), float(blur)
    )


def draw_upright(
    pyramid: Pyramid, track: Array, size: tuple[int, int], rng: np.random.Generator
) -> Backdrop:
    """A random place in a photograph from which a whole path can be filmed without its edges.

    The photograph stays upright. Where the path is too long for it, edges repeat as in a mirror.

    Args:
        track: poses along the path, shape (n, 4).
        size: width and height of the frames.
    """
    height, width = pyramid.levels[0].shape[:2]
    reach = np.array(size) / min(size) / 2 * np.exp(-track[:, 2:3])  # half a frame, sides
    low, high = (track[:, :2] - reach).min(axis=0), (track[:, :2] + reach).max(axis=0)
    fitting = float(np.min([width, height] / (high - low)))
    visible = max(rng.uniform(0.6, 1.0) * fitting, _VISIBLE_MIN_PX)
    first = np.minimum(-low * visible, [width / 2, height / 2])
    last = np.maximum([width, height] - high * visible, first)
    return Backdrop(pyramid, rng.uniform(first, last), visible, np.eye(2))


def detailed_cells(image: RgbImage, label: str, floor: float = c.DETAIL_MIN) -> int:
    """How many of the picture's 4 x 4 patches have gradients that show the label's motion.

    A pan over horizontal stripes cannot be seen: turns need gradients along their direction,
    the other labels in both directions.

    Args:
        image: shape (height, width, 3); the central square counts.
        floor: mean gradient asked of a patch, grey levels per 1/64 side.
    """
    height, width = image.shape[:2]
    unit = min(height, width)
    top, left = (height - unit) // 2, (width - unit) // 2
    square = image[top : top + unit, left : left + unit]
    small = cv2.resize(square, (64, 64), interpolation=cv2.INTER_AREA) if unit != 64 else square
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    # Central differences over two pixels are blind to sensor noise less than adjacent ones.
    across = cv2.resize(np.abs(grey[:, 2:] - grey[:, :-2]), (4, 4), interpolation=cv2.INTER_AREA)
    along = cv2.resize(np.abs(grey[2:] - grey[:-2]), (4, 4), interpolation=cv2.INTER_AREA)
    if label.startswith("pan"):
        shown = across
    elif label.startswith("tilt"):
        shown = along
    else:
        shown = np.minimum(across, along)
    return int(np.count_nonzero(shown >= 2 * floor))
