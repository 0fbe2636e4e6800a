"""Tiny labelled recordings, and a scorer that tells their labels by brightness."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from streamcls.engine import Engine
from streamcls.frames import RgbClip
from streamcls.models.bundle import load_bundle
from streamcls.offline.tracks import Segment, track_of
from tests.models.small import LABELS

GREY = {"rest": 110, "rise": 230, "fall": 20}


def write_scenes(
    path: Path,
    scenes: Sequence[tuple[str, float]],
    *,
    fps: int = 10,
    size: tuple[int, int] = (64, 48),
    first_s: int = 0,
) -> Path:
    """Write a flat grey recording, so many seconds of each label's grey.

    Args:
        first_s: media time of its first frame; an MP4 forgets it, a Matroska file does not.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        pts = first_s * fps
        for label, seconds in scenes:
            picture = np.full((size[1], size[0], 3), GREY[label], np.uint8)
            for _ in range(round(seconds * fps)):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = pts, Fraction(1, fps)
                pts += 1
                container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def truth_of(scenes: Sequence[tuple[str, float]]) -> tuple[Segment, ...]:
    """The label track of `write_scenes`."""
    starts = np.cumsum([0.0, *(seconds for _, seconds in scenes)]).tolist()
    return track_of(
        Segment(start_s, start_s + seconds, label)
        for (label, seconds), start_s in zip(scenes, starts, strict=False)
    )


class Brightness:
    """Scores the share of a clip's frames that show each label's grey: known without training."""

    name, device = "brightness", "cpu"

    def scores(self, clips: Sequence[RgbClip]) -> npt.NDArray[np.float32]:
        greys = np.array([GREY[label] for label in LABELS])
        rows = []
        for clip in clips:
            means = np.array([picture.mean() for picture in clip])
            nearest = np.abs(means[:, None] - greys).argmin(axis=1)
            rows.append(np.bincount(nearest, minlength=len(LABELS)) / len(nearest))
        return np.array(rows, np.float32)

    def warm_up(self, batch_sizes: Sequence[int]) -> None:
        """Nothing to do."""


def brightness_engine(bundle: Path) -> Engine:
    """The small model file's labels, clips and decisions, scored by brightness."""
    return Engine(load_bundle(bundle), Brightness())
