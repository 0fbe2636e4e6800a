"""Each backend against eager torch: how much faster, how near to its scores, how near to the limit.

python -m tests.benchmarks.models

Networks of the zoo at their own size, with random weights whose batch norms have seen clips and
whose scores differ from clip to clip. All backends score the same clips in turn, as the daemon has
them do: gathered, normalised, through the network and the softmax; one clip at a time, and several
at once, as they wait where cameras are many. Eager torch is the network as pytorchvideo builds it,
on as many threads. Between them the machine multiplies matrices, 1024 x 1024, in float32 and in
bf16: the rate to hold a network's against.
"""

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from streamcls.config import BackendName
from streamcls.errors import StreamclsError
from streamcls.frames import RgbClip
from streamcls.models.backends import Backend, TorchBackend, use_threads
from streamcls.models.backends.cache import NetworkCache, cache_folder
from streamcls.models.backends.choose import BUILDS
from streamcls.models.backends.openvino import _core
from streamcls.models.bundle import LoadedModel, load_bundle, write_bundle
from streamcls.models.heads import find_head
from streamcls.models.scoring import logits_of
from streamcls.models.zoo import ZOO, build_network, num_outputs
from streamcls.transforms import ClipSpec

DEFAULT = ("x3d_xs", "x3d_s", "x3d_m")
OTHERS = (BackendName.OPENVINO_F32, BackendName.OPENVINO_BF16, BackendName.INDUCTOR)
_PHOTOS = Path(__file__).parent.parent / "data" / "photos"
_CPU = torch.device("cpu")
_SIDE = 1024


@dataclass(frozen=True)
class Result:
    """One backend on one network.

    Attributes:
        at_once: clips of one call.
        clip_ms: median time of a clip.
        times_faster: median over the rounds of eager torch's time over this one's.
        top1: share of clips whose best label is eager torch's.
        largest_difference: of any score of any clip from eager torch's.
        gflops: multiplications and additions a second, 10^9.
        of_gemm: that over the same run's rate of matrix products in the same arithmetic.
    """

    network: str
    backend: str
    at_once: int
    clip_ms: float
    times_faster: float
    top1: float
    largest_difference: float
    gflops: float
    of_gemm: float


def wandering(spec: ClipSpec, count: int) -> list[RgbClip]:
    """Clips over photographs: a window that wanders, at several scales and speeds."""
    photos = [np.asarray(cv2.imread(str(path)), np.uint8) for path in sorted(_PHOTOS.glob("*.jpg"))]
    rng = np.random.default_rng(0)
    clips: list[RgbClip] = []
    for number in range(count):
        photo = photos[number % len(photos)][:, :, :: rng.choice([-1, 1])]
        side = int(rng.uniform(0.3, 0.8) * min(photo.shape[:2]))
        start, step = rng.uniform(0, 1, 2), rng.normal(0, 0.03, 2)
        frames = []
        for t in range(spec.num_frames):
            place = np.clip(start + t * step, 0, 1) * (np.array(photo.shape[:2]) - side)
            top, left = place.astype(int)
            view = np.ascontiguousarray(photo[top : top + side, left : left + side])
            frames.append(cv2.resize(view, (spec.crop, spec.crop), interpolation=cv2.INTER_AREA))
        clips.append(np.asarray(np.stack(frames), np.uint8))
    return clips


def random_model(name: str, folder: Path, clips: list[RgbClip]) -> LoadedModel:
    """A model file with random weights that tell clips apart, loaded."""
    torch.manual_seed(0)
    network, spec = build_network(name), ZOO[name].clip_spec
    _let_see(network, spec, clips[:4])
    head = find_head(network.eval())
    with torch.inference_mode():
        logits = torch.cat([logits_of(network, [clip], spec, _CPU) for clip in clips[:12]])
        spread = (logits - logits.mean(0)).std()
        head.weight *= 3 / spread
        head.bias.copy_((head.bias - logits.mean(0)) * 3 / spread)
    path = folder / f"{name}.safetensors"
    labels = [f"label {index}" for index in range(num_outputs(network))]
    write_bundle(
        path,
        network=network,
        name=name,
        architecture=name,
        arguments={},
        labels=labels,
        clip_spec=spec,
    )
    return load_bundle(path)


def _let_see(network: nn.Module, spec: ClipSpec, clips: list[RgbClip]) -> None:
    """Let batch norms take mean and variance from clips, as training would have."""
    for module in network.eval().modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            module.train()
            module.momentum = None  # the plain mean over what they see
    with torch.inference_mode():
        for clip in clips:
            logits_of(network, [clip], spec, _CPU)


def backends(model: LoadedModel, names: Sequence[BackendName]) -> list[Backend]:
    """Eager torch, and those of the others that can be had."""
    cache = NetworkCache(cache_folder())
    made: list[Backend] = [TorchBackend(model)]
    for name in names:
        try:
            made.append(BUILDS["cpu"][name](model, cache))
        except StreamclsError as error:
            print(f"{name.value} is left out: {error}", file=sys.stderr)
    return made


