"""RTSP cameras, over TCP."""

import sys
import threading
from collections import Counter
from collections.abc import Generator, Iterator

import av
from av.packet import Packet
from av.video.stream import VideoStream

from streamcls.clock import Clock
from streamcls.config import CaptureSettings, StreamSettings
from streamcls.errors import SourceError, SourceRefused, SourceTimeout
from streamcls.frames import Frame, Undecoded
from streamcls.pipeline.sources.decoder import (
    check_declared,
    check_size,
    describe,
    opened,
    video_in,
)
from streamcls.pipeline.sources.health import CameraClock, Lateness, PacketHealth
from streamcls.pipeline.sources.sparse import Needs, SparseDecoder
from streamcls.transforms.timestamps import media_time_s
from streamcls.urls import host_of

_OPTIONS = {
    "rtsp_transport": "tcp",
    "allowed_media_types": "video",
    "protocol_whitelist": "rtsp,rtsps,rtp,tcp,tls,crypto",
    # The SDP says what the stream is, so one packet is probing enough: first picture after 0.1 s
    # in place of 1.2 s. Not `fflags=nobuffer`: it throws that packet away, which is the first
    # keyframe, and the picture then waits for the next one.
    "probesize": "32",
    "analyzeduration": "0",
}
_BLIND_S = 30.0  # packets that decode to nothing for so long: longer than any sane keyframe gap


