"""Roboflow's InferencePipeline as a process, with the same network on the same windows.

    PYTHON -m tests.benchmarks.roboflow MODEL STRIDE_S THREADS VIDEO...

As the lean plain loop, but all videos at once, as the pipeline does it; decoding and threads are
the pipeline's. PYTHON is one that has the package `inference`.
"""

import importlib
import json
import sys
from collections import defaultdict
from typing import Any

import cv2
import torch

from streamcls.models.bundle import load_bundle
from tests.benchmarks.theirs import PlainWindows, let_pytorchvideo_import


def main() -> None:
    """Load, wait, play."""
    model_path, stride, threads, *videos = sys.argv[1:]
    # Before the stand-in: where a torchvision works, Roboflow is to have that.
    inference: Any = importlib.import_module("inference")

    let_pytorchvideo_import()
    model = load_bundle(model_path)
    windows: defaultdict[int, PlainWindows] = defaultdict(
        lambda: PlainWindows(model, float(stride), 30, lean=True)
    )

    def on_frames(frames: list[Any]) -> list[None]:
        for frame in frames:
            windows[frame.source_id or 0].push(cv2.cvtColor(frame.image, cv2.COLOR_BGR2RGB))
        return [None] * len(frames)

    torch.set_num_threads(int(threads))
    print("ready", flush=True)
    sys.stdin.readline()
    pipeline = inference.InferencePipeline.init_with_custom_logic(
        video_reference=videos,
        on_video_frame=on_frames,
        on_prediction=lambda _predictions, _frames: None,
    )
    pipeline.start()
    pipeline.join()
    print(json.dumps([windows[source].scores for source in range(len(videos))]), flush=True)


if __name__ == "__main__":
    main()
