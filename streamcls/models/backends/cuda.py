"""A CUDA device kept busy: pictures there once, windows as indices, one wait for each batch.

    copying      new pictures --pinned--> ring
    computing    indices --> take from the ring --> network --> scores --pinned--> host

The next batch may begin before the scores of the last one are there. With `device="cpu"` all of it
runs but pinning, streams and graphs, and is tested so.
"""

import copy
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from streamcls.frames import RgbClip
from streamcls.models.backends.picture_ring import PictureRing, new_event, new_stream
from streamcls.models.backends.pixels import Scaled
from streamcls.models.bundle import LoadedModel
from streamcls.models.golden import golden_clip
from streamcls.models.manifest import Activation
from streamcls.models.scoring import activated
from streamcls.models.zoo import forward_clips
from streamcls.transforms import ClipSpec
from streamcls.transforms.clip import check_clip, pathway_frames

log = logging.getLogger("streamcls")

Precision = Literal["fp32", "fp16", "bf16"]
Scores = npt.NDArray[np.float32]

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_MAX_BATCH = 32
"""Clips run at once; more go in several runs."""
_RING_BYTES = 256 << 20
"""The ring's size, unless the largest batch needs more: 2500 pictures of 182 pixels."""
_DRY_RUNS = 3  # before a graph is recorded: libraries choose and allocate in them


class PixelsToScores(nn.Module):
    """A network with all that is around it; nothing in it comes from the host, or waits for it."""

    def __init__(
        self, network: nn.Module, spec: ClipSpec, activation: Activation, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.scaled = Scaled(spec, dtype)
        self.network = network
        self._activation = activation
        self._pathways = len(spec.pathways)
        for number, stride in enumerate(spec.pathways):
            self.register_buffer(f"pathway{number}", pathway_frames(spec.num_frames, stride))

    def forward(self, pixels: Tensor) -> Tensor:
        """uint8 (batch, time, crop, crop, 3) -> float32 probabilities (batch, labels)."""
        clips = self.scaled(pixels).permute(0, 4, 1, 2, 3)
        paths = [self.get_buffer(f"pathway{number}") for number in range(self._pathways)]
        inputs = [
            clips if len(indices) == clips.shape[2] else clips.index_select(2, indices)
            for indices in paths
        ]
        return activated(forward_clips(self.network, inputs), self._activation)


class CudaBackend:
    """A network on a CUDA device, in one arithmetic.

    Attributes:
        name: `cuda-fp32`, `cuda-fp16` or `cuda-bf16`.
        ring: the pictures on the device.
    """

    def __init__(
        self,
        model: LoadedModel,
        precision: Precision = "fp32",
        *,
        graphs: bool = True,
        ring_bytes: int = _RING_BYTES,
    ) -> None:
        """Bring the network into its arithmetic, and make room for pictures.

        Args:
            graphs: record the network's work once for each size of batch, and replay it.
            ring_bytes: what the ring may take, if that is enough for the largest batch.
        """
        spec, device, dtype = model.clip_spec, model.device, _DTYPES[precision]
        network = model.network
        if dtype is not torch.float32:
            network = copy.deepcopy(network).to(dtype)
        self.name = f"cuda-{precision}"
        self.ring = PictureRing(
            spec,
            device,
            max(_MAX_BATCH * spec.num_frames, ring_bytes // (3 * spec.crop * spec.crop)),
        )
        self._spec = spec
        self._device = device
        self._network = PixelsToScores(network, spec, model.manifest.activation, dtype)
        self._network.eval().requires_grad_(False).to(device)
        self._graphs = graphs and device.type == "cuda"
        self._runs: dict[int, _Run] = {}
        self._computing = new_stream(device) if device.type == "cuda" else None
        self._pool = torch.cuda.graph_pool_handle() if self._graphs else None

    @property
    def device(self) -> str:
        """Where it runs."""
        return str(self._device)

    def scores(self, clips: Sequence[RgbClip]) -> Scores:
        """As `Backend.scores`."""
        return self.begin(clips)()

    def begin(self, clips: Sequence[RgbClip]) -> Callable[[], Scores]:
        """Give the device a batch; what is returned waits for its scores.

        One batch may be begun before the scores of the last one are taken.
        """
        for clip in clips:
            check_clip(clip, self._spec)
        with torch.inference_mode(), self._stream():
            parts = [
                self._run(clips[at : at + _MAX_BATCH]) for at in range(0, len(clips), _MAX_BATCH)
            ]
            scores = torch.cat(parts) if len(parts) > 1 else parts[0]
            if self._computing is None:
                return lambda: np.asarray(scores.numpy())
            home = torch.empty(scores.shape, pin_memory=True)
            home.copy_(scores, non_blocking=True)
            done = new_event(blocking=True)  # the waiting thread sleeps
            done.record()

        def wait() -> Scores:
            done.synchronize()
            return np.asarray(home.numpy())

        return wait

    def warm_up(self, batch_sizes: Sequence[int]) -> None:
        """As `Backend.warm_up`: every size that a batch up to the largest is run in."""
        clip = golden_clip(self._spec)
        largest = min(max(batch_sizes), _MAX_BATCH)
        for size in sorted({_bucket(size) for size in range(1, largest + 1)}):
            self.scores([clip] * size)

    def _run(self, clips: Sequence[RgbClip]) -> Tensor:
        """Scores on the device; they are another tensor than those of the next run."""
        pictures = [picture for clip in clips for picture in clip]
        places = self.ring.place(pictures)
        run = self._run_of(_bucket(len(clips)))
        self.ring.take(places, run.pixels[: len(clips)].flatten(0, 1))
        return run()[: len(clips)].clone()

    def _run_of(self, size: int) -> "_Run":
        if size not in self._runs:
            shape = (size, self._spec.num_frames, self._spec.crop, self._spec.crop, 3)
            pixels = torch.zeros(shape, dtype=torch.uint8, device=self._device)
            self._runs[size] = _Run(self._network, pixels, self._pool)
        return self._runs[size]

    def _stream(self) -> AbstractContextManager[object]:
        return torch.cuda.stream(self._computing) if self._computing else nullcontext()


class _Run:
    """The network for one size of batch: its input always lies in the same place.

    Runs whose graphs share a pool of memory follow one another, each after the last one's scores
    were copied.
    """

    def __init__(self, network: nn.Module, pixels: Tensor, pool: Any) -> None:
        self.pixels = pixels
        self._network = network
        self._graph: torch.cuda.CUDAGraph | None = None
        self._scores: Tensor
        if pool:
            try:
                self._record(pool)
            except RuntimeError as error:
                log.info(
                    "batches of %s run without a CUDA graph: %s",
                    *(len(pixels), str(error).partition("\n")[0]),
                )

    def __call__(self) -> Tensor:
        """Scores of the whole input; overwritten by the next call."""
        if self._graph is None:
            scores: Tensor = self._network(self.pixels)
            return scores
        self._graph.replay()
        return self._scores

    def _record(self, pool: Any) -> None:
        for _ in range(_DRY_RUNS):
            self._network(self.pixels)
        torch.cuda.current_stream().synchronize()
        graph = torch.cuda.CUDAGraph()
        # Other threads may use CUDA meanwhile.
        with torch.cuda.graph(
            graph,
            pool=pool,
            stream=torch.cuda.current_stream(),
            capture_error_mode="thread_local",
        ):
            self._scores = self._network(self.pixels)
        self._graph = graph


def _bucket(count: int) -> int:
    """The size of batch that so many clips run in: the next power of two, at most the largest."""
    return min(_MAX_BATCH, 1 << (count - 1).bit_length())
