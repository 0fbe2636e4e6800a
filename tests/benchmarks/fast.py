"""All that says how fast the line is, one benchmark after another, into one folder.

    python -m tests.benchmarks.fast --out FOLDER [--roboflow PYTHON] [--short]

Ends with 1 where a bar was missed or a benchmark failed; the others run all the same.
"""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from tests.benchmarks.films import DEFAULT_CACHE, Cache
from tests.benchmarks.line import ModelToml

_SHORT = {
    "capacity": ["--seconds", "6", "--files", "2", "--rounds", "1"],
    "floor": ["--seconds", "6", "--files", "2", "--rounds", "1"],
    "stages": ["--seconds", "6", "--rounds", "2", "--times", "4"],
    "memory": ["--streams", "1", "--streams", "2", "--settle", "5"],
    "cameras": ["--seconds", "5", "--start", "2", "--limit", "2"],
}


def main(
    out: Annotated[Path, typer.Option(help="Folder to write JSON and the plot into.")],
    roboflow: Annotated[str, typer.Option(help="A Python with the package `inference`.")] = "",
    short: Annotated[bool, typer.Option("--short", help="Only see that all of it runs.")] = False,
    model_toml: ModelToml = "",
    cache: Cache = DEFAULT_CACHE,
) -> None:
    """Run them all."""
    failed = []
    for name, shorter in _SHORT.items():
        arguments = ["--out", str(out), "--cache", str(cache), "--model-toml", model_toml]
        arguments += shorter if short else []
        arguments += ["--roboflow", roboflow] if roboflow and name == "capacity" else []
        failed += _run(name, arguments)
    failed += _run("plot", [str(out)])
    if failed:
        raise SystemExit(f"missed a bar, or failed: {', '.join(failed)}")


def _run(name: str, arguments: list[str]) -> list[str]:
    print(f"\n== {name} ==", flush=True)
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", *arguments]
    return [name] if subprocess.run(command, check=False).returncode else []


if __name__ == "__main__":
    typer.run(main)
