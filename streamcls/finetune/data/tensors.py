"""Clips in memory."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from streamcls.errors import DataError
from streamcls.finetune.data.records import Record


def from_tensors(
    clips: Any, labels: Sequence[str | Sequence[str]], groups: Sequence[str] | None = None
) -> list[Record]:
    """Clips as an array or tensor, and what each shows.

    Args:
        clips: uint8, shape (clips, time, height, width, 3), RGB, the frames as far apart as the
            network takes them; or a sequence of such clips of different sizes.

    Raises:
        DataError: a clip is of another type or shape, or the lengths differ.
    """
    for name, given in (("labels", labels), ("groups", groups)):
        if given is not None and len(given) != len(clips):
            raise DataError(f"{len(clips)} clips but {len(given)} {name}; give one for each clip")
    records: list[Record] = []
    for index, (clip, label) in enumerate(zip(clips, labels, strict=True)):
        pixels = np.asarray(clip)
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[-1] != 3:
            raise DataError(
                f"clip {index} is {pixels.dtype} of shape {pixels.shape}; give uint8 RGB of shape"
                " (time, height, width, 3)"
            )
        named = (label,) if isinstance(label, str) else tuple(label)
        group = groups[index] if groups is not None else ""
        records.append(Record(Path(f"clip {index}"), named, group=group, clip=pixels))
    return records
