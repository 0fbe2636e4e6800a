"""What runs a network. The pipeline knows only `Backend`; a faster engine is one more class."""

from streamcls.models.backends.backend import Backend
from streamcls.models.backends.choose import Choice, choose
from streamcls.models.backends.eager import TorchBackend
from streamcls.models.backends.machine import network_threads, resolve_device, use_threads

__all__ = [
    "Backend",
    "Choice",
    "TorchBackend",
    "choose",
    "network_threads",
    "resolve_device",
    "use_threads",
]
