"""Frame half: sizes, colours and orientation, from every pixel format a camera may send."""

from pathlib import Path

import av
import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcls.frames import BgrImage
from streamcls.transforms import ClipSpec, PixelRecipe, scaled_size, to_small_rgb

SPEC = ClipSpec(num_frames=2, sampling_rate=1, trained_fps=1, short_side=32, crop=32)
OF_OLD = msgspec.structs.replace(SPEC, pixels=PixelRecipe(filter="area"))
QUADRANTS = {
    "red": (200, 40, 30),
    "green": (40, 180, 60),
    "blue": (30, 60, 210),
    "grey": (120,) * 3,
}


def coloured(width: int = 160, height: int = 96) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Four flat quadrants: red, green above blue, grey."""
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[: height // 2, : width // 2] = QUADRANTS["red"]
    rgb[: height // 2, width // 2 :] = QUADRANTS["green"]
    rgb[height // 2 :, : width // 2] = QUADRANTS["blue"]
    rgb[height // 2 :, width // 2 :] = QUADRANTS["grey"]
    return rgb


def centres(small: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> list[list[int]]:
    height, width, _ = small.shape
    rows, columns = (height // 4, 3 * height // 4), (width // 4, 3 * width // 4)
    return [small[row, column].tolist() for row in rows for column in columns]


@given(st.integers(1, 8000), st.integers(1, 8000), st.integers(1, 400))
def test_the_short_side_is_exact_and_the_aspect_kept(width: int, height: int, side: int) -> None:
    new_width, new_height = scaled_size(width, height, side)
    assert min(new_width, new_height) == side
    assert (new_width > new_height) <= (width > height)
    long, short = max(width, height), min(width, height)
    # Rounded down, as pytorchvideo's short_side_scale: less than one pixel lost.
    assert 0 <= long * side / short - max(new_width, new_height) < 1


@pytest.mark.parametrize(
    "pixel_format",
    ["yuv420p", "yuvj420p", "yuv422p", "yuv444p", "nv12", "nv21", "yuv420p10le", "rgb24", "gbrp"],
)
@pytest.mark.parametrize("spec", [SPEC, OF_OLD], ids=["mipmap", "area"])
def test_every_pixel_format_gives_the_same_colours(pixel_format: str, spec: ClipSpec) -> None:
    frame = av.VideoFrame.from_ndarray(coloured(), format="rgb24").reformat(format=pixel_format)
    small = to_small_rgb(frame, spec)
    assert small.shape == (32, 53, 3)
    assert small.flags.c_contiguous
    assert np.abs(np.array(centres(small)) - np.array(list(QUADRANTS.values()))).max() <= 4


@pytest.mark.parametrize("colorspace", ["itu709", "itu601"])
def test_the_declared_matrix_is_followed(colorspace: str) -> None:
    source = av.VideoFrame.from_ndarray(coloured(), format="rgb24")
    frame = source.reformat(format="yuv444p", dst_colorspace=colorspace)
    frame.colorspace = 1 if colorspace == "itu709" else 5
    small = to_small_rgb(frame, SPEC)
    assert np.abs(np.array(centres(small)) - np.array(list(QUADRANTS.values()))).max() <= 4


def test_grey_video_gives_equal_channels() -> None:
    frame = av.VideoFrame.from_ndarray(coloured(), format="rgb24").reformat(format="gray")
    small = to_small_rgb(frame, SPEC)
    assert np.ptp(small, axis=2).max() == 0


def test_a_webcams_blue_first_picture_comes_out_red_first() -> None:
    small = to_small_rgb(BgrImage(np.ascontiguousarray(coloured()[:, :, ::-1])), SPEC)
    assert centres(small) == [list(colour) for colour in QUADRANTS.values()]


def test_odd_sizes_and_padded_rows_are_not_sheared() -> None:
    column = np.zeros((97, 161, 3), np.uint8)
    column[:, 60:100] = 255
    small = to_small_rgb(av.VideoFrame.from_ndarray(column, format="rgb24"), SPEC)
    assert np.ptp(small.astype(int), axis=0).max() <= 1


def halved(plane: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """As the recipe says it: averages of 2 x 2, half up, without an odd last row or column."""
    height, width = plane.shape[0] // 2 * 2, plane.shape[1] // 2 * 2
    even = plane[:height, :width].astype(int)
    sums = even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
    return np.asarray((sums + 2) // 4, np.uint8)


def bilinear(plane: npt.NDArray[np.uint8], width: int, height: int) -> npt.NDArray[np.float64]:
    """By its definition: centres of pixels on centres of pixels, edges repeated."""
    for axis, size in ((0, height), (1, width)):
        count = plane.shape[axis]
        at = np.clip((np.arange(size) + 0.5) * count / size - 0.5, 0, count - 1)
        low = np.floor(at).astype(int)
        share = (at - low).reshape((-1, 1) if axis == 0 else (1, -1))
        high = np.minimum(low + 1, count - 1)
        plane = plane.take(low, axis) * (1 - share) + plane.take(high, axis) * share
    return np.asarray(plane, np.float64)


@settings(max_examples=60, deadline=None)
@given(st.integers(10, 600), st.integers(10, 600))
def test_planes_are_halved_and_then_scaled_bilinearly(width: int, height: int) -> None:
    plane = np.random.default_rng(width * height).integers(0, 256, (height, width), np.uint8)
    frame = av.VideoFrame.from_ndarray(plane, format="gray")
    frame.color_range = 2  # full: luma is the grey level
    size = scaled_size(width, height, SPEC.short_side)
    while plane.shape[1] // 2 >= size[0] and plane.shape[0] // 2 >= size[1]:
        plane = halved(plane)
    small = to_small_rgb(frame, SPEC)
    assert np.abs(small[..., 0] - bilinear(plane, *size)).max() <= 1


def test_planes_of_their_own_and_interleaved_ones_give_the_same_picture() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (270, 482, 3), np.uint8)
    planar = av.VideoFrame.from_ndarray(noise, format="rgb24").reformat(format="yuv420p")
    nv12 = planar.reformat(format="nv12")
    assert np.array_equal(to_small_rgb(planar, SPEC), to_small_rgb(nv12, SPEC))


def test_stripes_too_fine_to_show_become_grey_and_do_not_alias() -> None:
    stripes = np.zeros((720, 1280, 3), np.uint8)
    stripes[:, ::2] = 255
    small = to_small_rgb(av.VideoFrame.from_ndarray(stripes, format="rgb24"), SPEC)
    assert np.abs(small.astype(int) - 128).max() <= 1


def test_a_small_picture_is_enlarged() -> None:
    frame = av.VideoFrame.from_ndarray(coloured(20, 10), format="rgb24").reformat(format="yuv444p")
    assert to_small_rgb(frame, SPEC).shape == (32, 64, 3)


def test_a_phones_rotation_is_undone(tmp_path: Path) -> None:
    """A file whose display matrix turns it: what players show upright must be upright here."""
    path = tmp_path / "turned.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv444p"
        stream.options = {"qp": "0"}
        container.mux(stream.encode(av.VideoFrame.from_ndarray(coloured(), format="rgb24")))
        container.mux(stream.encode(None))
    with av.open(str(path)) as recording:
        frame = next(recording.decode(video=0))
    assert frame.rotation == 0
    upright = to_small_rgb(frame, SPEC)

    class Turned:
        """The frame as a phone stores it: lying, with a note to turn it."""

        def __init__(self, degrees: int) -> None:
            self.rotation = degrees

        def __getattr__(self, name: str) -> object:
            return getattr(frame, name)

    # FFmpeg's angle is counter-clockwise: 90 means "turn a quarter counter-clockwise to show".
    turned = to_small_rgb(Turned(90), SPEC)  # type: ignore[arg-type]
    assert np.array_equal(turned, np.rot90(upright))
