"""Eager torch: the reference that every other engine is held to."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from streamcls.frames import RgbClip
from streamcls.models.bundle import LoadedModel
from streamcls.models.golden import golden_clip
from streamcls.models.scoring import probabilities_of


class TorchBackend:
    """Eager torch on a CPU or a CUDA device: the reference that other engines are held to."""

    name = "torch"

    def __init__(self, model: LoadedModel) -> None:
        self._model = model

    @property
    def device(self) -> str:
        """Where the network's weights lie."""
        return str(self._model.device)

    def scores(self, clips: Sequence[RgbClip]) -> npt.NDArray[np.float32]:
        """As `Backend.scores`."""
        model = self._model
        scores = probabilities_of(
            model.network, clips, model.clip_spec, model.device, model.manifest.activation
        )
        return np.asarray(scores.cpu().numpy(), np.float32)

    def warm_up(self, batch_sizes: Sequence[int]) -> None:
        """As `Backend.warm_up`."""
        clip = golden_clip(self._model.clip_spec)
        for size in batch_sizes:
            self.scores([clip] * size)
