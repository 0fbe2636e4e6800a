"""Seconds of video served per second, against the plain loop and Roboflow's pipeline.

    python -m tests.benchmarks.capacity [--roboflow PYTHON] [--out FOLDER]

The same files, windows, network and cores, one run, the ways in turn; medians of the rounds.

line      the daemon, with a subscriber, on all files at once at `pace = "fastest"`
plain     PyAV, every frame to full RGB, pytorchvideo's own transforms, eager torch: a process a
          core with one thread each, among which the files are shared
lean      the same, but only the frames that subsampling picks are stacked
roboflow  its InferencePipeline on all files at once, with a handler that does as `lean`

Start-up, loading and warming up are not measured, of none. `top-1` is the share of windows whose
best label is that of eager torch on the same pixels, `diff` the largest difference of one of the
line's best scores, and `labels` says between how many best labels the network chose at all.
`top-1 plain` is against the plain loop, whose pixels are others: it scales without a filter.
"""

import os
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from streamcls.transforms import ClipSpec
from tests.benchmarks.films import DEFAULT_CACHE, KINDS, SIZES, Cache, Film, filmed
from tests.benchmarks.line import ModelToml, Played, play
from tests.benchmarks.network import clip_spec, model_file, oracle_scores
from tests.benchmarks.processes import run_together
from tests.benchmarks.report import Bar, Out, Rounds, finish, interleaved, ratio

BARS = {1.0: 6.0, 0.2: 9.0}
"""How many times the plain loop's capacity, by stride, at 1080p."""
ROBOFLOW_BARS = {1.0: 5.0}
"""Likewise over Roboflow's; it is measured at no other stride."""


@dataclass
class Run:
    """One way's run: video seconds per second and per CPU second, and the scores of each window."""

    rate: float
    per_cpu_s: float
    scores: dict[tuple[int, float], dict[int, float]] = field(default_factory=dict)
    backend: str = ""


def line(films: Sequence[Film], model: Path, spec: ClipSpec, stride: float, toml: str) -> Run:
    """The daemon."""
    played: Played = play(films, model, spec=spec, stride_s=stride, model_toml=toml)
    scores = {
        (int(stream.removeprefix("film")), end_s): {one.index: one.score for one in data.top}
        for (stream, end_s), data in played.predictions.items()
    }
    seconds = sum(film.seconds for film in films)
    return Run(seconds / played.wall_s, seconds / played.cpu_s, scores, played.backend)


def plain(films: Sequence[Film], model: Path, stride: float, way: str) -> Run:
    """A process a core, each with its share of the files."""
    cores = min(len(os.sched_getaffinity(0)), len(films))
    shares = [list(range(len(films)))[core::cores] for core in range(cores)]
    return _others("plain", shares, films, [str(model), str(stride), "1", way], sys.executable)


def roboflow(films: Sequence[Film], model: Path, stride: float, python: str) -> Run:
    """One process, all files at once, as many threads as it likes."""
    cores = str(len(os.sched_getaffinity(0)))
    arguments = [str(model), str(stride), cores]
    return _others("roboflow", [list(range(len(films)))], films, arguments, python)


def _others(
    module: str, shares: list[list[int]], films: Sequence[Film], arguments: list[str], python: str
) -> Run:
    videos = [[str(films[index].path) for index in share] for share in shares]
    ran = run_together(module, [[*arguments, *files] for files in videos], python=python)
    scores = {
        (index, end_s): dict(enumerate(row))
        for share, result in zip(shares, ran.results, strict=True)
        for index, windows in zip(share, result, strict=True)
        for end_s, row in windows
    }
    seconds = sum(film.seconds for film in films)
    return Run(seconds / ran.wall_s, seconds / ran.cpu_s, scores)


Scores = Mapping[tuple[int, float], Mapping[int, float]]


def agreement(ours: Scores, theirs: Scores) -> tuple[float, float]:
    """The share of windows of the same best label, and the largest difference of our scores."""
    if ours.keys() != theirs.keys():
        raise RuntimeError(f"{len(ours)} windows against {len(theirs)}: they are not the same")
    same = [_best(row) == _best(theirs[key]) for key, row in ours.items()]
    differences = [
        abs(score - theirs[key][label]) for key, row in ours.items() for label, score in row.items()
    ]
    return statistics.mean(same), max(differences)


