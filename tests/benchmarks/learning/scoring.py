"""A model file on held-out files: who was taken for whom, and how sure the figure is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamcls.finetune.clips.reader import read_clip
from streamcls.models.backends import TorchBackend
from streamcls.models.bundle import load_bundle
from tests.benchmarks.learning.cutting import FRAMES, instant_of

_BATCH = 64
_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a model made of one file.

    Attributes:
        instant: of the file's cell; files of one instant show the same people.
        by_clip: the labels it gave to the file's first and last clip.
        by_video: the label by the mean of their scores.
    """

    instant: int
    label: str
    by_clip: tuple[str, ...]
    by_video: str


@dataclass(frozen=True, slots=True)
class Accuracy:
    """A share of right answers, and the 95 % interval it lies in."""

    share: float
    low: float
    high: float


def judge(model: Path, folder: Path) -> list[Verdict]:
    """Classify `folder/<class>/*.mp4`, two clips a file that together show all of it."""
    loaded = load_bundle(str(model))
    backend, spec, labels = TorchBackend(loaded), loaded.clip_spec, loaded.labels
    starts_s = (0 * spec.frame_interval_s, (FRAMES - spec.num_frames) * spec.frame_interval_s)
    files = sorted(folder.glob("*/*.mp4"))
    verdicts: list[Verdict] = []
    for first in range(0, len(files), _BATCH // len(starts_s)):
        batch = files[first : first + _BATCH // len(starts_s)]
        clips = [read_clip(path, start_s, spec) for path in batch for start_s in starts_s]
        scores = np.asarray(backend.scores(clips)).reshape(len(batch), len(starts_s), len(labels))
        verdicts += [
            Verdict(
                instant_of(path),
                path.parent.name,
                tuple(labels[index] for index in by_clip.argmax(axis=1)),
                labels[by_clip.mean(axis=0).argmax()],
            )
            for path, by_clip in zip(batch, scores, strict=True)
        ]
    return verdicts


def accuracy(runs: Sequence[Sequence[Verdict]], *, by_clip: bool) -> Accuracy:
    """Share of right answers over some runs on the same files.

    The interval is the percentile bootstrap's over instants (Efron and Tibshirani, An Introduction
    to the Bootstrap, 13.3), all files of an instant and all runs drawn together: overlapping
    squares show the same people and are no independent cases.
    """
    right: dict[int, list[float]] = {}
    for verdict in (verdict for run in runs for verdict in run):
        given = verdict.by_clip if by_clip else (verdict.by_video,)
        right.setdefault(verdict.instant, []).extend(label == verdict.label for label in given)
    sums = np.array([(sum(answers), len(answers)) for answers in right.values()], float)
    drawn = np.random.default_rng(0).integers(len(sums), size=(_RESAMPLES, len(sums)))
    totals = sums[drawn].sum(axis=1)
    low, high = np.percentile(totals[:, 0] / totals[:, 1], [2.5, 97.5])
    return Accuracy(float(sums[:, 0].sum() / sums[:, 1].sum()), float(low), float(high))


def confusion(runs: Sequence[Sequence[Verdict]], labels: Sequence[str]) -> npt.NDArray[np.int64]:
    """How many files of each class (row) were taken for each (column), summed over runs."""
    counts = np.zeros((len(labels), len(labels)), np.int64)
    for verdict in (verdict for run in runs for verdict in run):
        counts[labels.index(verdict.label), labels.index(verdict.by_video)] += 1
    return counts
