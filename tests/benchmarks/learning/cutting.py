"""Labelled files out of a recording, labels that no single frame can tell.

A *cell* is a square of the picture around one instant at which something moves there. Each cell
gives one file of every class. The files of a cell differ only in which frames of the recording
they show when (`SHOWN`), and all show the same one in the middle:

    forward        one frame after the other, in real time
    fast           every third frame
    frozen         the middle frame throughout, as of a camera that hangs
    out_of_order   two of three frames change places, as of a player that ignores timestamps

The stills for the baseline hold the middle frame throughout, so over its classes they are equal
files: whatever a network learns from them, it cannot be right more often than by chance.
Files are written without loss, so no codec's trace tells a class either.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from streamcls.finetune.camera_motion.video import encode
from streamcls.frames import ClipArray
from tests.benchmarks.learning.footage import FPS, Footage

FRAMES = 12  # of a file: a clip of 8 and room for a random start
MIDDLE = FRAMES // 2
SHOWN = {
    "fast": tuple(3 * (n - MIDDLE) for n in range(FRAMES)),
    "forward": tuple(n - MIDDLE for n in range(FRAMES)),
    "frozen": (0,) * FRAMES,
    # offsets = -6, -4, -5, -3, -1, -2, 0, 2, 1, 3, 5, 4
    "out_of_order": tuple(n - n % 3 + (0, 2, 1)[n % 3] - MIDDLE for n in range(FRAMES)),
}
"""Frames of the recording that a file shows, counted from its middle one, by class."""

LABELS = tuple(SHOWN)

SIDE = 64  # pixels, of halved pictures

_LOSSLESS = {"qp": "0", "preset": "ultrafast"}
_CHANGED = 25  # grey levels between two frames that make a pixel count as changed
_MOVING_SHARE = 0.04  # changed pixels with which a cell counts as moving


@dataclass(frozen=True, slots=True)
class Split:
    """A stretch of the recording: no file of the split shows a frame outside it.

    Attributes:
        start_s, end_s: seconds of the recording.
        every: frames of the recording from one instant of cells to the next.
        stride: pixels from one square to the next.
    """

    start_s: float
    end_s: float
    every: int
    stride: int


SPLITS = {
    "train": Split(0, 42, every=6, stride=32),
    "val": Split(44, 52, every=6, stride=32),
    "test": Split(54, 79.5, every=12, stride=64),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """The square with its upper left corner at (top, left), around frame `instant`."""

    instant: int
    top: int
    left: int

    @property
    def name(self) -> str:
        """File name stem; files of one instant share its first part."""
        return f"{self.instant:04}_{self.top:03}_{self.left:03}"


def instant_of(path: Path) -> int:
    """The instant of a file that `write_split` wrote."""
    return int(path.stem.partition("_")[0])


def shown(instant: int, label: str) -> list[int]:
    """Which frames of the recording a file shows, in its order."""
    return [instant + offset for offset in SHOWN[label]]


def find_cells(footage: Footage, split: Split) -> list[Cell]:
    """The cells of a split in which something moves, by instant and place."""
    first, last = round(split.start_s * FPS), min(round(split.end_s * FPS), len(footage)) - 1
    offsets = [offset for label in SHOWN.values() for offset in label]
    height, width = footage.shape[1:3]
    return [
        Cell(instant, top, left)
        for instant in range(first - min(offsets), last - max(offsets) + 1, split.every)
        for top in range(0, height - SIDE + 1, split.stride)
        for left in range(0, width - SIDE + 1, split.stride)
        if is_moving(cut(footage, Cell(instant, top, left), shown(instant, "forward")))
    ]


def is_moving(clip: ClipArray) -> bool:
    """Whether enough pixels change both before and after the middle frame.

    Asked of `forward`, the slowest, so that what passes moves in every class but `frozen`.
    """
    grey = [cv2.cvtColor(clip[n], cv2.COLOR_RGB2GRAY) for n in (0, MIDDLE, FRAMES - 1)]
    return all(
        float(np.mean(cv2.absdiff(grey[n], grey[1]) > _CHANGED)) > _MOVING_SHARE for n in (0, 2)
    )


def cut(footage: Footage, cell: Cell, frames: Sequence[int]) -> ClipArray:
    """The cell's square in these frames, uint8 (time, SIDE, SIDE, 3)."""
    square = footage[:, cell.top : cell.top + SIDE, cell.left : cell.left + SIDE]
    return np.ascontiguousarray(square[list(frames)])


def write_split(footage: Footage, cells: Sequence[Cell], folder: Path, *, stills: bool) -> None:
    """Write `folder/<class>/<cell>.mp4` for every cell and class."""
    for label in SHOWN:
        (folder / label).mkdir(parents=True)
        for cell in cells:
            frames = [cell.instant] * FRAMES if stills else shown(cell.instant, label)
            path = folder / label / f"{cell.name}.mp4"
            pictures = cut(footage, cell, frames)
            encode(path, pictures, fps=FPS, size=(SIDE, SIDE), options=_LOSSLESS)
