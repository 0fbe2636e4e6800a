"""Video sources: a blocking iterator over decoded frames, and the factory that picks one by URL.

A source only runs. It opens, yields, closes and raises; waiting and trying again is capture's.
"""

import threading
from collections.abc import Callable, Generator
from typing import Protocol

from streamcls.clock import Clock
from streamcls.config import CaptureSettings, StreamSettings
from streamcls.frames import Frame
from streamcls.pipeline.sources.file import FileSource
from streamcls.pipeline.sources.rtsp import RtspSource
from streamcls.pipeline.sources.webcam import WebcamSource
from streamcls.urls import scheme_of

__all__ = ["FileSource", "RtspSource", "Source", "WebcamSource", "open_source"]


class Source(Protocol):
    """One run of one video source; a new one is made for each attempt.

    Attributes:
        decode_errors: packets skipped and pictures patched up so far, for the metrics.
        packets: packets read so far; while it grows, the source is alive.
    """

    decode_errors: int
    packets: int

    def frames(self, stop: threading.Event) -> Generator[Frame, None, None]:
        """Open, yield every decoded frame, and close; ends early once `stop` is set.

        A file's end is the iterator's end; a live source never ends by itself.

        Raises:
            SourceTimeout: nothing came within the limits of [capture].
            SourceRefused: it said no (401, 403, 404).
            UnusableSource: no retry can help: no video in it, or not a video.
            SourceError: anything else that went wrong with it.
        """


def open_source(settings: StreamSettings, limits: CaptureSettings, clock: Clock) -> Source:
    """The source that a stream's URL names. Nothing is opened until its `frames` are asked for."""
    sources: dict[str, Callable[[StreamSettings, CaptureSettings, Clock], Source]] = {
        "file": FileSource,
        "webcam": WebcamSource,
        "rtsp": RtspSource,
        "rtsps": RtspSource,
    }
    return sources[scheme_of(settings.url)](settings, limits, clock)
