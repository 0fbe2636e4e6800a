"""What the live page costs: of one core, while nobody looks and while two do.

    python -m tests.benchmarks.page
    python -m tests.benchmarks.page --streams 64 --seconds 20

Streams are classified once a second, with real photographs as their pictures. What feeds them is
not counted but by itself; viewers read from a process of their own, as browsers do. Ends with 1
where a limit of 1 % and 5 % of a core for 16 streams is not kept.
"""

import argparse
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from streamcls.finetune.camera_motion.photos import read_rgb
from streamcls.frames import RgbImage
from tests.observe.fed import LEGEND, Fed, served

PHOTOS = Path(__file__).parents[1] / "data" / "photos"
IDLE_LIMIT, LOOKED_AT_LIMIT = 0.01, 0.05
_VIEWER = """
import socket, sys
path = sys.argv[2]
viewer = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
viewer.sendall(f"GET {path} HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n".encode())
size = 0
while piece := viewer.recv(1 << 16):
    size += len(piece)
    print(size, flush=True)
"""


def main() -> None:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=10.0)
    asked = parser.parse_args()
    clips = _clips()
    shares = {
        name: _share(asked.streams, asked.seconds, clips, paths)
        for name, paths in {
            "nobody looks": [],
            "one looks at all": ["/news"],
            "two look at all": ["/news", "/news"],
            "two look at one stream each": ["/news?stream=cam0", "/news?stream=cam1"],
        }.items()
    }
    print(f"{asked.streams} streams, a prediction a second each; shares of one core:")
    for name, (feeding, rest, rate) in shares.items():
        told = f", {rate / 1000:.0f} kB/s sent" if rate else ""
        print(f"  {name}: {rest:.2%}, beside {feeding:.2%} in which the streams are noted{told}")
    idle = sum(shares["nobody looks"][:2])
    looked_at = sum(shares["two look at all"][:2])
    if asked.streams <= 16 and (idle >= IDLE_LIMIT or looked_at >= LOOKED_AT_LIMIT):
        sys.exit(f"above the limits of {IDLE_LIMIT:.0%} and {LOOKED_AT_LIMIT:.0%}")


def _share(
    streams: int, seconds: float, clips: list[list[RgbImage]], paths: list[str]
) -> tuple[float, float, float]:
    """Of a core: noting what streams do, and all else; and bytes sent a second."""
    legend = replace(LEGEND, crop=160)
    fed = Fed([f"cam{number}" for number in range(streams)], legend=legend)
    noting = _Noting(fed)
    over = threading.Event()
    player = threading.Thread(target=_play, args=(fed, clips, over, noting))
    player.start()
    viewers: list[subprocess.Popen[str]] = []
    try:
        with served(fed) as port:
            viewers = [
                subprocess.Popen(
                    [sys.executable, "-c", _VIEWER, str(port), path],
                    stdout=subprocess.PIPE,
                    text=True,
                )
                for path in paths
            ]
            sizes = [_Sizes(viewer) for viewer in viewers]
            time.sleep(2)  # all is told once
            noting.spent_s = noting.player_s = 0.0
            sent, cpu_s, wall_s = sum(s.size for s in sizes), time.process_time(), time.monotonic()
            time.sleep(seconds)
            wall_s = time.monotonic() - wall_s
            cpu_s = time.process_time() - cpu_s - noting.player_s
            sent = sum(s.size for s in sizes) - sent
    finally:
        over.set()
        player.join()
        for viewer in viewers:
            viewer.kill()
            viewer.wait()
    return noting.spent_s / wall_s, cpu_s / wall_s, sent / wall_s


class _Sizes:
    """How much a viewer has read."""

    def __init__(self, viewer: "subprocess.Popen[str]") -> None:
        self.size = 0
        threading.Thread(target=self._read, args=(viewer,), daemon=True).start()

    def _read(self, viewer: "subprocess.Popen[str]") -> None:
        assert viewer.stdout
        for line in viewer.stdout:
            self.size = int(line)


class _Noting:
    """Measures the calls by which the stages tell the page."""

    def __init__(self, fed: Fed) -> None:
        self.spent_s = 0.0
        self.player_s = 0.0
        live = fed.live
        live.note = self._timed(live.note)  # type: ignore[method-assign]
        live.scored = self._timed(live.scored)  # type: ignore[method-assign]

    def _timed(self, call: Callable[..., None]) -> Callable[..., None]:
        def timed(*args: object) -> None:
            before = time.thread_time()
            call(*args)
            self.spent_s += time.thread_time() - before

        return timed


def _play(fed: Fed, clips: list[list[RgbImage]], over: threading.Event, noting: _Noting) -> None:
    names = list(fed.live.streams)
    for name in names:
        fed.status(name, "up")
    turn = 0
    while not over.wait(1 / len(names)):
        before = time.thread_time()
        name = names[turn % len(names)]
        clip = [picture.copy() for picture in clips[turn % len(clips)]]
        fed.predict(name, [0.1, turn % 90 / 100, 0.05, 0.05], clip)
        if turn % 5 == 0:
            fed.event(name, f"{name}-{turn // 50}", "end" if turn % 50 else "start", "pan_left")
        turn += 1
        noting.player_s += time.thread_time() - before


def _clips() -> list[list[RgbImage]]:
    """Thirteen pictures of each photograph, of the size that an X3D-S is given of a 16:9 camera."""
    clips = []
    for path in sorted(PHOTOS.glob("*.jpg")):
        photo = read_rgb(path)
        small = np.asarray(cv2.resize(photo, (320, 180), interpolation=cv2.INTER_AREA), np.uint8)
        clips.append([np.roll(small, shift, axis=1) for shift in range(13)])
    return clips


if __name__ == "__main__":
    main()