def _best(scores: Mapping[int, float]) -> int:
    return max(scores, key=scores.__getitem__)


def main(
    out: Out = None,
    rounds: Rounds = 3,
    strides: Annotated[list[float], typer.Option("--stride")] = [1.0, 0.2],  # noqa: B006
    kinds: Annotated[list[str], typer.Option("--kind", help="camera, recording")] = ["camera"],  # noqa: B006
    files: Annotated[int, typer.Option(help="How many, all at once.")] = 4,
    seconds: Annotated[int, typer.Option(help="Length of each file.")] = 15,
    size: Annotated[str, typer.Option(help="1080p or 720p.")] = "1080p",
    crop: Annotated[int, typer.Option(help="160 or 182 pixels, of X3D-S.")] = 182,
    roboflow_python: Annotated[
        str, typer.Option("--roboflow", help="A Python that has the package `inference`.")
    ] = "",
    model_toml: ModelToml = "",
    cache: Cache = DEFAULT_CACHE,
) -> None:
    """Film, measure in turn, and say whether the bars hold."""
    assert size in SIZES
    assert KINDS.keys() >= set(kinds)
    rows: list[dict[str, Any]] = []
    bars: list[Bar] = []
    spec = clip_spec("x3d_s", crop)
    for kind in kinds:
        film = filmed(cache, size, kind, seconds)
        model = model_file(cache, film, crop=crop)
        for stride in strides:
            row, more = measure(
                [film] * files, model, spec, stride, rounds, model_toml, roboflow_python
            )
            rows.append({"film": film.name, "stride_s": stride, **row})
            bars += more
    settings = {
        "rounds": rounds,
        "files": files,
        "seconds": seconds,
        "network": f"x3d_s, 13 x {crop}",
        "model_toml": model_toml,
        "mbit_per_s": film.mbit_per_s,
    }
    finish("capacity", out, settings=settings, rows=rows, bars=bars)


def measure(
    films: Sequence[Film],
    model: Path,
    spec: ClipSpec,
    stride: float,
    rounds: int,
    toml: str,
    roboflow_python: str,
) -> tuple[dict[str, Any], list[Bar]]:
    """All ways at one stride: a row of the table, and its bars."""
    ways: dict[str, Callable[[], Run]] = {
        "line": lambda: line(films, model, spec, stride, toml),
        "plain": lambda: plain(films, model, stride, "plain"),
        "lean": lambda: plain(films, model, stride, "lean"),
    }
    if roboflow_python and stride in ROBOFLOW_BARS:
        ways["roboflow"] = lambda: roboflow(films, model, stride, roboflow_python)
    found = interleaved(ways, rounds)
    rates = {name: [run.rate for run in runs] for name, runs in found.items()}
    gain = ratio(rates["line"], rates["plain"])
    row: dict[str, Any] = {"backend": found["line"][0].backend}
    row |= {f"{name} s/s": statistics.median(each) for name, each in rates.items()}
    row["over plain"] = gain
    row["over lean"] = ratio(rates["line"], rates["lean"])
    per_cpu_s = {name: [run.per_cpu_s for run in runs] for name, runs in found.items()}
    row["by CPU"] = ratio(per_cpu_s["line"], per_cpu_s["plain"])
    of = f"{films[0].name}, stride {stride:g} s"
    bars = []
    if stride in BARS:
        bars.append(Bar(f"capacity over the plain loop, {of}", gain, BARS[stride]))
    if "roboflow" in rates:
        gain = row["over roboflow"] = ratio(rates["line"], rates["roboflow"])
        bars.append(Bar(f"capacity over Roboflow, {of}", gain, ROBOFLOW_BARS[stride]))
    return row | _correctness(films, model, stride, found["line"][0], found["plain"][0]), bars


def _correctness(
    films: Sequence[Film], model: Path, stride: float, ours: Run, theirs: Run
) -> dict[str, Any]:
    of_film = oracle_scores(films[0], model, stride)
    oracle = {
        (index, end_s): dict(enumerate(row))
        for index in range(len(films))
        for end_s, row in of_film.items()
    }
    top1, difference = agreement(ours.scores, oracle)
    return {
        "top-1": top1,
        "diff": difference,
        "labels": len({_best(row) for row in oracle.values()}),
        "windows": len(oracle),
        "top-1 plain": agreement(ours.scores, theirs.scores)[0],
    }


if __name__ == "__main__":
    typer.run(main)
