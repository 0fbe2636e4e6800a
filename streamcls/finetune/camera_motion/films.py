"""Labelled videos of camera motion in folders, as `streamcls finetune` takes them."""

from pathlib import Path

import numpy as np

from streamcls.finetune.camera_motion import labels as c
from streamcls.finetune.camera_motion.camera import Pace, Stretch, draw_motion
from streamcls.finetune.camera_motion.photos import Assets
from streamcls.finetune.camera_motion.scene import Labelled, draw_scene
from streamcls.finetune.camera_motion.video import film

_SIZES = ((320, 240), (480, 270), (640, 360), (640, 480), (360, 640), (854, 480))
_SECONDS = 2.4  # twice a clip and a little, so that each visit sees another one
_EVERY = 6  # each sixth photograph is for validation alone


def film_clip(
    path: Path, label: str, assets: Assets, rng: np.random.Generator, seconds: float
) -> None:
    """Write an H.264 file of one label, of random frame rate, size and quality."""
    motion = draw_motion(label, rng, Pace())
    plan = [Labelled(label, Stretch(motion, 0.0, seconds + 0.3))]
    scene = draw_scene(plan, assets, rng)
    rates = [rng.uniform(5, 60), rng.uniform(10, 30), 25.0, 30.0]
    fps = float(rng.choice(rates, p=[0.3, 0.5, 0.1, 0.1]))
    size = _SIZES[rng.integers(len(_SIZES))]
    options = {"preset": "ultrafast" if rng.random() < 0.5 else "veryfast"}
    options |= {"crf": str(rng.integers(18, 36)), "g": str(rng.integers(10, 100))}
    film(path, scene, seconds + 0.25, rng, fps=fps, size=size, options=options)


def write_films(assets: Assets, out: Path, *, per_label: int, seed: int) -> None:
    """Write `train/<label>/` and, of photographs of their own, a fifth as many `val/<label>/`.

    Args:
        per_label: training videos of each label.
        seed: of all that is drawn.
    """
    photos = assets.photos
    sides = {
        "train": Assets(tuple(p for i, p in enumerate(photos) if i % _EVERY), assets.stamps),
        "val": Assets(photos[::_EVERY], assets.stamps),
    }
    for split, own in sides.items():
        count = per_label if split == "train" else max(1, per_label // 5)
        for row, label in enumerate(c.LABELS):
            folder = out / split / label
            folder.mkdir(parents=True, exist_ok=True)
            for index in range(count):
                rng = np.random.default_rng([seed, split == "val", row, index])
                film_clip(folder / f"{index:05}.mp4", label, own, rng, _SECONDS)
