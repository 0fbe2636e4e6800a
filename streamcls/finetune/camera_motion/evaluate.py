"""Evaluation on photographs never trained on, through a real encoder and the serving transforms."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from streamcls.errors import DataError
from streamcls.finetune.camera_motion import labels as c
from streamcls.finetune.camera_motion.films import film_clip
from streamcls.finetune.camera_motion.photos import Assets, Pyramid, read_rgb
from streamcls.frames import ClipArray, RgbImage
from streamcls.transforms import ClipSpec, GridSampler, to_small_rgb
from streamcls.transforms.clip import clip_batch

LEAD_S = 0.4  # seconds filmed before the window begins, so that it starts within a video
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Report:
    """Counts of what was shown against what was said.

    Attributes:
        labels: of the rows (shown) and columns (said).
        confusion: shape (labels, labels).
    """

    labels: tuple[str, ...]
    confusion: npt.NDArray[np.int64]

    @property
    def accuracy(self) -> float:
        """Share of clips named rightly."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def per_label(self) -> dict[str, float]:
        """Share of each label's clips that were named rightly."""
        shares = np.diag(self.confusion) / np.maximum(self.confusion.sum(axis=1), 1)
        return {label: float(share) for label, share in zip(self.labels, shares, strict=True)}

    def table(self) -> str:
        """The counts as text, a row for each label shown."""
        width = max(map(len, self.labels))
        head = " " * (width + 8) + " ".join(f"{label[:9]:>9}" for label in self.labels)
        rows = [
            f"{label:{width}} {share:6.3f} " + " ".join(f"{count:9d}" for count in counts)
            for (label, share), counts in zip(self.per_label.items(), self.confusion, strict=True)
        ]
        return "\n".join([head, *rows, f"{'all':{width}} {self.accuracy:6.3f}"])


def evaluate(
    network: nn.Module, photos: Path, *, clips_per_label: int, seed: int, spec: ClipSpec
) -> Report:
    """Film clips of every label over held-out photographs, encode and decode them, classify them.

    Frame rate, picture size, quality, speed, light, objects and overlays vary as in training,
    except that moving objects are cut from the held-out photographs.

    Args:
        network: in evaluation mode; gives logits.
        photos: folder of JPEG files.

    Raises:
        DataError: there is no photograph in the folder.
    """
    files = sorted(photos.glob("*.jpg"))
    if not files:
        raise DataError(f"no .jpg file in {photos} to evaluate on")
    pyramids = tuple(Pyramid.of(read_rgb(file)) for file in files)
    confusion = np.zeros((len(c.LABELS), len(c.LABELS)), np.int64)
    for row, label in enumerate(c.LABELS):
        clips = []
        for index in range(clips_per_label):
            rng = np.random.default_rng([seed, row, index])
            clips.append(filmed_clip(label, Assets(pyramids, ()), rng, spec))
        said = scores(network, clips, spec).argmax(axis=1)
        confusion[row] = np.bincount(said, minlength=len(c.LABELS))
    return Report(c.LABELS, confusion)


def filmed_clip(label: str, assets: Assets, rng: np.random.Generator, spec: ClipSpec) -> ClipArray:
    """A clip of one label that went through an H.264 file of random rate, size and quality."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        film_clip(path, label, assets, rng, LEAD_S + float(spec.span_s))
        pictures = grid_pictures(path, spec, origin_s=LEAD_S)
    if len(pictures) < spec.num_frames:  # at 5 fps the last instant may follow the last frame
        pictures += [pictures[-1]] * (spec.num_frames - len(pictures))
    return np.stack(pictures[: spec.num_frames])


def grid_pictures(path: Path, spec: ClipSpec, *, origin_s: float | None = None) -> list[RgbImage]:
    """A video's pictures on the serving grid, `spec.frame_interval_s` apart.

    Args:
        origin_s: time of the first, by default that of the first frame.
    """
    origin = None if origin_s is None else Fraction(origin_s)
    sampler = GridSampler(spec.frame_interval_s, origin)
    pictures: list[RgbImage] = []
    shown: RgbImage | None = None
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for frame in container.decode(stream):
            assert frame.pts is not None
            assert frame.time_base is not None
            before, now = sampler.push(frame.pts * frame.time_base)
            if shown is not None:
                pictures += [shown] * len(before)
            shown = to_small_rgb(frame, spec)
            pictures += [shown] * len(now)
    return pictures


def scores(
    network: nn.Module, clips: Sequence[ClipArray], spec: ClipSpec
) -> npt.NDArray[np.float32]:
    """Probabilities (clips, labels), computed as serving does."""
    device = next(network.parameters()).device
    parts = []
    with torch.inference_mode():
        for first in range(0, len(clips), _BATCH):
            batch = clip_batch(clips[first : first + _BATCH], spec, device)
            parts.append(torch.softmax(network(batch), dim=1).cpu().numpy())
    return np.concatenate(parts).astype(np.float32)


def windows(pictures: Sequence[RgbImage], spec: ClipSpec, stride: int = 1) -> list[ClipArray]:
    """Every `stride`-th window of consecutive grid pictures."""
    starts = range(0, len(pictures) - spec.num_frames + 1, stride)
    return [np.stack(pictures[start : start + spec.num_frames]) for start in starts]
