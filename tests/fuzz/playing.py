"""Plays files to their end, in a process that may die of it: `python -m tests.fuzz.playing`."""

import threading
from contextlib import closing
from pathlib import Path

from streamcls.clock import SystemClock
from streamcls.config import CaptureSettings, Pace, StreamSettings
from streamcls.errors import SourceError
from streamcls.pipeline.sources import open_source
from streamcls.transforms import to_small_rgb
from tests.fuzz.limits import serve
from tests.models.small import SPEC

_LIMITS = CaptureSettings(open_timeout_s=5, read_timeout_s=5, max_pixels=4096 * 4096)
_MOST_FRAMES = 500


def play(path: str) -> str:
    """Decode and convert every picture; what came of it."""
    settings = StreamSettings("cam", path, pace=Pace.FASTEST)
    source = open_source(settings, _LIMITS, SystemClock())
    count = 0
    try:
        with closing(source.frames(threading.Event())) as frames:
            for count, frame in enumerate(frames, start=1):
                to_small_rgb(frame.image, SPEC)
                if count == _MOST_FRAMES:
                    break
    except SourceError as error:
        told, reason = str(error), error.reason
    else:
        return f"played {'some' if count else 'none'}"
    assert "\n" not in told, told
    assert Path(path).name in told, told
    return reason


if __name__ == "__main__":
    serve(play, megabytes=4000)
