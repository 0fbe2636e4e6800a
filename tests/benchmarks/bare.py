"""The parts of the line on their own, as processes: what no line could do without.

    python -m tests.benchmarks.bare decode VIDEO...          every frame, a thread a video
    python -m tests.benchmarks.bare pixels MODEL VIDEO...    ... and grid frames made small RGB
    python -m tests.benchmarks.bare model CONFIG COUNT VIDEO so many windows, one at a time
    python -m tests.benchmarks.bare hold VIDEO...            decoders at the videos' own pace

Each says `ready`, waits for a line and prints JSON when it is done; `hold` at the next line.
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import partial
from pathlib import Path

import av

from streamcls.frames import RgbClip, RgbImage
from streamcls.transforms import ClipSpec, to_small_rgb
from streamcls.transforms.grid import GridSampler
from tests.benchmarks.films import FPS


def frames(path: Path) -> Iterator[av.VideoFrame]:
    """Every frame, decoded on the calling thread."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        yield from container.decode(stream)


def decode(path: Path) -> int:
    """How many frames there are; all are decoded."""
    return sum(1 for _ in frames(path))


def grid_pictures(spec: ClipSpec, path: Path, step_s: Fraction) -> Iterator[RgbImage]:
    """What shows at each instant of a grid that the film's frames hit, small RGB."""
    grid = GridSampler(step_s)
    for frame in frames(path):
        assert frame.pts is not None
        assert frame.time_base
        between, hit = grid.push(frame.pts * frame.time_base)
        if between:
            raise ValueError(f"a grid of {step_s} s has instants between the frames of {path.name}")
        if hit:
            yield to_small_rgb(frame, spec)


def pixels(spec: ClipSpec, path: Path) -> int:
    """How many pictures are on the grid; every frame is decoded, those alone are scaled."""
    return sum(1 for _ in grid_pictures(spec, path, spec.frame_interval_s))


def hold(over: threading.Event, path: Path) -> int:
    """Frames decoded, at the pace of a camera."""
    began_s, count = time.monotonic(), 0
    while not over.is_set():
        for _ in frames(path):
            count += 1
            if over.wait(max(0.0, began_s + count / FPS - time.monotonic())):
                break
    return count


def windows(config: Path, count: int, video: Path) -> Callable[[], str]:
    """What classifies so many windows as that configuration says, and returns the backend."""
    from streamcls.config import load_settings
    from streamcls.engine import Engine
    from streamcls.models.backends import use_threads

    settings = load_settings(config)
    use_threads(settings.model.threads)
    engine = Engine.load(settings.model)
    engine.warm_up(settings.model, 1)
    clips = _clips(video, engine.model.clip_spec)

    def run() -> str:
        for number in range(count):
            engine.backend.scores([clips[number % len(clips)]])
        return engine.backend.name

    return run


def _clips(video: Path, spec: ClipSpec) -> list[RgbClip]:
    from tests.benchmarks.films import Film
    from tests.benchmarks.network import clips_of

    return clips_of(Film(video, "", "", float(spec.span_s) + 1), spec, 4)


def main() -> None:
    """Prepare, wait, run."""
    part, *arguments = sys.argv[1:]
    paths = [Path(argument) for argument in arguments]
    over = threading.Event()
    run: Callable[[], object]
    # Not on the main thread, where nothing of the daemon's work is done either: torch's own
    # threads come almost to a stop there beside a busy neighbour, and on another they do not.
    with ThreadPoolExecutor(max(1, len(paths))) as pool, ThreadPoolExecutor(1) as worker:
        if part == "model":
            run = windows(paths[0], int(arguments[1]), paths[2])
        elif part == "pixels":
            from streamcls.models.bundle import read_manifest

            spec = read_manifest(paths[0]).clip_spec
            run = lambda: list(pool.map(partial(pixels, spec), paths[1:]))  # noqa: E731
        elif part == "decode":
            run = lambda: list(pool.map(decode, paths))  # noqa: E731
        else:
            run = lambda: [pool.submit(hold, over, path) for path in paths]  # noqa: E731
        print("ready", flush=True)
        sys.stdin.readline()
        done = worker.submit(run).result()
        if part == "hold":
            sys.stdin.readline()
            over.set()
            done = "over"
        print(json.dumps({"done": done}), flush=True)


if __name__ == "__main__":
    main()
