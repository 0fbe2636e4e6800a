"""What reuse gains: windows of a stream through whole networks, and through those that keep.

    python -m tests.benchmarks.reuse --network slow_r50 --stride 1

Every engine scores each new window twice, whole and with reuse, in turn; the ratios are of the
same window. Scores are compared with those of eager torch. The bar is that of slow_r50 on windows
one frame interval apart.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from streamcls.config import BackendName
from streamcls.errors import StreamclsError
from streamcls.frames import RgbClip
from streamcls.models.backends import Backend, TorchBackend, use_threads
from streamcls.models.backends.cache import NetworkCache, cache_folder
from streamcls.models.backends.choose import BUILDS
from streamcls.models.backends.reuse import ReuseBackend, reuse_backend
from streamcls.models.bundle import LoadedModel
from streamcls.models.golden import golden_windows
from streamcls.models.zoo import ZOO
from tests.benchmarks.models import random_model, wandering

BAR = 1.4
_COLD = 2  # windows until all that comes again was seen
_CONVERTED = {
    BackendName.OPENVINO_F32: BackendName.OPENVINO_F32_REUSE,
    BackendName.OPENVINO_BF16: BackendName.OPENVINO_BF16_REUSE,
}


def pairs_of(model: LoadedModel) -> list[tuple[Backend, Backend]]:
    """Each engine's backend that runs the whole network, and its backend that keeps."""
    cache, builds = NetworkCache(cache_folder()), BUILDS["cpu"]
    pairs: list[tuple[Backend, Backend]] = [(TorchBackend(model), reuse_backend(model))]
    for whole, keeps in _CONVERTED.items():
        try:
            pairs.append((builds[whole](model, cache), builds[keeps](model, cache)))
        except StreamclsError as error:
            print(f"{whole.value} is left out: {error}", file=sys.stderr)
    for pair in pairs:
        for one in pair:
            one.warm_up([1])
    return pairs


def timed(backend: Backend, clip: RgbClip) -> tuple[float, npt.NDArray[np.float32]]:
    """Milliseconds, and the scores."""
    before = time.perf_counter()
    scores = backend.scores([clip])
    return 1000 * (time.perf_counter() - before), scores[0]


def measure(model: LoadedModel, stride: int, rounds: int) -> list[dict[str, Any]]:
    """A row for each engine."""
    pairs = pairs_of(model)
    ways = {one.name: one for pair in pairs for one in pair}
    times: dict[str, list[float]] = {name: [] for name in ways}
    scores: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in ways}
    for number, window in enumerate(
        islice(golden_windows(model.clip_spec, stride), _COLD + rounds)
    ):
        for name in list(ways)[:: -1 if number % 2 else 1]:
            took_ms, row = timed(ways[name], window)
            scores[name].append(row)
            if number >= _COLD:
                times[name].append(took_ms)
    oracle = np.array(scores["torch"])
    return [
        _row(whole.name, keeps, times, np.array(scores[keeps.name]), oracle)
        for whole, keeps in pairs
    ]


def _row(
    whole: str,
    keeps: Backend,
    times: dict[str, list[float]],
    scores: npt.NDArray[np.float32],
    oracle: npt.NDArray[np.float32],
) -> dict[str, Any]:
    assert isinstance(keeps, ReuseBackend)
    ratios = [a / b for a, b in zip(times[whole], times[keeps.name], strict=True)]
    return {
        "engine": whole,
        "whole_ms": round(statistics.median(times[whole]), 1),
        "reuse_ms": round(statistics.median(times[keeps.name]), 1),
        "times_faster": round(statistics.median(ratios), 3),
        "kept_mb": round(keeps.cache.held / 1e6, 1),
        "top1": float((scores.argmax(axis=1) == oracle.argmax(axis=1)).mean()),
        "largest_difference": float(np.abs(scores - oracle).max()),
    }


def main() -> None:
    """Measure and print; end with 1 where the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--network", default="slow_r50", choices=["slow_r50", "c2d_r50"])
    parser.add_argument("--stride", type=int, default=1, help="frames between windows")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the JSON here too")
    asked = parser.parse_args()
    use_threads(asked.threads)
    with tempfile.TemporaryDirectory() as folder:
        seen = wandering(ZOO[asked.network].clip_spec, 12)
        model = random_model(asked.network, Path(folder), seen)
        rows = measure(model, asked.stride, asked.rounds)
    print("  ".join(f"{head:>18}" for head in rows[0]))
    for row in rows:
        print(
            "  ".join(
                f"{value:>18.6g}" if head != "engine" else f"{value:>18}"
                for head, value in row.items()
            )
        )
    best = max(row["times_faster"] for row in rows)
    held = asked.network != "slow_r50" or asked.stride != 1 or best >= BAR
    found = {
        "benchmark": "reuse",
        "network": asked.network,
        "stride_frames": asked.stride,
        "rounds": asked.rounds,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "rows": rows,
        "bar": BAR,
        "held": held,
    }
    print(json.dumps(found))
    if asked.out:
        asked.out.write_text(json.dumps(found) + "\n")
    sys.exit(not held)


if __name__ == "__main__":
    main()
