"""Sources as the tests of files and webcams make and play them."""

import threading
from pathlib import Path

import av

from streamcls.config import CaptureSettings, Pace, StreamSettings
from streamcls.frames import Frame
from streamcls.pipeline.sources import Source, open_source
from tests.pipeline.stubs import ManualClock
from tests.videos import number_in


def source(
    url: Path | str,
    *,
    pace: Pace = Pace.FASTEST,
    loop: bool = False,
    clock: ManualClock | None = None,
) -> Source:
    settings = StreamSettings(id="cam", url=str(url), pace=pace, loop=loop)
    return open_source(settings, CaptureSettings(), clock or ManualClock())


def play(source: Source) -> list[Frame]:
    return list(source.frames(threading.Event()))


def numbers_in(frames: list[Frame]) -> list[int]:
    """The numbers that the pictures of `write_video` show."""
    return [number_in(frame.image) for frame in frames if isinstance(frame.image, av.VideoFrame)]
