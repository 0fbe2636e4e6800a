"""Latency from a frame's arrival to its label's publication, from the daemon's own histogram.

    python -m tests.benchmarks.latency [--streams 4] [--seconds 60] [--stride 1.0]

Plays so many 25 fps 640x480 files in real time through `streamcls run` with the bundled model.
Fails if a window was dropped. Absolute milliseconds depend on the machine and its neighbours; the
yardstick printed beside them is the model alone, from the same run.
"""

import json
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from prometheus_client.parser import text_string_to_metric_families

from streamcls.finetune.camera_motion.video import write_video
from tests.serving import Served, config, serving, stream

PHOTOS = Path(__file__).parent.parent / "data" / "photos"
SEGMENTS = [("still", 4.0), ("pan_left", 4.0), ("still", 4.0), ("zoom_in", 4.0), ("still", 4.0)]


def quantile(buckets: dict[float, float], q: float) -> float:
    """Seconds below which a share `q` lies, linear inside a bucket (as histogram_quantile)."""
    edges = sorted(buckets)
    rank = q * buckets[edges[-1]]
    lower_edge = lower_count = 0.0
    for edge in edges:
        if buckets[edge] >= rank:
            if edge == float("inf"):
                return lower_edge
            inside = (rank - lower_count) / max(1e-12, buckets[edge] - lower_count)
            return lower_edge + inside * (edge - lower_edge)
        lower_edge, lower_count = edge, buckets[edge]
    return lower_edge


def histogram(served: Served, name: str) -> dict[float, float]:
    """Cumulative counts by upper edge, summed over streams."""
    counts: dict[float, float] = {}
    for family in text_string_to_metric_families(served.get("/metrics")):
        for sample in family.samples:
            if sample.name == f"{name}_bucket":
                edge = float(sample.labels["le"])
                counts[edge] = counts.get(edge, 0) + sample.value
    return counts


def total(served: Served, name: str) -> float:
    """A counter, summed over its labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(served.get("/metrics"))
        for sample in family.samples
        if sample.name == name
    )


def main(
    streams: Annotated[int, typer.Option(help="Files played at once.")] = 4,
    seconds: Annotated[float, typer.Option(help="How long to measure.")] = 60.0,
    stride: Annotated[float, typer.Option(help="Seconds between a stream's windows.")] = 1.0,
) -> None:
    """Run the measurement and print a table and one line of JSON."""
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "yard.mp4"
        write_video(video, PHOTOS / "china.jpg", SEGMENTS, size=(640, 480), fps=25, seed=1)
        tables = "".join(
            stream(f"cam{i}", video, loop="true", stride_s=str(stride)) for i in range(streams)
        )
        path = config(Path(folder), tables, model="camera-motion")
        with serving(path) as served:
            for i in range(streams):
                if "up" not in served.of(f"cam{i}").states:
                    served.until_state(f"cam{i}", "up")
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                served.receive()
            latency = histogram(served, "streamcls_event_latency_seconds")
            model = histogram(served, "streamcls_inference_duration_seconds")
            dropped = total(served, "streamcls_windows_dropped_total")
            windows = total(served, "streamcls_windows_total")
            decoded = total(served, "streamcls_frames_decoded_total")
            converted = total(served, "streamcls_frames_converted_total")
    result = {
        "streams": streams,
        "stride_s": stride,
        "windows": int(windows),
        "windows_dropped": int(dropped),
        "frames_decoded": int(decoded),
        "frames_converted": int(converted),
        "latency_p50_ms": round(1000 * quantile(latency, 0.5), 1),
        "latency_p99_ms": round(1000 * quantile(latency, 0.99), 1),
        "model_p50_ms": round(1000 * quantile(model, 0.5), 1),
        "model_p99_ms": round(1000 * quantile(model, 0.99), 1),
    }
    for name, value in result.items():
        print(f"{name:>18}  {value}")
    print(json.dumps(result))
    if dropped:
        raise SystemExit(f"{dropped:.0f} windows were dropped")


if __name__ == "__main__":
    typer.run(main)
