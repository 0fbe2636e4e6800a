"""Frame half: a picture in its decoder's pixel format -> small RGB uint8, in one pass.

Each plane is scaled to the target size, then the small planes are turned into RGB; a full-size RGB
picture never exists. The filters are those of `PixelRecipe`.
"""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from streamcls.frames import BgrImage, RawImage, RgbImage
from streamcls.transforms.spec import ClipSpec

if TYPE_CHECKING:
    import av

# Luma weights (red, blue) of the three matrices in use: ITU-R BT.601-7, BT.709-6, BT.2020-2.
_LUMA_WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}
# FFmpeg's AVColorSpace numbers, as PyAV's frame.colorspace gives them.
_MATRIX_BY_COLORSPACE = {1: "bt709", 4: "bt601", 5: "bt601", 6: "bt601", 9: "bt2020", 10: "bt2020"}
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG

# Eight-bit formats whose planes are scaled as they lie: (chroma planes, interleaved chroma).
_PLANAR = {"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p"}
_SEMI_PLANAR = {"nv12", "nv21"}
_GREY = ("gray", "ya")  # how names of luma alone begin, with and without transparency
_COLOUR_TABLES = {"pal8", "xyz12le", "xyz12be"}  # RGB that FFmpeg does not count as such

_Scale = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]
"""A plane, (height, width) or (height, width, channels), to the same at the size of the clip."""


def scaled_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """Width and height after scaling the shorter side to `short_side`, aspect kept.

    The longer side is rounded down, as in pytorchvideo's `short_side_scale`.
    """
    if width < height:
        return short_side, max(short_side, height * short_side // width)
    return max(short_side, width * short_side // height), short_side


def convert_on_one_thread() -> None:
    """Scale each picture on the thread that asks, in the whole process; the result is the same.

    OpenCV would share one out over all cores: worth it for one picture, not for many streams'.
    """
    cv2.setNumThreads(1)


def to_small_rgb(image: RawImage, spec: ClipSpec) -> RgbImage:
    """Scale a decoded picture to the spec's short side and convert it to RGB.

    Returns:
        uint8, shape (height, width, 3), the shorter of height and width being `spec.short_side`.
    """
    size = scaled_size(image.width, image.height, spec.short_side)
    filter_ = _FILTERS[spec.pixels.filter]

    def scale(plane: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        return filter_(plane, size)

    if isinstance(image, BgrImage):
        return np.ascontiguousarray(scale(image.pixels)[:, :, ::-1])
    if image.format.is_rgb or image.format.name in _COLOUR_TABLES:
        rgb = scale(_plane(_eight_bit(image, "rgb24"), 0, 3))
    else:
        rgb = _yuv_to_rgb(*_small_planes(image, scale), image)
    return _upright(rgb, image.rotation)


def _small_planes(frame: "av.VideoFrame", scale: _Scale) -> tuple[npt.NDArray[Any], bool]:
    """The picture as small YUV uint8 (height, width, 3), and whether its range is full."""
    name = frame.format.name
    full = frame.color_range == _FULL_RANGE or name.startswith("yuvj")
    if name.startswith(_GREY):
        luma = scale(_plane(_eight_bit(frame, "gray"), 0, 1))
        neutral = np.full_like(luma, 128)
        return np.dstack([luma, neutral, neutral]), full
    if name in _SEMI_PLANAR:
        luma, chroma = scale(_plane(frame, 0, 1)), scale(_plane(frame, 1, 2))
        first, second = (0, 1) if name == "nv12" else (1, 0)
        return np.dstack([luma, chroma[..., first], chroma[..., second]]), full
    if name not in _PLANAR:
        frame = _eight_bit(frame, "yuvj444p" if full else "yuv444p")
    return np.dstack([scale(_plane(frame, index, 1)) for index in range(3)]), full


def _eight_bit(frame: "av.VideoFrame", pixel_format: str) -> "av.VideoFrame":
    """The same colours in a format whose planes can be scaled: deep and packed ones are rare.

    One matrix on both sides keeps YUV as it is, whatever is declared: swscale refuses some.
    """
    if frame.format.name == pixel_format:
        return frame
    return frame.reformat(
        format=pixel_format, src_colorspace="itu709", dst_colorspace="itu709", threads=1
    )


def _plane(frame: "av.VideoFrame", index: int, channels: int) -> npt.NDArray[np.uint8]:
    """A view of one plane without its row padding: (height, width) or (height, width, channels)."""
    plane = frame.planes[index]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    used = rows[: plane.height, : plane.width * channels]
    return used if channels == 1 else used.reshape(plane.height, plane.width, channels)


def _area(plane: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    shrinking = plane.shape[1] >= size[0] and plane.shape[0] >= size[1]
    filter_ = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane, size, interpolation=filter_), np.uint8)


def _mipmap(plane: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    if plane.ndim == 3 and plane.shape[2] == 2:  # of which OpenCV rounds halves to even
        return np.dstack([_mipmap(plane[..., channel].copy(), size) for channel in (0, 1)])
    width, height = plane.shape[1] // 2, plane.shape[0] // 2
    while width >= size[0] and height >= size[1]:
        even = plane[: 2 * height, : 2 * width]
        plane = np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA))
        width, height = width // 2, height // 2
    # Not INTER_LINEAR, whose last bit depends on the processor.
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR_EXACT), np.uint8)


_FILTERS = {"area": _area, "mipmap": _mipmap}


def _yuv_to_rgb(yuv: npt.NDArray[np.uint8], full: bool, frame: "av.VideoFrame") -> RgbImage:
    undeclared = "bt709" if frame.height >= 720 else "bt601"
    matrix = _matrix(_MATRIX_BY_COLORSPACE.get(int(frame.colorspace), undeclared), full)
    rgb = cv2.transform(yuv.astype(np.float32), matrix)
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)


@cache
def _matrix(name: str, full: bool) -> npt.NDArray[np.float32]:
    """The (3, 4) affine map from YUV in 0..255 to RGB in 0..255.

    From Y = Kr R + Kg G + Kb B, Cb = (B - Y) / (2 (1 - Kb)), Cr = (R - Y) / (2 (1 - Kr)).
    """
    red, blue = _LUMA_WEIGHTS[name]
    green = 1 - red - blue
    black, luma_gain, chroma_gain = (0, 1.0, 1.0) if full else (16, 255 / 219, 255 / 224)
    cr_to_red, cb_to_blue = 2 * (1 - red) * chroma_gain, 2 * (1 - blue) * chroma_gain
    linear = np.array(
        [
            [luma_gain, 0, cr_to_red],
            [luma_gain, -cb_to_blue * blue / green, -cr_to_red * red / green],
            [luma_gain, cb_to_blue, 0],
        ]
    )
    offset = -linear @ np.array([black, 128, 128])
    return np.column_stack([linear, offset]).astype(np.float32)


def _upright(rgb: RgbImage, rotation_degrees: int) -> RgbImage:
    """Undo the display rotation that phones store instead of turning the picture."""
    quarter_turns = round(rotation_degrees / 90) % 4
    return np.ascontiguousarray(np.rot90(rgb, quarter_turns)) if quarter_turns else rgb