class RtspSource:
    """A camera's stream; `frames` never ends but by an error or `stop`.

    A redirect to another RTSP server is followed within the limit for opening, one to anything
    else is refused. The limits do not reach into the look-up of a host's name, which only the
    system's resolver can give up: `isolation = "process"` ends that too, and so does an address
    in place of the name.
    """

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
        scheme, _, rest = settings.url.partition(":")
        self._url = f"{scheme.lower()}:{rest}"  # FFmpeg knows no RTSP://
        self._limits = limits
        self._clock = clock
        self._asked_s = 0.0  # when FFmpeg was last asked for something
        self.description = ""
        # The host alone: some cameras take the password in the path.
        self._name = host_of(settings.url)

    def frames(self, stop: threading.Event) -> Generator[Frame, None, None]:
        """Every frame as it comes; see `Source.frames`."""
        self._asked_s = self._clock.monotonic_s()
        connected = False
        limits = (self._limits.open_timeout_s, self._limits.read_timeout_s)
        try:
            with opened(self._url, _OPTIONS, limits, self._limits.hwaccel) as container:
                connected = True
                yield from self._received(container, stop)
        except (av.FFmpegError, OSError, IndexError) as error:  # a stream that comes midway
            waited_s = self._clock.monotonic_s() - self._asked_s
            explained = self._broken_off if connected else self._not_opened
            raise explained(error, waited_s) from None
        if not stop.is_set():
            raise SourceError(f"{self._name} closed the connection", reason="disconnected")

    def _received(
        self, container: av.container.InputContainer, stop: threading.Event
    ) -> Iterator[Frame]:
        stream = video_in(container, self._name, self._limits.max_pixels)
        self.description = describe(stream)
        # What a packet carries in `opaque` comes out with its picture, whatever their order.
        stream.codec_context.copy_opaque = True
        decoder = SparseDecoder(stream, self._count_error, self._needs, self.packets_skipped)
        health, camera_clock, lateness = PacketHealth(), CameraClock(), Lateness()
        self._asked_s = seen_s = self._clock.monotonic_s()
        first = True
        for packet in container.demux(stream):
            self.packets += 1
            monotonic_s, utc_s = self._clock.monotonic_s(), self._clock.utc_s()
            # FFmpeg answers an interrupted read with what its parser still held, and only the next
            # read, after as long again, with the error.
            lateness.waited(monotonic_s - self._asked_s, monotonic_s)
            silent = monotonic_s - self._asked_s >= self._limits.read_timeout_s
            if silent:  # the picture held back would look like a camera that is well again
                raise self._silent()
            packet.opaque = _taken_utc_s(packet)
            errors = self.decode_errors
            pictures = decoder.push(packet)
            if packet.size:
                bad = self.decode_errors > errors
                # Of what is left out nothing is known, good or bad.
                if bad or not all(isinstance(picture, Undecoded) for picture in pictures):
                    health.note(monotonic_s, bad=bad)
            for picture in pictures:
                check_size(picture.width, picture.height, self._name, self._limits.max_pixels)
                at_s = media_time_s(picture)
                taken_s = picture.opaque if isinstance(picture.opaque, float) else None
                offset_s = camera_clock.offset_s(taken_s, utc_s, monotonic_s)
                # RTP's first picture has no time: passed on, it would be an epoch of one frame.
                if at_s is not None or not first:
                    behind_s = lateness.behind_s(at_s, monotonic_s)
                    yield Frame(picture, at_s, monotonic_s, utc_s, offset_s, behind_s)
                first = False
            if stop.is_set():
                return
            self._asked_s = self._clock.monotonic_s()
            if pictures:
                seen_s = self._asked_s
            if failure := self._failing(health.share(monotonic_s), self._asked_s - seen_s):
                check_declared(stream, self._name, self._limits.max_pixels)
                raise failure

    def _failing(self, corrupt: float, blind_s: float) -> SourceError | None:
        """What is wrong with a stream of so large a corrupt share, without a picture so long."""
        if corrupt > self._limits.max_corrupt:
            return SourceError(
                f"{corrupt:.0%} of what {self._name} sends is corrupt, more than `max_corrupt` ="
                f" {self._limits.max_corrupt:g} in [capture]; check its network and codec",
                reason="corrupt",
            )
        if blind_s > _BLIND_S:
            return SourceError(
                f"{self._name} sends data, but no picture in it could be decoded"
                f" for {_BLIND_S:.0f} s; check the camera's codec",
                reason="undecodable",
            )
        return None

    def _count_error(self) -> None:
        self.decode_errors += 1

    def _silent(self) -> SourceTimeout:
        return SourceTimeout(
            f"{self._name} sent nothing for {self._limits.read_timeout_s:g} s"
            " (`read_timeout_s` in [capture])"
        )

    def _broken_off(self, error: Exception, waited_s: float) -> SourceError:
        """What an error after the opening means, without FFmpeg's text: that has the password."""
        late = waited_s >= self._limits.read_timeout_s
        if late or isinstance(error, av.error.ExitError | TimeoutError):
            return self._silent()
        return SourceError(f"{self._name} broke off: {_plain(error)}", reason="disconnected")

    def _not_opened(self, error: Exception, waited_s: float) -> SourceError:
        """What an error of the opening means, without FFmpeg's text: that has the password."""
        limit_s = self._limits.open_timeout_s
        # An interrupted opening comes back as whatever error FFmpeg makes of half an answer.
        late = waited_s >= limit_s or isinstance(error, av.error.ExitError | TimeoutError)
        match error:
            case av.error.HTTPUnauthorizedError() | av.error.HTTPForbiddenError():
                return SourceRefused(
                    f"{self._name} refused the user or password; check `url` (an @ or / in a"
                    " password is written %40 or %2F)"
                )
            case av.error.HTTPNotFoundError():
                return SourceRefused(f"{self._name} has no such path (404); check `url`")
            case _ if late:
                return SourceTimeout(
                    f"{self._name} did not answer within {limit_s:g} s"
                    " (`open_timeout_s` in [capture])"
                )
            case av.error.HTTPError() | av.error.HTTPClientError() | av.error.HTTPServerError():
                reason, text = "rejected", f"{self._name} will not stream: {_plain(error)}"
            case ConnectionRefusedError():
                reason = "unreachable"
                text = f"nothing listens at {self._name}; check its address and that it is on"
            case av.error.InvalidDataError():
                reason = "protocol"
                text = f"{self._name} does not answer as an RTSP server; check address and port"
            case _:
                reason = "unreachable"
                text = f"{self._name} cannot be reached ({_plain(error)}); check its address"
        return SourceError(text, reason=reason)


def _taken_utc_s(packet: "Packet[VideoStream]") -> float | None:
    """When the camera took a picture, by its own clock: from its RTCP sender reports.

    FFmpeg hands it on as AVProducerReferenceTime, whose first field is an int64 of Unix
    microseconds.
    """
    told = packet.get_sidedata("prft") if packet.size else None
    if told is None or told.buffer_size < 8:
        return None
    return float(int.from_bytes(bytes(told)[:8], sys.byteorder, signed=True)) / 1_000_000


def _plain(error: Exception) -> str:
    """FFmpeg's message without the URL that `str` would add."""
    return getattr(error, "strerror", None) or type(error).__name__
