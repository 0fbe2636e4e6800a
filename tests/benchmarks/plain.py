"""The plain loop as a process: PyAV, every frame to RGB, pytorchvideo's functions, eager torch.

    python -m tests.benchmarks.plain MODEL STRIDE_S THREADS plain|lean VIDEO...

Says `ready`, waits for a line, plays the videos one after another, and prints what came of it as
JSON: for each video its windows, each with its end and its scores.
"""

import json
import sys
from pathlib import Path

import av
import numpy as np
import torch

from streamcls.models.bundle import load_bundle
from tests.benchmarks.theirs import PlainWindows, let_pytorchvideo_import


def play(path: Path, windows: PlainWindows, threads: int) -> None:
    """One video, from its first frame to its last."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = threads
        for frame in container.decode(stream):
            windows.push(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))


def main() -> None:
    """Load, wait, play."""
    model_path, stride, threads, way, *videos = sys.argv[1:]
    torch.set_num_threads(int(threads))
    let_pytorchvideo_import()
    model = load_bundle(model_path)
    all_windows = [PlainWindows(model, float(stride), 30, lean=way == "lean") for _ in videos]
    print("ready", flush=True)
    sys.stdin.readline()
    for video, windows in zip(videos, all_windows, strict=True):
        play(Path(video), windows, int(threads))
    print(json.dumps([windows.scores for windows in all_windows]), flush=True)


if __name__ == "__main__":
    main()
