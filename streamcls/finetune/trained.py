"""A trained network: what it scored, how it came about, and writing it to a model file."""

import importlib.metadata
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from streamcls.finetune.calibration import fit_temperature, fold_temperature
from streamcls.finetune.data.checking import CheckedData, Video
from streamcls.finetune.start import StartingPoint
from streamcls.finetune.training.recipe import Recipe
from streamcls.models.bundle import Activation, DecisionDefaults, Manifest, write_bundle

_PACKAGES = ("streamcls", "torch", "pytorchvideo", "pytorch-lightning", "av")


@dataclass(frozen=True, slots=True)
class ScoredClip:
    """A validation clip: where it is.

    Attributes:
        start_s: from the file's first frame, seconds.
    """

    video: Video
    index: int
    start_s: Fraction


@dataclass(frozen=True, slots=True)
class Trained:
    """A network with the weights of its best epoch, and how it came by them.

    Attributes:
        network: in evaluation mode, on the CPU.
        head: its last layer.
        start: what it was before.
        clips: validation's.
        logits, targets: of those clips, float32 (clips, classes); NaN where one could not be read.
        metrics: of the best epoch, by name.
        history: every epoch's metrics.
        skipped: files that could not be used, and why.
        checkpoint: what the run could go on from; to be removed once all of it is written.
    """

    network: nn.Module
    head: nn.Module
    start: StartingPoint
    checked: CheckedData
    recipe: Recipe
    clips: tuple[ScoredClip, ...]
    logits: Tensor
    targets: Tensor
    metrics: dict[str, float]
    history: tuple[dict[str, float], ...]
    skipped: tuple[str, ...]
    checkpoint: Path

    @property
    def activation(self) -> Activation:
        """Softmax for single-label data, sigmoid for multi-label data."""
        return Activation.SIGMOID if self.checked.data.multi_label else Activation.SOFTMAX

    def calibrate(self) -> float:
        """Make the network's probabilities honest, and tell the temperature that did it.

        `logits` stay as the network gave them before.
        """
        temperature = fit_temperature(self.logits, self.targets, self.activation)
        fold_temperature(self.head, temperature)
        return temperature

    def write(self, out: Path, decisions: DecisionDefaults, **facts: Any) -> Manifest:
        """Write the model file.

        Args:
            facts: more for the provenance, JSON-able.

        Raises:
            ModelError: the network's architecture cannot hold these weights.
            ConfigError: the file cannot be written.
        """
        data = self.checked.data
        return write_bundle(
            out,
            network=self.network,
            name=out.stem,
            architecture=self.start.architecture,
            arguments=self.start.arguments | {"num_classes": len(data.labels)},
            labels=data.labels,
            clip_spec=self.start.clip_spec,
            decisions=decisions,
            activation=self.activation,
            provenance={
                "created_utc": datetime.now(UTC).isoformat(timespec="seconds"),
                "data": {
                    "source": Path(data.described).name,
                    "videos": self.checked.counts(),
                    "skipped": len(self.skipped),
                    "warnings": list(data.warnings),
                },
                "started_from": self.start.described,
                "recipe": self.recipe.document(),
                "metrics": self.metrics,
                "versions": versions(),
                **facts,
            },
        )


def versions() -> dict[str, str]:
    """Of what had a part in it."""
    found: dict[str, str] = {}
    for package in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found
