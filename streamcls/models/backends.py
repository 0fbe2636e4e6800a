"""What runs a network. The pipeline knows only `Backend`; a faster engine is one more class."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from streamcls.errors import ConfigError
from streamcls.frames import RgbClip
from streamcls.models.bundle import LoadedModel
from streamcls.models.golden import golden_clip
from streamcls.models.scoring import probabilities_of

_OWN_CHOICE = torch.get_num_threads()


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


def use_threads(count: int) -> None:
    """Limit the network to so many CPU threads, in the whole process; 0: torch's own choice."""
    torch.set_num_threads(count or _OWN_CHOICE)


def resolve_device(setting: str) -> torch.device:
    """The device that a setting asks for: `auto`, `cpu`, `cuda` or `cuda:N`.

    `auto` takes the first CUDA device that works, else the CPU.

    Raises:
        ConfigError: the word is unknown, or that CUDA device is not there.
    """
    available = torch.cuda.is_available()
    if setting == "auto":
        return torch.device("cuda:0" if available else "cpu")
    if setting == "cpu":
        return torch.device("cpu")
    kind, _, index = setting.partition(":")
    if kind != "cuda" or not (index.isdecimal() or setting == "cuda"):
        raise ConfigError(f"device {setting!r} is unknown; use auto, cpu, cuda or cuda:N")
    if not available:
        reason = "this torch is built without CUDA" if not torch.version.cuda else "none is visible"
        raise ConfigError(f"device {setting!r} is not there: {reason}; use auto or cpu")
    count = torch.cuda.device_count()
    if int(index or 0) >= count:
        raise ConfigError(f"device {setting!r} is not there: {count} CUDA device(s), from cuda:0")
    return torch.device("cuda", int(index or 0))
