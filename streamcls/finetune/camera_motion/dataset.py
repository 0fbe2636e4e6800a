"""Training clips, drawn at the network's size as fast as they are used.

Clip number i of a seed is always the same, whatever the number of worker processes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from streamcls.finetune.camera_motion import labels as c
from streamcls.finetune.camera_motion.camera import RAMP_S, Stretch, draw_motion, poses
from streamcls.finetune.camera_motion.photos import Assets
from streamcls.finetune.camera_motion.scene import Labelled, draw_scene, shrink
from streamcls.frames import ClipArray
from streamcls.transforms import ClipSpec

Array = npt.NDArray[np.float64]

CLIP_SPEC = ClipSpec(
    num_frames=8,
    sampling_rate=3,
    trained_fps=20,
    short_side=64,
    crop=64,
)
"""What the network sees: 8 frames, 0.15 s apart, 1.05 s in all."""

NET_OPTIONS = {
    "num_classes": len(c.LABELS),
    "num_frames": CLIP_SPEC.num_frames,
    "side": CLIP_SPEC.crop,
    "features": 32,
    "width": 64,
    "code": 96,
    "hidden": 192,
    "radius": 2,
}
"""Arguments of the network; all are spelled out, as the model file keeps them."""

_LABEL_WEIGHTS = np.array([2.2, 1, 1, 1, 1, 1, 1, 1.1, 1.0])
_TRANSITION_SHARE = 0.15  # clips in which one label gives way to another
_RATES_HZ = c.Span(5.0, 60.0)
_STALL_SHARE = 0.05  # clips in which the picture freezes for a moment


@dataclass(frozen=True, slots=True)
class Clip:
    """One training clip.

    Attributes:
        frames: uint8, shape (time, side, side, 3).
        target: probability of each label, shape (labels,); how long each shows.
        track: the camera's pose at each frame, shape (time, 4).
        tracked: whether the pose can be seen throughout (no cover, no cut).
    """

    frames: ClipArray
    target: npt.NDArray[np.float32]
    track: npt.NDArray[np.float32]
    tracked: bool


class ClipBatch(NamedTuple):
    """Clips stacked; see `Clip`."""

    frames: Tensor
    target: Tensor
    track: Tensor
    tracked: Tensor


class ClipStream(IterableDataset[ClipBatch]):
    """Batches of freshly drawn clips.

    Args:
        assets: what scenes are made of.
        batches: how many batches in all.
        batch_size: clips in each.
        seed: of clip 0.
    """

    def __init__(self, assets: Assets, batches: int, batch_size: int, seed: int) -> None:
        self.assets, self.batches, self.batch_size = assets, batches, batch_size
        self.seed = seed

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[ClipBatch]:
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        cv2.setNumThreads(1)
        for batch in range(worker, self.batches, workers):
            first = batch * self.batch_size
            yield stack(
                [
                    draw_clip(self.assets, np.random.default_rng([self.seed, first + index]))
                    for index in range(self.batch_size)
                ]
            )


def stack(clips: list[Clip]) -> ClipBatch:
    """Clips as one batch of tensors."""
    return ClipBatch(
        torch.from_numpy(np.stack([clip.frames for clip in clips])),
        torch.from_numpy(np.stack([clip.target for clip in clips])),
        torch.from_numpy(np.stack([clip.track for clip in clips])),
        torch.tensor([clip.tracked for clip in clips]),
    )


def draw_clip(
    assets: Assets, rng: np.random.Generator, label: str | None = None, spec: ClipSpec = CLIP_SPEC
) -> Clip:
    """Draw one clip.

    Args:
        assets: what its scene is made of.
        rng: source of all chance.
        label: its label throughout; None draws one, or a change from one to another.
        spec: frame count, interval and size.
    """
    span = float(spec.span_s)
    plan = _draw_plan(label, span, rng)
    times = _shown_times(spec, rng)
    stretches = [part.stretch for part in plan]
    track = _visible_track(stretches, times)
    while track is None:
        plan = _draw_plan(plan[0].label, span, rng)
        stretches = [part.stretch for part in plan]
        track = _visible_track(stretches, times)
    scene = draw_scene(plan, assets, rng)
    side = spec.crop * int(rng.choice([1, 2], p=[0.65, 0.35]))
    moments, repeats = np.unique(times, return_inverse=True)
    frames = shrink(scene.render(moments, (side, side), rng), spec.crop)[repeats]
    tracked = not scene.covers and len(scene.backdrops) == 1
    return Clip(frames, _target(plan, span), track.astype(np.float32), tracked)


def _draw_plan(label: str | None, span_s: float, rng: np.random.Generator) -> list[Labelled]:
    """One label for the whole clip, or two with the change inside it."""
    begin, end = -0.3, span_s + 0.1  # frames show up to one camera interval late
    if label is not None or rng.random() >= _TRANSITION_SHARE:
        chosen = label or _draw_label(rng)
        return [Labelled(chosen, Stretch(draw_motion(chosen, rng), begin, end))]
    names = ["still" if rng.random() < 0.8 else _draw_label(rng), _draw_label(rng)]
    names = [str(name) for name in rng.permutation(names)]
    change = rng.uniform(0, span_s - RAMP_S / 2)
    return [
        Labelled(names[0], Stretch(draw_motion(names[0], rng), begin, change)),
        Labelled(names[1], Stretch(draw_motion(names[1], rng), change, end)),
    ]


def _draw_label(rng: np.random.Generator) -> str:
    return c.LABELS[rng.choice(len(c.LABELS), p=_LABEL_WEIGHTS / _LABEL_WEIGHTS.sum())]


def _shown_times(spec: ClipSpec, rng: np.random.Generator) -> Array:
    """When the frames showing at the clip's instants were taken, seconds."""
    rate = np.exp(rng.uniform(*np.log(_RATES_HZ)))
    rate = float(rng.choice([rate, rng.uniform(10, 30), 25.0, 30.0], p=[0.5, 0.3, 0.1, 0.1]))
    phase = rng.uniform(0, 1)
    instants = np.arange(spec.num_frames) * float(spec.frame_interval_s)
    if rng.random() < _STALL_SHARE:
        first = rng.integers(0, spec.num_frames - 1)
        instants[first + 1 : first + 1 + rng.integers(1, 3)] = instants[first]
    return np.asarray((np.floor(instants * rate + phase) - phase) / rate, np.float64)


def _visible_track(stretches: list[Stretch], times_s: Array) -> Array | None:
    """Poses at the frames' times, or None where a shake does not show in these very frames."""
    track = poses(stretches, np.maximum(times_s, stretches[0].start_s))
    shakes = len(stretches) == 1 and _is_shake(stretches[0])
    if shakes and np.linalg.norm(track[:, :2].std(axis=0)) < 0.8 * c.SHAKE_AMPLITUDE.low:
        return None
    return track


def _is_shake(stretch: Stretch) -> bool:
    shake = stretch.motion.shake
    amplitude = float(np.sqrt((shake[:, 4:6] ** 2).sum() / 2)) if len(shake) else 0.0
    return amplitude >= 0.9 * c.SHAKE_AMPLITUDE.low


def _target(plan: list[Labelled], span_s: float) -> npt.NDArray[np.float32]:
    """How much of the clip shows each label."""
    target = np.zeros(len(c.LABELS), np.float32)
    if len(plan) == 1:
        target[c.label_index(plan[0].label)] = 1
        return target
    change = float(np.clip((plan[1].stretch.start_s + RAMP_S / 2) / span_s, 0, 1))
    target[c.label_index(plan[0].label)] += change
    target[c.label_index(plan[1].label)] += 1 - change
    return target
