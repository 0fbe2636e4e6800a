"""Memory for one more live stream, and how much of it a bare decoder takes.

    python -m tests.benchmarks.memory [--streams 1 --streams 4 --streams 8] [--out FOLDER]

Each number of streams has a fresh daemon that plays films at their own pace; `uss` is what would be
free if it ended, `pss` adds its part of what processes share. `decoder` is a process with as many
bare decoders at the same pace. A daemon warms up for the largest batch that its streams can fill,
so what a batch takes is in it. The slope, MB a stream, is the line fitted through the numbers.
"""

import math
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from streamcls.bench.child import daemon, tables
from streamcls.bench.knee import slope
from streamcls.bench.processes import memory_mb
from streamcls.bench.watching import Watcher
from tests.benchmarks.films import DEFAULT_CACHE, Cache, Film, filmed, lasting
from tests.benchmarks.line import ModelToml
from tests.benchmarks.network import model_file
from tests.benchmarks.report import Bar, Out, finish

_LOOKS = 5


def of_line(film: Film, model: Path, streams: int, settle_s: float, toml: str) -> dict[str, float]:
    """The daemon with so many live streams, once each has given windows for a while."""
    names = [f"cam{index}" for index in range(streams)]
    with daemon(tables(names, film.path), model, stride_s=1.0, model_toml=toml) as child:
        watcher = Watcher(child.receive, live=False)
        for name in names:
            watcher.expect(name)
        watcher.until_flowing(names)
        watcher.listen(settle_s)
        silent = [name for name in names if not watcher.cameras[name].seen]
        if silent:
            raise RuntimeError(f"no window of {', '.join(silent)}")
        return _looked_at(child.process.pid)


def of_decoders(film: Film, streams: int, settle_s: float) -> dict[str, float]:
    """A process that only decodes."""
    command = [sys.executable, "-m", "tests.benchmarks.bare", "hold"]
    process = subprocess.Popen(
        command + [str(film.path)] * streams,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdin
        assert process.stdout
        process.stdout.readline()
        process.stdin.write("go\n")
        process.stdin.flush()
        time.sleep(settle_s)
        return _looked_at(process.pid)
    finally:
        process.kill()
        process.communicate()


def _looked_at(process: int) -> dict[str, float]:
    looks = []
    for _ in range(_LOOKS):
        looks.append(memory_mb(process))
        time.sleep(0.3)
    return {name: statistics.median(look[name] for look in looks) for name in looks[0]}


def main(
    out: Out = None,
    streams: Annotated[list[int], typer.Option(help="Numbers to try.")] = [1, 4, 8],  # noqa: B006
    settle: Annotated[float, typer.Option(help="Seconds until memory is looked at.")] = 15,
    size: Annotated[str, typer.Option(help="1080p or 720p.")] = "1080p",
    kind: Annotated[str, typer.Option(help="camera or recording.")] = "camera",
    crop: Annotated[int, typer.Option(help="160 or 182 pixels, of X3D-S.")] = 182,
    model_toml: ModelToml = "",
    cache: Cache = DEFAULT_CACHE,
) -> None:
    """Film, look, and say whether the bar holds."""
    film = filmed(cache, size, kind, 15)
    model = model_file(cache, film, crop=crop)
    longest = lasting(film, 60 + 2 * settle)
    rows: list[dict[str, Any]] = []
    for count in streams:
        line = of_line(longest, model, count, settle, model_toml)
        decoders = of_decoders(longest, count, min(settle, 5))
        rows.append({"streams": count, **line, "decoder": decoders["uss"]})
        print(f"{count} streams: {line['uss']:.0f} MB", flush=True)
    slopes = {name: slope(streams, [row[name] for row in rows]) for name in list(rows[0])[1:]}
    rows.append({"streams": "MB a stream", **slopes})
    more_mb = slopes["uss"] if slopes["uss"] is not None else math.nan
    bar = Bar("memory for one more stream, MB (uss)", more_mb, 60, at_least=False)
    settings = {"film": film.name, "settle_s": settle, "network": model.stem}
    finish("memory", out, settings=settings, rows=rows, bars=[bar])


if __name__ == "__main__":
    typer.run(main)
