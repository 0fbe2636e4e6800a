"""A webcam, as far as it can be told without one."""

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamcls.config import CaptureSettings, StreamSettings
from streamcls.errors import SourceError, SourceTimeout, UnusableSource
from streamcls.frames import BgrImage, Frame
from streamcls.pipeline.sources.webcam import WebcamSource, device_of
from tests.pipeline.playing import play, source
from tests.pipeline.stubs import ManualClock


def test_a_webcam_is_named_by_number_or_path() -> None:
    assert device_of("webcam:0") == Path("/dev/video0")
    assert device_of("webcam:/dev/v4l/by-id/usb-x") == Path("/dev/v4l/by-id/usb-x")


def test_a_missing_webcam_is_named() -> None:
    with pytest.raises(SourceError, match="/dev/video987") as caught:
        play(source("webcam:987"))
    assert caught.value.reason == "missing"


class _FakeCamera:
    """cv2's camera: three pictures, the second of them broken, then none, after a while."""

    def __init__(self, clock: ManualClock, silent_s: float) -> None:
        self.clock = clock
        self.silent_s = silent_s
        self.grabbed = 0
        self.released = False

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def get(self, asked: int) -> float:
        return 30.0 if asked == cv2.CAP_PROP_FPS else float(int.from_bytes(b"MJPG", "little"))

    def grab(self) -> bool:
        self.grabbed += 1
        self.clock.now_s += 0.04 if self.grabbed <= 3 else self.silent_s
        return self.grabbed <= 3

    def retrieve(self) -> tuple[bool, object]:
        return self.grabbed != 2, np.full((4, 6, 3), self.grabbed, np.uint8)

    def release(self) -> None:
        self.released = True


@pytest.mark.parametrize(
    ("silent_s", "kind", "reason"),
    [(0.0, SourceError, "disconnected"), (5.0, SourceTimeout, "timeout")],
)
def test_a_webcam_gives_its_pictures_until_it_ceases(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    silent_s: float,
    kind: type[SourceError],
    reason: str,
) -> None:
    device = tmp_path / "video0"
    device.touch()
    clock = ManualClock()
    camera = _FakeCamera(clock, silent_s)
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: camera)
    monkeypatch.setenv("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "5")
    player = source(f"webcam:{device}", clock=clock)
    frames: list[Frame] = []
    with pytest.raises(kind, match=str(device)) as caught:
        frames.extend(player.frames(threading.Event()))
    assert caught.value.reason == reason
    assert [
        frame.image.pixels[0, 0, 0] for frame in frames if isinstance(frame.image, BgrImage)
    ] == [1, 3]
    assert {frame.media_s for frame in frames} == {None}
    assert player.decode_errors == 1
    assert player.description == "MJPG, 30 fps declared"
    assert camera.released


def test_a_webcams_pictures_have_a_largest_size_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = tmp_path / "video0"
    device.touch()
    camera = _FakeCamera(ManualClock(), 0.0)
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: camera)
    settings = StreamSettings(id="cam", url=f"webcam:{device}")
    player = WebcamSource(settings, CaptureSettings(max_pixels=23), ManualClock())
    with pytest.raises(UnusableSource, match="6 x 4, more than `max_pixels` = 23"):
        next(player.frames(threading.Event()))
    assert camera.released
