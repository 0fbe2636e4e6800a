"""USB webcams through Video4Linux, which PyAV's wheels cannot open."""

import math
import os
import re
import threading
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import cv2
import numpy as np

from streamcls.clock import Clock
from streamcls.config import CaptureSettings, StreamSettings
from streamcls.errors import SourceError, SourceTimeout
from streamcls.frames import BgrImage, Frame
from streamcls.pipeline.sources.decoder import check_size

# The only limit OpenCV's V4L2 backend knows: whole seconds, read once per process. The properties
# CAP_PROP_OPEN_TIMEOUT_MSEC and CAP_PROP_READ_TIMEOUT_MSEC belong to other backends, and asking
# V4L2 for them fails the opening.
_TIMEOUT_VARIABLE = "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT"


class WebcamSource:
    """A V4L2 device; its frames have no media time, so the receive clock serves."""

    def __init__(self, settings: StreamSettings, limits: CaptureSettings, clock: Clock) -> None:
        self.decode_errors = self.packets = 0
        self.packets_skipped: Counter[str] = Counter()  # never any: pictures come whole
        self._device = device_of(settings.url)
        self._read_timeout_s = limits.read_timeout_s
        self._max_pixels = limits.max_pixels
        self.description = ""
        self._clock = clock

    def frames(self, stop: threading.Event) -> Generator[Frame, None, None]:
        """Every frame as it comes; see `Source.frames`.

        Raises:
            SourceError: with reason `missing`, `permission`, `busy` or `disconnected`.
        """
        self._require_device()
        os.environ.setdefault(_TIMEOUT_VARIABLE, str(math.ceil(self._read_timeout_s)))
        # It would print warnings of its own on standard error.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        camera = cv2.VideoCapture(_opencv_name(self._device), cv2.CAP_V4L2)
        try:
            if not camera.isOpened():
                raise SourceError(
                    f"{self._device} could not be opened; is another program using it?",
                    reason="busy",
                )
            self.description = f"{_codec(camera)}, {camera.get(cv2.CAP_PROP_FPS):g} fps declared"
            while not stop.is_set():
                if frame := self._next(camera):
                    yield frame
        finally:
            camera.release()

    def _next(self, camera: cv2.VideoCapture) -> Frame | None:
        asked_s = self._clock.monotonic_s()
        came = camera.grab()
        monotonic_s, utc_s = self._clock.monotonic_s(), self._clock.utc_s()
        self.packets += came
        if not came:
            if monotonic_s - asked_s >= float(os.environ[_TIMEOUT_VARIABLE]) - 0.5:
                raise SourceTimeout(f"{self._device} gave no picture; plug it in again")
            raise SourceError(f"{self._device} was disconnected", reason="disconnected")
        decoded, pixels = camera.retrieve()
        if not decoded:
            self.decode_errors += 1
            return None
        image = BgrImage(np.asarray(pixels, np.uint8))
        check_size(image.width, image.height, str(self._device), self._max_pixels)
        return Frame(image, None, monotonic_s, utc_s)

    def _require_device(self) -> None:
        if not self._device.exists():
            raise SourceError(
                f"there is no webcam at {self._device}; plug it in or check `url`",
                reason="missing",
            )
        if not os.access(self._device, os.R_OK | os.W_OK):
            raise SourceError(
                f"{self._device} may not be used; add this user to the group `video`",
                reason="permission",
            )


def device_of(url: str) -> Path:
    """The device that `webcam:0` or `webcam:/dev/video0` names."""
    name = url.partition(":")[2].removeprefix("//")
    return Path(f"/dev/video{name}" if name.isdecimal() else name)


def _codec(camera: cv2.VideoCapture) -> str:
    """The four characters by which Video4Linux names a format, such as `MJPG`."""
    code = int(camera.get(cv2.CAP_PROP_FOURCC)) & 0x7FFFFFFF  # the highest bit: big-endian
    return code.to_bytes(4, "little").decode("ascii", "replace").strip("\0 ") or "unknown format"


def _opencv_name(device: Path) -> int | str:
    # OpenCV opens by number more readily than by name; links such as /dev/v4l/by-id are resolved.
    number = re.fullmatch(r"/dev/video(\d+)", str(device.resolve()))
    return int(number[1]) if number else str(device)
