"""Recordings: played at their own pace or as fast as they are taken, once or for ever."""

import threading
from collections import Counter
from collections.abc import Generator, Iterator
from fractions import Fraction

import av

from streamcls.clock import Clock
from streamcls.config import CaptureSettings, Pace, StreamSettings
from streamcls.errors import SourceError, SourceTimeout, UnusableSource
from streamcls.frames import Frame
from streamcls.pipeline.sources.decoder import (
    check_declared,
    check_size,
    describe,
    opened,
    video_in,
)
from streamcls.pipeline.sources.pacing import Pacer
from streamcls.pipeline.sources.sparse import Needs, Picture, SparseDecoder
from streamcls.transforms.timestamps import RecordedTimes
from streamcls.urls import file_path

# Containers only. A playlist (hls, concat, dash) names other files and URLs to fetch, and FFmpeg
# would also play a text file, one character after another.
_FORMATS = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,av1,ivf,obu,mjpeg,flv,asf,ogg"
    ",mxf,nut,dv,gif,yuv4mpegpipe,wtv,rm"
)
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}


class FileSource:
    """A video file on this machine."""

    def __init__(
        self,
        settings: StreamSettings,
        limits: CaptureSettings,
        clock: Clock,
        needs: Needs | None = None,
    ) -> None:
        self.decode_errors = self.packets = 0
        self.packets_skipped: Counter[str] = Counter()
        self._needs = needs
        self._path = file_path(settings.url)
        self._paced = settings.pace is Pace.REALTIME
        self._loop = settings.loop
        self._max_pixels = limits.max_pixels
        self.description = ""
        self._hwaccel = limits.hwaccel
        self._timeout_s = (limits.open_timeout_s, limits.read_timeout_s)
        self._clock = clock

    def frames(self, stop: threading.Event) -> Generator[Frame, None, None]:
        """Every frame, once or in a loop; see `Source.frames`.

        Raises:
            SourceError: with reason `missing`, `permission`, or `truncated` after the last frame
                that a damaged file holds.
            UnusableSource: not a video, or cut off before its index.
        """
        pacer = Pacer()
        while True:
            empty = True
            for picture, at_s in self._pass(stop):
                empty = False
                if self._paced:
                    now_s = self._clock.monotonic_s()
                    self._clock.wait(stop, max(0.0, pacer.due_s(at_s, now_s) - now_s))
                if stop.is_set():
                    return
                now_s, utc_s = self._clock.monotonic_s(), self._clock.utc_s()
                yield Frame(picture, at_s, now_s, utc_s, behind_s=pacer.late_s)
            if stop.is_set():
                return
            if empty:
                raise UnusableSource(f"{self._path} holds no picture that can be decoded")
            if not self._loop:
                return

    def _pass(self, stop: threading.Event) -> Iterator[tuple[Picture, Fraction]]:
        """The pictures and their media times from the start to the end, or to where it is cut."""
        if self._path.exists() and not self._path.is_file():
            # Opening a pipe would block for ever, and no limit of PyAV's reaches that far.
            raise UnusableSource(f"{self._path} is not a file; name a video file in `url`")
        at_s: Fraction | None = None
        cut = False
        try:
            url = f"file:{self._path.absolute()}"
            with opened(url, _OPTIONS, self._timeout_s, self._hwaccel) as container:
                stream = video_in(container, str(self._path), self._max_pixels)
                self.description = describe(stream)
                times = RecordedTimes(container, stream)
                needs = None if times.by_decoding else self._needs
                decoder = SparseDecoder(stream, self._count_error, needs, self.packets_skipped)
                for packet in container.demux(stream):
                    self.packets += 1
                    if stop.is_set():
                        return
                    cut = packet.is_corrupt if packet.size else cut
                    for picture in decoder.push(packet):
                        self._check_size(picture)
                        at_s = times.of(picture)
                        yield picture, at_s
                check_declared(stream, str(self._path), self._max_pixels)
        except (av.FFmpegError, OSError, IndexError) as error:  # a stream that comes midway
            raise self._explained(error, at_s) from None
        if cut:
            raise self._truncated(at_s, "its last packet is incomplete")

    def _check_size(self, picture: Picture) -> None:
        check_size(picture.width, picture.height, str(self._path), self._max_pixels)

    def _count_error(self) -> None:
        self.decode_errors += 1

    def _explained(self, error: Exception, at_s: Fraction | None) -> SourceError:
        reason = getattr(error, "strerror", None) or type(error).__name__
        match error:
            case FileNotFoundError():
                return SourceError(f"{self._path} does not exist; check `url`", reason="missing")
            case PermissionError():
                return SourceError(
                    f"{self._path} may not be read; check its permissions", reason="permission"
                )
            case av.error.ExitError() | TimeoutError():
                return SourceTimeout(f"{self._path} could not be read within its time limit")
        if at_s is not None:
            return self._truncated(at_s, reason)
        return UnusableSource(
            f"{self._path} is not a video file, or is cut off before its first picture ({reason})"
        )

    def _truncated(self, at_s: Fraction | None, why: str) -> SourceError:
        return SourceError(
            f"{self._path} is cut off or damaged after {float(at_s or 0):.1f} s: {why}",
            reason="truncated",
        )
