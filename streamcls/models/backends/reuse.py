"""Exact reuse: what a network makes of single pictures is made once, not in every window."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from streamcls.errors import ModelError
from streamcls.frames import RgbClip
from streamcls.models.backends.framewise import SplitNetwork, split_network
from streamcls.models.backends.remembered import Key, Remembered, Unit, key_of, units_of
from streamcls.models.bundle import LoadedModel
from streamcls.models.golden import golden_clip
from streamcls.models.scoring import activated
from streamcls.transforms.clip import check_clip, gather_pictures

Run = Callable[[Tensor], Tensor]
"""Part of a network, ready to run."""

Compile = Callable[[nn.Module, Tensor], Run]
"""An engine: makes a part of a network fast. It is given a batch of one, and takes any."""

DEFAULT_LIMIT_BYTES = 1 << 30


def can_reuse(model: LoadedModel, stride: int) -> bool:
    """Whether windows, so many frames apart, share anything that the network could keep."""
    spec = model.clip_spec
    return stride < spec.num_frames and split_network(model.network, spec) is not None


def reuse_backend(model: LoadedModel) -> "ReuseBackend":
    """The network in two parts, on torch as it is.

    Raises:
        ModelError: it cannot be split.
    """
    return ReuseBackend(model, split_of(model))


def split_of(model: LoadedModel) -> SplitNetwork:
    """The network in two parts.

    Raises:
        ModelError: it cannot be split.
    """
    split = split_network(model.network, model.clip_spec)
    if split is None:
        raise ModelError(
            f"{model.manifest.name} keeps nothing from window to window: its first layers look at"
            " several frames"
        )
    return split


def eager(part: nn.Module, example: Tensor) -> Run:
    """The engine that takes a part as it is; a CPU is faster one by one than by batches."""
    if example.device.type != "cpu":
        return part
    return lambda batch: torch.cat([part(one) for one in torch.split(batch, 1)])


class ReuseBackend:
    """A split network, and the features of the pictures that windows to come may show again.

    Scores are those of the whole network within float rounding: nothing is left out, only not done
    twice. Windows whose pictures were never seen cost what they would cost without.

    Attributes:
        cache: the features; its counts say how much was reused, and what it holds in bytes.
    """

    def __init__(
        self,
        model: LoadedModel,
        split: SplitNetwork,
        *,
        engine: str = "torch",
        compile_: Compile = eager,
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
    ) -> None:
        """Compile both parts.

        Args:
            engine: the compiler's name; the backend's is made from it.
            limit_bytes: the most that features may take.
        """
        self.name = f"{engine}-reuse"
        self.cache = Remembered[Tensor](limit_bytes, size_of=lambda tensor: tensor.nbytes)
        self._model = model
        self._frames = split.frames
        with torch.inference_mode():
            units = units_of(golden_clip(model.clip_spec), split.frames)
            pictures = self._pixels(units[:1])
            self._per_unit = compile_(split.per_unit, pictures)
            features = self._per_unit(pictures).expand(len(units), -1, -1, -1)
            self._rest = compile_(split.rest, features[None].contiguous())

    @property
    def device(self) -> str:
        """Where the network's weights lie, and the features."""
        return str(self._model.device)

    @torch.inference_mode()
    def scores(self, clips: Sequence[RgbClip]) -> npt.NDArray[np.float32]:
        """As `Backend.scores`."""
        for clip in clips:
            check_clip(clip, self._model.clip_spec)
        # Rows of an array are views, new ones each time: they live here until all is done.
        rows = [units_of(clip, self._frames) for clip in clips]
        units = [unit for row in rows for unit in row]
        features = self._features(units)
        shown = torch.stack([features[key_of(unit)] for unit in units])
        logits = self._rest(shown.reshape(len(rows), -1, *shown.shape[1:]))
        return np.asarray(activated(logits, self._model.manifest.activation).cpu().numpy())

    def warm_up(self, batch_sizes: Sequence[int]) -> None:
        """As `Backend.warm_up`."""
        clip = golden_clip(self._model.clip_spec)
        for size in batch_sizes:
            self.scores([clip] * size)

    def _features(self, units: list[Unit]) -> dict[Key, Tensor]:
        """Features of each unit: those that are kept, and the others made now."""
        found: dict[Key, Tensor] = {}
        missing: dict[Key, Unit] = {}
        for unit in units:
            key = key_of(unit)
            if key in found or key in missing:
                continue
            features = self.cache.get(unit)
            if features is None:
                missing[key] = unit
            else:
                found[key] = features
        if missing:
            made = self._per_unit(self._pixels([*missing.values()]))
            for (key, unit), features in zip(missing.items(), made, strict=True):
                found[key] = features.clone()  # a view would keep the whole batch
                self.cache.put(unit, found[key])
        return found

    def _pixels(self, units: Sequence[Unit]) -> Tensor:
        """All pictures of the units, uint8 (units, frames, crop, crop, 3)."""
        pictures = [picture for unit in units for picture in unit]
        batch = gather_pictures(pictures, self._model.clip_spec, self._model.device)
        return batch.reshape(len(units), -1, *batch.shape[1:])
