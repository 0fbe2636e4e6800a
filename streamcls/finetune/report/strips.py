"""A clip's frames side by side, as a picture inside the page."""

import base64

import cv2
import numpy as np

from streamcls.errors import UnusableSource
from streamcls.finetune.loading import read_video
from streamcls.finetune.trained import ScoredClip
from streamcls.transforms import ClipSpec

_HEIGHT = 72
_MOST = 8  # frames of a strip


def strip(clip: ScoredClip, spec: ClipSpec) -> str:
    """A `data:` URL of a JPEG; empty where the clip cannot be read any more."""
    try:
        frames = read_video(clip.video, clip.start_s - clip.video.start_s, spec)
    except UnusableSource:
        return ""
    places = np.linspace(0, len(frames) - 1, min(_MOST, len(frames))).round().astype(int)
    width = max(1, round(frames.shape[2] * _HEIGHT / frames.shape[1]))
    small = [
        cv2.resize(frames[place], (width, _HEIGHT), interpolation=cv2.INTER_AREA)
        for place in places
    ]
    bgr = np.hstack([np.asarray(one, np.uint8)[:, :, ::-1] for one in small])
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 80])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