def measure(name: str, names: Sequence[BackendName], asked: "Asked") -> list[Result]:
    """Score all clips for agreement, then time round by round, all in turn on the same clips."""
    views = wandering(ZOO[name].clip_spec, asked.clips)
    with tempfile.TemporaryDirectory() as folder:
        tried = backends(random_model(name, Path(folder), views), names)
    scores = {one.name: np.concatenate([one.scores([clip]) for clip in views]) for one in tried}
    results = []
    for at_once in (1, asked.at_once):
        times, rates = _timed_in_turn(tried, views, at_once, asked.rounds)
        for one in tried:
            clip_s = statistics.median(times[one.name]) / at_once
            pairs = zip(times["torch"], times[one.name], strict=True)
            gflops = 2 * (ZOO[name].gflops or 0) / clip_s
            results.append(
                Result(
                    network=name,
                    backend=one.name,
                    at_once=at_once,
                    clip_ms=1000 * clip_s,
                    times_faster=statistics.median(eager / other for eager, other in pairs),
                    top1=_agreement(scores[one.name], scores["torch"]),
                    largest_difference=float(np.abs(scores[one.name] - scores["torch"]).max()),
                    gflops=gflops,
                    of_gemm=gflops / rates["bf16" if one.name.endswith("bf16") else "f32"],
                )
            )
    return results


def _timed_in_turn(
    tried: Sequence[Backend], views: Sequence[RgbClip], at_once: int, rounds: int
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Seconds of each backend's calls, and the median rates of matrix products."""
    times: dict[str, list[float]] = {one.name: [] for one in tried}
    products = _products()
    rates: dict[str, list[float]] = {kind: [] for kind in products}
    for one in tried:
        one.warm_up([at_once])
    for number in range(rounds):
        for kind, product in products.items():
            rates[kind].append(product())
        batch = [views[(number + index) % len(views)] for index in range(at_once)]
        # Each second round backwards: what goes first finds the caches otherwise.
        for one in tried[:: -1 if number % 2 else 1]:
            times[one.name].append(_timed(partial(one.scores, batch)))
    return times, {kind: statistics.median(found) for kind, found in rates.items()}


def _agreement(ours: npt.NDArray[np.float32], theirs: npt.NDArray[np.float32]) -> float:
    return float((ours.argmax(axis=1) == theirs.argmax(axis=1)).mean())


def _timed(work: Callable[[], object]) -> float:
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


def _products() -> dict[str, Callable[[], float]]:
    """For each arithmetic, what measures 10^9 multiplications and additions a second.

    By OpenVINO: in float32 torch's own libraries reach less than half of it on some processors.
    """
    from openvino import Model, opset13

    ones = np.ones((_SIDE, _SIDE), np.float32)
    left = opset13.parameter([_SIDE, _SIDE], np.float32)
    model = Model([opset13.matmul(left, opset13.constant(ones), False, False)], [left])

    def rate(request: Any) -> float:
        work = partial(request.infer, [ones], share_inputs=True, share_outputs=True)
        return 2e-9 * _SIDE**3 / min(_timed(work) for _ in range(4))

    def measured(kind: str) -> Callable[[], float]:
        settings = {"INFERENCE_PRECISION_HINT": kind, "NUM_STREAMS": 1}
        settings |= {"INFERENCE_NUM_THREADS": torch.get_num_threads()}
        return partial(rate, _core().compile_model(model, "CPU", settings).create_infer_request())

    return {kind: measured(kind) for kind in ("f32", "bf16")}


def machine() -> dict[str, object]:
    """What it was measured on."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in info if "model name" in line), "")
    return {
        "processor": model or platform.processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def table(results: list[Result]) -> str:
    """For a person."""
    heads = ("ms/clip", "faster", "top-1", "off by", "GFLOP/s", "of GEMM")
    lines = [f"{'network':<12}{'backend':<15}{'at once':>7}" + "".join(f"{h:>9}" for h in heads)]
    lines += [
        f"{one.network:<12}{one.backend:<15}{one.at_once:>7}{one.clip_ms:>9.1f}"
        f"{one.times_faster:>8.2f}x{one.top1:>9.2f}{one.largest_difference:>9.1e}"
        f"{one.gflops:>9.0f}{one.of_gemm:>9.0%}"
        for one in results
    ]
    return "\n".join(lines)


@dataclass(frozen=True)
class Asked:
    """What the command line says."""

    clips: int
    rounds: int
    at_once: int


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--networks", nargs="+", default=DEFAULT, choices=ZOO, metavar="NAME")
    parser.add_argument("--backends", nargs="+", default=OTHERS, type=BackendName, metavar="NAME")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--at-once", type=int, default=4, help="clips of the calls with several")
    parser.add_argument("--threads", type=int, default=0, help="0: torch's own choice")
    parser.add_argument("--out", type=Path, help="a JSON file to write")
    asked = parser.parse_args()
    use_threads(asked.threads)
    results: list[Result] = []
    for name in asked.networks:
        results += measure(name, asked.backends, Asked(asked.clips, asked.rounds, asked.at_once))
    found = {"machine": machine(), "results": [asdict(one) for one in results]}
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=1) + "\n")
    print(*(f"{key}: {value}" for key, value in machine().items()), sep="; ")
    print(table(results))


if __name__ == "__main__":
    main()
