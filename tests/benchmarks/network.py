"""A model file to measure with: a network of the zoo that tells the parts of a film apart.

Its layers have random weights, normalised by the film's clips; only the last is fitted, by ridge
regression. Random as they come, weights would give every clip the same label, and whether two ways
of running them agree would show nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from streamcls.finetune.clips.reader import read_frames
from streamcls.frames import RgbClip, RgbImage
from streamcls.models.backends import TorchBackend
from streamcls.models.bundle import load_bundle, write_bundle
from streamcls.models.heads import find_head
from streamcls.models.scoring import logits_of
from streamcls.models.zoo import ZOO, build_network
from streamcls.transforms import ClipSpec, WindowPlan, to_small_rgb
from streamcls.transforms.pixels import scaled_size
from tests.benchmarks.bare import grid_pictures
from tests.benchmarks.films import Film

CROPS = (160, 182)
PARTS = 6
"""Labels: the film's parts, one after another."""

_CPU = torch.device("cpu")
_CLIPS = 18
_RIDGE = 0.1
_EDITION = 2  # of the weights


def clip_spec(architecture: str, crop: int) -> ClipSpec:
    """The zoo's own clips, at another size."""
    return msgspec.structs.replace(ZOO[architecture].clip_spec, short_side=crop, crop=crop)


def model_file(cache: Path, film: Film, *, architecture: str = "x3d_s", crop: int = 182) -> Path:
    """A model file of the network, from the cache where it is there."""
    spec = clip_spec(architecture, crop)
    kept_as = f"{architecture}-{crop}-{film.seconds:g}s-{spec.hash()[:8]}-{_EDITION}"
    path = cache / f"{kept_as}.safetensors"
    if path.exists():
        return path
    print(f"fitting {path.name}", flush=True)
    torch.manual_seed(0)
    network = build_network(architecture, num_classes=PARTS)
    with _one_thread():
        _fit(network, film, spec)
    write_bundle(
        path,
        network=network,
        name=path.stem,
        architecture=architecture,
        arguments={"num_classes": PARTS},
        labels=[f"part-{index}" for index in range(PARTS)],
        clip_spec=spec,
    )
    return path


def clips_of(
    film: Film, spec: ClipSpec, count: int, convert: Callable[..., RgbImage] = to_small_rgb
) -> list[RgbClip]:
    """Clips spread evenly over a film, each uint8 (time, height, width, 3)."""
    last_s = Fraction(film.seconds) - spec.span_s - Fraction(1, 10)
    places = [last_s * index / max(1, count - 1) for index in range(count)]
    return [
        np.stack([convert(frame, spec) for frame in read_frames(film.path, place_s, spec)])
        for place_s in places
    ]


def oracle_scores(film: Film, path: Path, stride_s: float) -> dict[float, list[float]]:
    """What eager torch says of each window of a film, by the window's end, media seconds."""
    model = load_bundle(path)
    backend = TorchBackend(model)
    plan = WindowPlan.of(model.clip_spec, stride_s)
    pictures = list(grid_pictures(model.clip_spec, film.path, plan.step_s))
    scores: dict[float, list[float]] = {}
    with _one_thread():
        for start in range(0, len(pictures) - plan.span_steps, plan.stride_steps):
            clip = np.stack([pictures[instant] for instant in plan.instants(start)])
            end_s = round(float((start + plan.span_steps) * plan.step_s), 6)
            scores[end_s] = backend.scores([clip])[0].tolist()
    return scores


@contextmanager
def _one_thread() -> Iterator[None]:
    """Eager torch on several threads comes almost to a stop where a neighbour is busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@torch.no_grad()
def _fit(network: nn.Module, film: Film, spec: ClipSpec) -> None:
    """Normalise the layers and fit the last; clips scaled without a filter count as the others."""
    clips = [*clips_of(film, spec, _CLIPS), *clips_of(film, spec, _CLIPS, _unfiltered)]
    batches = [clips[first :: len(clips) // 6] for first in range(len(clips) // 6)]
    for norm in network.modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm):
            norm.momentum = None  # the mean of all that it sees
    network.train()
    for batch in batches:
        logits_of(network, batch, spec, _CPU)
    network.eval()
    head, seen = find_head(network), list[Tensor]()
    watch = head.register_forward_hook(lambda _head, inputs, _out: seen.append(inputs[0]))
    for clip in clips:
        logits_of(network, [clip], spec, _CPU)
    watch.remove()
    features = torch.stack([one.reshape(-1, head.in_features).mean(0) for one in seen])
    parts = torch.arange(_CLIPS).mul(PARTS).div(_CLIPS, rounding_mode="floor").repeat(2)
    wanted = nn.functional.one_hot(parts, PARTS).float() * 8 - 4
    mean, centred = features.mean(0), features - features.mean(0)
    scale = centred.square().sum(1).mean()
    kernel = centred @ centred.T + _RIDGE * scale * torch.eye(len(clips))
    head.weight.copy_((centred.T @ torch.linalg.solve(kernel, wanted - wanted.mean(0))).T)
    head.bias.copy_(wanted.mean(0) - head.weight @ mean)


def _unfiltered(frame: av.VideoFrame, spec: ClipSpec) -> RgbImage:
    size = scaled_size(frame.width, frame.height, spec.short_side)
    return np.asarray(cv2.resize(frame.to_ndarray(format="rgb24"), size), np.uint8)
