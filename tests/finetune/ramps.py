"""A data folder whose classes differ only in the order of their frames."""

import random
import sys
from pathlib import Path

import av
import numpy as np

LABELS = ("fall", "rise")


def write_ramp(path: Path, *, rising: bool, seed: int, frames: int = 24) -> Path:
    """Write a grey square that grows lighter or darker by steps, 64 x 48 at 30 fps."""
    chance = random.Random(seed)
    levels = np.linspace(chance.randint(30, 60), chance.randint(180, 220), frames)
    ground = chance.randint(90, 150)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in levels if rising else levels[::-1]:
            picture = np.full((48, 64, 3), ground, np.uint8)
            picture[8:40, 12:52] = round(level)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def write_ramps(root: Path, *, train: int = 12, val: int = 4, frames: int = 24) -> Path:
    """Write `train/` and `val/` with so many videos of each class; returns the root."""
    for split, count in (("train", train), ("val", val)):
        for label in LABELS:
            folder = root / split / label
            folder.mkdir(parents=True)
            for index in range(count):
                seed = index + 100 * (split == "val")
                rising = label == "rise"
                write_ramp(folder / f"{index:02}.mp4", rising=rising, seed=seed, frames=frames)
    return root


if __name__ == "__main__":  # python -m tests.finetune.ramps FOLDER
    _root = write_ramps(Path(sys.argv[1]), frames=45)
    write_ramp(_root / "new.mp4", rising=True, seed=999, frames=90)
    print(f"wrote {_root}: train/ and val/ of {' and '.join(LABELS)}, and new.mp4, which rises")
