"""Pictures as JPEG: made when somebody looks, once for all who do."""

import threading

import cv2

from streamcls.frames import RgbImage, Window

_PACE_S = 0.9  # a picture of a stream a second, however short its stride
_QUALITY = 75
_LARGEST = 480  # pixels of a picture's longer side


class Album:
    """One stream's newest pictures. Used by the threads of viewers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # of all below; two viewers must not both encode
        self._picture = b""
        self._picture_s = -_PACE_S
        self._clip_of: Window | None = None
        self._clip: list[bytes] = []
        self._clip_s = -_PACE_S

    def newest(self, window: Window, now_s: float) -> bytes:
        """The newest picture, or one less than a second older; the same object until another."""
        with self._lock:
            if now_s - self._picture_s >= _PACE_S:
                self._picture, self._picture_s = _jpeg(window.clip[-1]), now_s
            return self._picture

    def clip(self, window: Window, crop: int, now_s: float) -> list[bytes]:
        """Likewise the newest clip's pictures, each the square that the network sees."""
        with self._lock:
            if window is not self._clip_of and now_s - self._clip_s >= _PACE_S:
                # Windows overlap; the arrays of the last are still held, so ids tell them apart.
                last = self._clip_of.clip if self._clip_of else ()
                known = {id(one): done for one, done in zip(last, self._clip, strict=True)}
                self._clip = [
                    known.get(id(one)) or _jpeg(_centre(one, crop)) for one in window.clip
                ]
                self._clip_of, self._clip_s = window, now_s
            return self._clip


def _centre(picture: RgbImage, crop: int) -> RgbImage:
    height, width, _ = picture.shape
    top, left = (height - crop) // 2, (width - crop) // 2
    return picture[top : top + crop, left : left + crop]


def _jpeg(picture: RgbImage) -> bytes:
    height, width, _ = picture.shape
    if (scale := _LARGEST / max(height, width)) < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    return data.tobytes() if done else b""
