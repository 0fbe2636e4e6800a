"""What a process per stream costs: CPU and memory of one stream, against the same in a thread.

    make bench-isolation

Plays one 720p H.264 file at 25 fps in real time and throws its windows away. Each run is a fresh
host process; the two modes alternate, so that a slow moment of the machine meets both.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from streamcls.clock import SystemClock
from streamcls.config import CaptureSettings, StreamSettings
from streamcls.frames import Step
from streamcls.isolation import Cut, IsolatedSource
from streamcls.pipeline.sources import open_source
from streamcls.pipeline.windows import WindowAssembler
from streamcls.transforms import ClipSpec, WindowPlan, to_small_rgb

PAIRS = 5
MEASURED_S = 15.0
PHOTO = Path(__file__).parent.parent / "data" / "photos" / "china.jpg"
SHOTS = [("still", 4.0), ("pan_left", 5.0), ("zoom_in", 5.0), ("still", 6.0)]
SPEC = ClipSpec(num_frames=13, sampling_rate=6, trained_fps=30, short_side=182, crop=182)
CUT = Cut(
    clip_spec=SPEC, stride_s=1.0, min_coverage=0.8, watch_still=False, lane=0, epochs_before=0
)
ROWS = {
    "cpu_share": ("CPU, % of one core", 100.0),
    "start_cpu_s": ("CPU until the first frame, s", 1.0),
    "first_frame_s": ("time to the first frame, s", 1.0),
    "rss_mb": ("RSS, MB (what is shared counts twice)", 1.0),
    "pss_mb": ("PSS, MB", 1.0),
    "threads": ("threads", 1.0),
}


def film(path: Path) -> None:
    """Write the video: a photograph under a moving camera."""
    # Here, for it brings torch, which is not to weigh on the hosts.
    from streamcls.finetune.camera_motion.video import write_video

    write_video(path, PHOTO, SHOTS, size=(1280, 720), fps=25, seed=1)


def steps_of(stream: StreamSettings, mode: str) -> Iterator[Step]:
    """The stream's steps, decoded by the mode's means."""
    clock, limits = SystemClock(), CaptureSettings()
    if mode == "process":
        yield from IsolatedSource(stream, limits, CUT, clock).frames(threading.Event())
        return
    assembler = WindowAssembler(
        stream.id,
        WindowPlan.of(SPEC, CUT.stride_s),
        convert=lambda image: to_small_rgb(image, SPEC),
        min_coverage=CUT.min_coverage,
        live=True,
        clock=clock,
    )
    with closing(open_source(stream, limits, clock).frames(threading.Event())) as frames:
        yield from map(assembler.step, frames)


def family() -> list[int]:
    """This process and its children."""
    lists = Path("/proc/self/task").glob("*/children")
    return [os.getpid(), *(int(child) for path in lists for child in path.read_text().split())]


def cpu_s() -> float:
    """CPU time of the family so far."""
    # Linux makes a process's CPU clock of its number so (CPUCLOCK_SCHED, clock_getcpuclockid(3)).
    return sum(time.clock_gettime((~process << 3) | 2) for process in family())


def memory_mb(kind: str) -> float:
    """`Rss` or `Pss` of the family, a child's share of common pages counted once in the latter."""
    total = 0
    for process in family():
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:"))
    return total / 1024


def host(mode: str, video: str) -> dict[str, float]:
    """One run, measured from within its own process."""
    spent_s, asked_s = cpu_s(), time.monotonic()
    windows = 0
    steps = steps_of(StreamSettings("cam", video, loop=True), mode)
    next(steps)
    first_frame_s, start_cpu_s = time.monotonic() - asked_s, cpu_s() - spent_s
    spent_s, since_s = cpu_s(), time.monotonic()
    for step in steps:
        windows += len(step.windows)
        if (passed_s := time.monotonic() - since_s) >= MEASURED_S:
            break
    assert windows >= MEASURED_S - 5, f"only {windows} windows"
    return {
        "cpu_share": (cpu_s() - spent_s) / passed_s,
        "start_cpu_s": start_cpu_s,
        "first_frame_s": first_frame_s,
        "rss_mb": memory_mb("Rss"),
        "pss_mb": memory_mb("Pss"),
        "threads": sum(len(os.listdir(f"/proc/{process}/task")) for process in family()),
    }


def run(mode: str, video: Path) -> dict[str, float]:
    """One run in a host of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.isolation", mode, str(video)]
    told: dict[str, float] = json.loads(subprocess.check_output(command))
    return told


def main() -> None:
    """Measure and print."""
    if len(sys.argv) == 3:
        print(json.dumps(host(sys.argv[1], sys.argv[2])))
        return
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "yard.mp4"
        film(video)
        pairs = [(run("thread", video), run("process", video)) for _ in range(PAIRS)]
    print(f"one stream, 1280 x 720, H.264, 25 fps; medians of {PAIRS} pairs of {MEASURED_S:g} s")
    print(f"{'':40}{'thread':>9}{'process':>9}{'ratio':>8}   (lowest to highest)")
    for key, (name, scale) in ROWS.items():
        thread, process = (
            statistics.median(one[key] for one in side) for side in zip(*pairs, strict=True)
        )
        ratios = sorted(isolated[key] / plain[key] for plain, isolated in pairs)
        print(
            f"{name:40}{scale * thread:9.2f}{scale * process:9.2f}"
            f"{statistics.median(ratios):8.2f}   ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    main()
