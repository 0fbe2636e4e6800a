"""Decoding on a graphics card, where FFmpeg and a driver offer it."""

import av
from av.codec.hwaccel import HWAccel

from streamcls.errors import ConfigError

_COMMON = "h264"  # which every card that decodes at all decodes


def accelerator(name: str) -> HWAccel | None:
    """What to open a container with: `none`, or FFmpeg's name of a kind of device.

    Pictures come back to the host as the card has them, NV12 or P010, and go the way of all
    others. What the card cannot decode is decoded by the processor.
    """
    if name == "none":
        return None
    # All streams, and torch, share the process's one context on the card.
    return HWAccel(name, allow_software_fallback=True, options={"primary_ctx": "1"})


def check_accelerator(name: str) -> None:
    """Try to open the device.

    Raises:
        ConfigError: this FFmpeg cannot use such devices, or there is none.
    """
    device = accelerator(name)
    if device is None:
        return
    try:
        device.create(av.Codec(_COMMON, "r"))
    except NotImplementedError:
        raise ConfigError(
            f'`hwaccel` = "{name}" in [capture]: this FFmpeg is built without it; use "none"'
        ) from None
    except av.FFmpegError as error:
        raise ConfigError(
            f'`hwaccel` = "{name}" in [capture]: no such device can be opened'
            f' ({error.strerror}); check its driver, or use "none"'
        ) from None
