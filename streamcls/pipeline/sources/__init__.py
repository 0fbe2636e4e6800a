"""Video sources: a blocking iterator over frames, and the factory that picks one by URL.

A source only runs. It opens, yields, closes and raises; waiting and trying again is capture's.
"""

from typing import Protocol

from streamcls.clock import Clock
from streamcls.config import CaptureSettings, StreamSettings
from streamcls.frames import Frame
from streamcls.pipeline.source import Source as FrameSource
from streamcls.pipeline.sources.file import FileSource
from streamcls.pipeline.sources.rtsp import RtspSource
from streamcls.pipeline.sources.sparse import Needs
from streamcls.pipeline.sources.webcam import WebcamSource
from streamcls.urls import scheme_of

__all__ = ["FileSource", "Needs", "RtspSource", "Source", "WebcamSource", "open_source"]


class Source(FrameSource[Frame], Protocol):
    """One run of one video source, and what it tells besides its frames.

    Attributes:
        packets: packets read so far; while it grows, the source is alive.
        description: codec and format for a person, once it is open.
    """

    packets: int
    description: str


def open_source(
    settings: StreamSettings, limits: CaptureSettings, clock: Clock, needs: Needs | None = None
) -> Source:
    """The source that a stream's URL names. Nothing is opened until its `frames` are asked for.

    Args:
        needs: says of a stretch of media time whether any of its pictures is needed, once all
            frames so far were taken; other frames may come undecoded. None: all are decoded.
    """
    match scheme_of(settings.url):
        case "webcam":
            return WebcamSource(settings, limits, clock)
        case "file":
            return FileSource(settings, limits, clock, needs)
        case _:
            return RtspSource(settings, limits, clock, needs)
