"""Whatever is wrong with a file, it is named in one line, and what can be played is."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from streamcls.clock import SystemClock
from streamcls.config import CaptureSettings, Pace, StreamSettings
from streamcls.errors import SourceError, UnusableSource
from streamcls.finetune.clips.reader import probe
from streamcls.frames import Frame
from streamcls.pipeline.sources import open_source
from tests.pipeline.playing import numbers_in, play, source
from tests.videos import write_audio, write_video


def _missing(folder: Path) -> Path:
    return folder / "missing.mp4"


def _folder(folder: Path) -> Path:
    return folder


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.mp4")
    return folder / "pipe.mp4"


def _text(folder: Path) -> Path:
    (folder / "text.mp4").write_text("not a video\n" * 100)
    return folder / "text.mp4"


def _empty(folder: Path) -> Path:
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def _audio(folder: Path) -> Path:
    return write_audio(folder / "sound.mp4")


def _without_index(folder: Path) -> Path:
    return _cut(write_video(folder / "whole.mp4"))


def _playlist(folder: Path) -> Path:
    segment = write_video(folder / "segment.ts")
    (folder / "list.m3u8").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{segment}\n#EXT-X-ENDLIST\n"
    )
    return folder / "list.m3u8"


def _concatenation(folder: Path) -> Path:
    write_video(folder / "segment.ts")
    (folder / "list.mp4").write_text("ffconcat version 1.0\nfile segment.ts\n")
    return folder / "list.mp4"


def _monstrous(folder: Path) -> Path:
    """A motion JPEG whose headers promise 65500 x 65500 pixels."""
    small = write_video(folder / "small.avi", frames=3, codec="mjpeg", pix_fmt="yuvj420p")
    data = bytearray(small.read_bytes())
    start = data.find(b"\xff\xc0")
    while start >= 0:
        data[start + 5 : start + 9] = (65500).to_bytes(2, "big") * 2
        start = data.find(b"\xff\xc0", start + 1)
    (folder / "monstrous.avi").write_bytes(data)
    return folder / "monstrous.avi"


def _cut(path: Path) -> Path:
    data = path.read_bytes()
    cut = path.with_stem("cut")
    cut.write_bytes(data[: len(data) * 2 // 3])
    return cut


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_missing, "missing"),
        (_folder, "unusable"),
        (_pipe, "unusable"),
        (_text, "unusable"),
        (_empty, "unusable"),
        (_audio, "unusable"),
        (_without_index, "unusable"),
        (_playlist, "unusable"),
        (_concatenation, "unusable"),
        (_monstrous, "unusable"),
    ],
)
def test_a_bad_file_is_named_in_one_line(
    tmp_path: Path, make: Callable[[Path], Path], reason: str
) -> None:
    path = make(tmp_path)
    with pytest.raises(SourceError) as caught:
        play(source(path))
    assert caught.value.reason == reason
    assert isinstance(caught.value, UnusableSource) == (reason == "unusable")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "muxing"),
    [
        ("whole.mp4", {"movflags": "faststart"}),
        ("whole.mp4", {"movflags": "frag_keyframe+empty_moov"}),
    ],
)
def test_a_file_cut_in_its_data_plays_what_it_holds_and_says_so(
    tmp_path: Path, name: str, muxing: dict[str, str]
) -> None:
    cut = _cut(write_video(tmp_path / name, frames=60, size=(320, 240), muxing=muxing))
    frames: list[Frame] = []
    with pytest.raises(SourceError, match="cut off or damaged") as caught:
        frames.extend(source(cut).frames(threading.Event()))
    assert caught.value.reason == "truncated"
    assert numbers_in(frames) == list(range(len(frames)))
    assert 20 < len(frames) < 60


@pytest.mark.parametrize("name", ["whole.mkv", "whole.ts"])
def test_a_cut_recording_in_a_streaming_container_ends_like_any_other(
    tmp_path: Path, name: str
) -> None:
    frames = play(source(_cut(write_video(tmp_path / name, frames=60, size=(320, 240)))))
    assert numbers_in(frames) == list(range(len(frames)))
    assert 20 < len(frames) < 60


def test_corrupt_packets_are_counted_and_skipped(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=48, gop=8, size=(320, 240))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200] = b"\x5a" * 200
    path.write_bytes(data)
    player = source(path)
    frames = play(player)
    assert player.decode_errors > 0
    assert len(frames) > 30
    assert numbers_in(frames)[-8:] == list(range(40, 48))


def _limited(path: Path, max_pixels: int) -> tuple[list[Frame], UnusableSource]:
    """What a file gives before it is refused, and the refusal."""
    player = open_source(
        StreamSettings(id="cam", url=str(path), pace=Pace.FASTEST),
        CaptureSettings(max_pixels=max_pixels),
        SystemClock(),
    )
    frames: list[Frame] = []
    with pytest.raises(UnusableSource) as caught:
        frames.extend(player.frames(threading.Event()))
    return frames, caught.value


def test_pictures_larger_than_allowed_are_refused_by_their_size(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", size=(320, 240))
    frames, error = _limited(path, 320 * 240 - 1)
    assert frames == []
    assert "320 x 240, more than `max_pixels` = 76799" in str(error)


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_pictures_that_grow_too_large_midway_are_never_decoded(tmp_path: Path, codec: str) -> None:
    small = write_video(tmp_path / "a.ts", frames=20, size=(128, 96), codec=codec)
    large = write_video(tmp_path / "b.ts", frames=20, size=(640, 480), codec=codec)
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    frames, error = _limited(both, 200_000)
    assert {(frame.image.width, frame.image.height) for frame in frames} == {(128, 96)}
    assert len(frames) > 15
    assert "640 x 480, more than `max_pixels` = 200000" in str(error)


@pytest.mark.parametrize("size", [(16, 1024), (1024, 16)])
def test_a_strip_is_refused_before_scaling_makes_it_enormous(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    frames, error = _limited(write_video(tmp_path / "a.mp4", size=size), 10**6)
    assert frames == []
    assert f"{size[0]} x {size[1]}" in str(error)


def test_a_title_that_is_not_utf_8_keeps_nobody_from_the_pictures(tmp_path: Path) -> None:
    path = write_video(tmp_path / "old.mkv", frames=5, title="cafXX")
    data = path.read_bytes()
    assert b"cafXX" in data
    path.write_bytes(data.replace(b"cafXX", b"caf\xe9\xff"))
    assert numbers_in(play(source(path))) == list(range(5))
    assert probe(path).num_frames == 5
