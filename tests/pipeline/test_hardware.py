"""Decoding on a graphics card: asked for by name, refused where there is none, else the same."""

from pathlib import Path

import numpy as np
import pytest

from streamcls.config import CaptureSettings, Pace, StreamSettings, parse_settings
from streamcls.errors import ConfigError
from streamcls.pipeline.sources import open_source
from streamcls.pipeline.sources.hardware import accelerator, check_accelerator
from streamcls.transforms import ClipSpec, to_small_rgb
from tests.conftest import has_gpu
from tests.pipeline.playing import play
from tests.pipeline.stubs import ManualClock
from tests.videos import write_video

SPEC = ClipSpec(num_frames=2, sampling_rate=1, trained_fps=1, short_side=64, crop=64)


def test_without_it_nothing_is_opened() -> None:
    assert accelerator("none") is None
    check_accelerator("none")


@pytest.mark.skipif(has_gpu(), reason="this machine has a CUDA device")
def test_a_card_that_is_not_there_is_refused_with_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r'`hwaccel` = "cuda" in \[capture\]: .*use "none"'):
        check_accelerator("cuda")


def test_a_kind_of_device_that_ffmpeg_is_built_without_is_refused() -> None:
    with pytest.raises(ConfigError, match="this FFmpeg is built without it"):
        check_accelerator("mediacodec")


def test_an_unknown_word_is_refused_by_the_configuration() -> None:
    text = '[capture]\nhwaccel = "nvdec"\n[[streams]]\nid = "a"\nurl = "webcam:0"\n'
    with pytest.raises(ConfigError, match="hwaccel"):
        parse_settings(text)


@pytest.mark.gpu
@pytest.mark.parametrize(("codec", "b_frames"), [("libx264", 0), ("libx264", 2), ("libx265", 2)])
def test_a_card_decodes_the_same_pictures_bit_for_bit(
    tmp_path: Path, codec: str, b_frames: int
) -> None:
    path = write_video(
        tmp_path / "clip.mp4", frames=30, size=(640, 360), codec=codec, b_frames=b_frames
    )
    settings = StreamSettings("file", str(path), pace=Pace.FASTEST)
    check_accelerator("cuda")
    both = [
        play(open_source(settings, CaptureSettings(hwaccel=name), ManualClock()))
        for name in ("none", "cuda")
    ]
    assert len(both[0]) == 30
    assert [frame.media_s for frame in both[1]] == [frame.media_s for frame in both[0]]
    for ours, theirs in zip(*both, strict=True):
        expected = to_small_rgb(ours.image, SPEC)
        assert np.array_equal(to_small_rgb(theirs.image, SPEC), expected)


@pytest.mark.gpu
def test_what_the_card_cannot_decode_the_processor_does(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.avi", frames=10, codec="ffv1")
    settings = StreamSettings("file", str(path), pace=Pace.FASTEST)
    frames = play(open_source(settings, CaptureSettings(hwaccel="cuda"), ManualClock()))
    assert len(frames) == 10
