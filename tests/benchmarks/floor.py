"""How close the whole line comes to what it cannot do without: decoding, and the network.

    python -m tests.benchmarks.floor [--kind camera --kind recording] [--out FOLDER]

line    the daemon on all files at once at `pace = "fastest"`, its subscriber beside it
decode  the same files at once, every frame, one thread each, and nothing else
pixels  that, and the frames of the grid scaled to small RGB
model   as many windows as the line had, one after another, by the same backend and settings

The floor is decode + model, each with all cores to itself. `floor/line` compares times, `by CPU`
what was spent, so cores that idle do not count. Above 1 means that the line leaves out what bare
decoding does: pictures that no window needs.

`own` is the share of the line's CPU that neither `pixels` nor `model` accounts for: Python,
threads, queues, windows, decisions, publishing, and whatever the parts cost more beside each other
than alone. It means something only where nothing is skipped: its bar is on `camera` films alone.
"""

import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from streamcls.bench.child import write_config
from streamcls.transforms import ClipSpec
from tests.benchmarks.films import DEFAULT_CACHE, Cache, Film, filmed
from tests.benchmarks.line import ModelToml, play, windows_in
from tests.benchmarks.network import clip_spec, model_file
from tests.benchmarks.processes import Ran, run_together
from tests.benchmarks.report import Bar, Out, Rounds, finish, interleaved
from tests.serving import stream


def measure(
    films: Sequence[Film], model: Path, spec: ClipSpec, stride: float, rounds: int, toml: str
) -> dict[str, list[Ran]]:
    """Every way's time and CPU, a figure a round."""
    paths = [str(film.path) for film in films]
    count = sum(windows_in(film.seconds, spec, stride) for film in films)

    def line() -> Ran:
        played = play(films, model, spec=spec, stride_s=stride, model_toml=toml)
        return Ran(played.wall_s, played.cpu_s, [played.backend])

    with tempfile.TemporaryDirectory() as folder:
        config = write_config(
            Path(folder), stream("film", paths[0]), model, stride_s=stride, model_toml=toml
        )
        ways: dict[str, Callable[[], Ran]] = {
            "line": line,
            "decode": lambda: run_together("bare", [["decode", *paths]]),
            "pixels": lambda: run_together("bare", [["pixels", str(model), *paths]]),
            "model": lambda: run_together("bare", [["model", str(config), str(count), paths[0]]]),
        }
        return interleaved(ways, rounds)


def row_of(found: dict[str, list[Ran]]) -> dict[str, Any]:
    """Medians, and the medians of the rounds' ratios; more than one backend is told, too."""
    backends = {turn.results[0] for turn in found["line"]}
    backends |= {turn.results[0]["done"] for turn in found["model"]}
    turns = [dict(zip(found, runs, strict=True)) for runs in zip(*found.values(), strict=True)]
    return {
        "backend": " / ".join(sorted(backends)),
        **{f"{name} s": _median([run.wall_s for run in runs]) for name, runs in found.items()},
        **{f"{name} CPU s": _median([run.cpu_s for run in runs]) for name, runs in found.items()},
        "floor/line": _median(
            [(turn["decode"].wall_s + turn["model"].wall_s) / turn["line"].wall_s for turn in turns]
        ),
        "by CPU": _median(
            [(turn["decode"].cpu_s + turn["model"].cpu_s) / turn["line"].cpu_s for turn in turns]
        ),
        "own": _median(
            [
                1 - (turn["pixels"].cpu_s + turn["model"].cpu_s) / turn["line"].cpu_s
                for turn in turns
            ]
        ),
    }


def _median(values: list[float]) -> float:
    return statistics.median(values)


def main(
    out: Out = None,
    rounds: Rounds = 3,
    strides: Annotated[list[float], typer.Option("--stride")] = [1.0],  # noqa: B006
    kinds: Annotated[list[str], typer.Option("--kind")] = ["camera", "recording"],  # noqa: B006
    files: Annotated[int, typer.Option(help="How many, all at once.")] = 4,
    seconds: Annotated[int, typer.Option(help="Length of each file.")] = 15,
    size: Annotated[str, typer.Option(help="1080p or 720p.")] = "1080p",
    crop: Annotated[int, typer.Option(help="160 or 182 pixels, of X3D-S.")] = 182,
    model_toml: ModelToml = "",
    cache: Cache = DEFAULT_CACHE,
) -> None:
    """Film, measure in turn, and say whether the bars hold."""
    spec = clip_spec("x3d_s", crop)
    rows: list[dict[str, Any]] = []
    bars: list[Bar] = []
    for kind in kinds:
        film = filmed(cache, size, kind, seconds)
        model = model_file(cache, film, crop=crop)
        for stride in strides:
            row = row_of(measure([film] * files, model, spec, stride, rounds, model_toml))
            rows.append({"film": film.name, "stride_s": stride, **row})
            of = f"{film.name}, stride {stride:g} s"
            bars.append(Bar(f"floor over the line, {of}", row["floor/line"], 0.9))
            if kind == "camera":
                bars.append(Bar(f"own share of CPU, {of}", row["own"], 0.05, at_least=False))
    settings = {
        "rounds": rounds,
        "files": files,
        "seconds": seconds,
        "network": f"x3d_s, 13 x {crop}",
        "model_toml": model_toml,
    }
    finish("floor", out, settings=settings, rows=rows, bars=bars)


if __name__ == "__main__":
    typer.run(main)
