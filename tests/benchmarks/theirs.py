"""The way that one would write first: whole frames, pytorchvideo's transforms, an eager network."""

import importlib.abc
import sys
from collections import deque
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamcls.models.bundle import LoadedModel
from streamcls.transforms import ClipSpec


def let_pytorchvideo_import() -> None:
    """Have pytorchvideo's data and transforms import without torchvision, or with a new one."""
    sys.meta_path.append(_Torchvision())


def subsampled(video: Tensor, spec: ClipSpec) -> Tensor:
    """The spec's number of frames, evenly spread: of (..., time, height, width)."""
    from pytorchvideo.transforms.functional import uniform_temporal_subsample

    picked: Tensor = uniform_temporal_subsample(video, spec.num_frames)
    return picked


def pixels(video: Tensor, spec: ClipSpec) -> Tensor:
    """A network's input from (3, time, height, width), 0 to 255."""
    from pytorchvideo.transforms.functional import short_side_scale

    small = short_side_scale(video / 255, spec.short_side)
    top, left = ((side - spec.crop) // 2 for side in small.shape[-2:])
    square = small[..., top : top + spec.crop, left : left + spec.crop]
    mean, std = (torch.tensor(value).view(3, 1, 1, 1) for value in (spec.mean, spec.std))
    normalised: Tensor = (square - mean) / std
    return normalised


class PlainWindows:
    """The plain way to classify a stream: the last frames as they are, and a network on them.

    pytorchvideo's subsampling takes a window's frames as one tensor. `lean`: only those that it
    picks are stacked, which is the plain way at its best.
    """

    def __init__(self, model: LoadedModel, stride_s: float, fps: float, *, lean: bool) -> None:
        self._model = model
        self._lean = lean
        self._spec = model.clip_spec
        self._fps = fps
        self._length = round(float(self._spec.span_s) * fps) + 1
        self._stride = round(stride_s * fps)
        self._frames: deque[Tensor] = deque(maxlen=self._length)
        self._seen = 0
        places = torch.arange(self._length).view(self._length, 1, 1)
        self._picked = [int(place) for place in subsampled(places, self._spec).flatten()]
        self.scores: list[tuple[float, list[float]]] = []

    def push(self, rgb: npt.NDArray[np.uint8]) -> None:
        """Take the next frame, (height, width, 3)."""
        self._frames.append(torch.from_numpy(rgb))
        self._seen += 1
        since_first = self._seen - self._length
        if since_first >= 0 and since_first % self._stride == 0:
            self.scores.append((round((self._seen - 1) / self._fps, 6), self._classify()))

    @torch.inference_mode()
    def _classify(self) -> list[float]:
        if self._lean:
            clip = torch.stack([self._frames[place] for place in self._picked]).permute(3, 0, 1, 2)
        else:
            clip = subsampled(torch.stack([*self._frames]).permute(3, 0, 1, 2), self._spec)
        batch = pixels(clip.float(), self._spec)[None]
        scores: list[float] = self._model.network(batch).softmax(1)[0].tolist()
        return [round(score, 5) for score in scores]


class _Torchvision(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """A stand-in: pytorchvideo's data package imports it, and nothing of it is used here."""

    def find_spec(self, fullname: str, *_: Any) -> ModuleSpec | None:
        ours = fullname.partition(".")[0] == "torchvision"
        return ModuleSpec(fullname, self, is_package=True) if ours else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = ModuleType(spec.name)
        vars(module)["__getattr__"] = self._anything
        return module

    @staticmethod
    def _anything(name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing in it."""
