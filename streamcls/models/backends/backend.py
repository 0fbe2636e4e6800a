"""What the pipeline knows of whatever runs a network."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from streamcls.frames import RgbClip


class Backend(Protocol):
    """Scores clips, one call at a time, from any one thread."""

    @property
    def name(self) -> str:
        """The engine, such as `torch`."""

    @property
    def device(self) -> str:
        """Where it runs: `cpu`, `cuda:0`."""

    def scores(self, clips: Sequence[RgbClip]) -> npt.NDArray[np.float32]:
        """Score a batch; no clip's scores depend on its neighbours beyond float error.

        Args:
            clips: at least one, each uint8 (time, height, width, 3) at the model's short side.

        Returns:
            Probabilities by the model file's activation, float32, shape (batch, labels), on the
            host.
        """

    def warm_up(self, batch_sizes: Sequence[int]) -> None:
        """Run each batch size once, so that no live window pays for a first run."""
