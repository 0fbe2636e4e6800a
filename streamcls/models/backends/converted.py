"""A network that something other than torch runs: what all of these share."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamcls import __version__
from streamcls.frames import RgbClip
from streamcls.models.backends.machine import cpu_flags
from streamcls.models.bundle import LoadedModel
from streamcls.models.golden import golden_clip
from streamcls.models.scoring import activated
from streamcls.transforms.clip import gather

Forward = Callable[[Tensor], Tensor]
"""float32 logits (batch, labels) of uint8 pixels (batch, time, crop, crop, 3), on the CPU."""

_CPU = torch.device("cpu")


class ConvertedBackend:
    """A converted network on the CPU; softmax or sigmoid in float32, whatever its arithmetic."""

    device = "cpu"

    def __init__(self, name: str, model: LoadedModel, forward: Forward) -> None:
        self.name = name
        self._model = model
        self._forward = forward

    @torch.inference_mode()
    def scores(self, clips: Sequence[RgbClip]) -> npt.NDArray[np.float32]:
        """As `Backend.scores`."""
        logits = self._forward(gather(clips, self._model.clip_spec, _CPU))
        return np.asarray(activated(logits, self._model.manifest.activation).numpy(), np.float32)

    def warm_up(self, batch_sizes: Sequence[int]) -> None:
        """As `Backend.warm_up`."""
        for size in batch_sizes:
            self.scores([golden_clip(self._model.clip_spec)] * size)


def origin(name: str, model: LoadedModel, *versions: str) -> tuple[str, ...]:
    """All that a converted network depends on: another origin, another network."""
    return (name, model.file_hash, __version__, torch.__version__, *versions, *sorted(cpu_flags()))
