"""A labelled stretch of a video: what every list of data becomes."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from streamcls.errors import DataError
from streamcls.frames import ClipArray


@dataclass(frozen=True, slots=True)
class Record:
    """A video, or a stretch of it, and what it shows.

    Attributes:
        path: the file; for a clip in memory, its name.
        labels: what it shows: one name, or any number of them where several may hold at once.
        start_s, end_s: the stretch, in seconds from the file's first frame; None: the whole file.
        group: what must not be in training and validation at once: a scene, a recording, a person.
            Empty: not known.
        clip: a clip in memory in place of the file: uint8, shape (time, height, width, 3), its
            frames as far apart as the network takes them.

    Raises:
        DataError: the stretch is none.
    """

    path: Path
    labels: tuple[str, ...] = ()
    start_s: float | None = None
    end_s: float | None = None
    group: str = ""
    clip: ClipArray | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        start_s, end_s = self.start_s or 0.0, math.inf if self.end_s is None else self.end_s
        if not 0 <= start_s < end_s:
            raise DataError(
                f"{self.path}: the stretch from {start_s:g} to {end_s:g} s is none; seconds count"
                " from the file's first frame, and the end comes after the start"
            )

    @property
    def name(self) -> str:
        """The file, and the stretch of it."""
        if self.start_s is None and self.end_s is None:
            return str(self.path)
        end = "" if self.end_s is None else f"{self.end_s:g}"
        return f"{self.path} [{self.start_s or 0:g}..{end} s]"


def labels_of(*splits: Iterable[Record]) -> tuple[str, ...]:
    """All labels of some records, sorted: the order of a network's outputs."""
    return tuple(sorted({label for split in splits for one in split for label in one.labels}))
