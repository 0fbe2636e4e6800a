"""Live video to label events, on your own box. The pipeline, in five lines:

sources decode files, RTSP cameras and webcams, one capture thread each;
windows keep the frames that show on a grid of instants and close T of them into a clip;
inference classifies the newest clips of all streams in one batch on the device;
decisions turn scores into label events, with hysteresis in seconds;
publish numbers them and sends them over ZeroMQ.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamcls.finetune.data import VideoData
    from streamcls.finetune.training.recipe import Custom, Recipe
    from streamcls.finetuning import train
    from streamcls.models.zoo import register_architecture
    from streamcls.offline.predict import predict

__all__ = ["Custom", "Recipe", "VideoData", "predict", "register_architecture", "train"]

__version__ = "0.1.0"

_FROM = {
    "Recipe": "streamcls.finetune.training.recipe",
    "Custom": "streamcls.finetune.training.recipe",
    "VideoData": "streamcls.finetune.data",
    "train": "streamcls.finetuning",
    "predict": "streamcls.offline.predict",
    "register_architecture": "streamcls.models.zoo",
}


def __getattr__(name: str) -> Any:
    """What a program of one's own begins with, imported when it is asked for."""
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_FROM[name]), name)
