"""Damaged recordings: played or skipped as far as they go, in time and memory, without a crash."""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from streamcls.clock import SystemClock
from streamcls.config import CaptureSettings, Pace, StreamSettings
from streamcls.errors import SourceError, UnusableSource
from streamcls.finetune.clips.reader import probe, read_clip
from streamcls.finetune.clips.samplers import Uniform
from streamcls.frames import Frame, Undecoded
from streamcls.pipeline.sources import open_source
from streamcls.transforms import ClipSpec, to_small_rgb
from tests.fuzz.cases import told
from tests.fuzz.conftest import Cases
from tests.fuzz.limits import Worker, serve
from tests.fuzz.mutate import damaged, mutated
from tests.videos import write_video

LIMIT_S = 10.0
_MEMORY_MB = 1500
SPEC = ClipSpec(num_frames=4, sampling_rate=3, trained_fps=30, short_side=36, crop=32)
VIDEOS: dict[str, dict[str, Any]] = {
    "a.mp4": {"muxing": {"movflags": "faststart"}},
    "fragments.mp4": {"muxing": {"movflags": "frag_keyframe+empty_moov"}, "b_frames": 2},
    "a.mkv": {"b_frames": 2},
    "a.avi": {"codec": "mpeg4"},
    "jpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "a.ts": {},
    "a.h264": {},
    "deep.mp4": {"pix_fmt": "yuv444p10le"},
}
# A raw stream has no times to seek by; finetune takes containers alone.
READERS = [(name, reader) for name in VIDEOS for reader in ("daemon", "finetune")]
READERS.remove(("a.h264", "finetune"))


def spoilt(sound: bytes, name: str, number: int) -> bytes:
    """The file of one case: damaged all over or in its first bytes, or changed by a mind."""
    chance = random.Random(f"{name} {number}")
    kind = chance.randrange(4)
    if kind == 0:
        head = chance.choice((64, 400, 1000))
        return damaged(sound[:head], chance) + sound[head:]
    return mutated(sound, chance) if kind == 1 else damaged(sound, chance)


def play(path: Path) -> str:
    """Play a file to its end as the daemon does, each frame converted; what came of it."""
    settings = StreamSettings(id="cam", url=str(path), pace=Pace.FASTEST)
    limits = CaptureSettings(open_timeout_s=LIMIT_S, read_timeout_s=LIMIT_S)
    frames = 0
    try:
        for frame in open_source(settings, limits, SystemClock()).frames(threading.Event()):
            assert isinstance(frame, Frame)
            assert not isinstance(frame.image, Undecoded)
            assert to_small_rgb(frame.image, SPEC).shape[2] == 3
            frames += 1
    except SourceError as error:
        told(error)
        return error.reason
    return "played" if frames else "empty"


def read(path: Path) -> str:
    """Read a file's clips as finetune does; what came of it."""
    try:
        info = probe(path)
        for start_s in {Fraction(0), *Uniform(3)(info.length_s, SPEC)}:
            clip = read_clip(path, start_s, SPEC, first_s=info.first_s)
            assert clip.shape[0] == SPEC.num_frames
    except UnusableSource as error:
        told(error)
        return "unusable"
    return "read"


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker("tests.fuzz.test_videos", limit_s=LIMIT_S) as worker:
        yield worker


@pytest.mark.parametrize(("name", "reader"), READERS)
def test_a_damaged_video_is_played_as_far_as_it_goes(
    cases: Cases, name: str, reader: str, worker: Worker, tmp_path: Path
) -> None:
    write_video(tmp_path / name, frames=24, size=(96, 64), gop=6, **VIDEOS[name])
    findings, words = [], Counter[str]()
    for case in cases(25):
        outcome = worker.run(f"{reader} {case.number} {tmp_path / name}")
        words[outcome.word] += 1
        if outcome.finding:
            findings.append(f"{case}: {outcome.finding}")
    print(reader, name, dict(words))
    assert not findings, "\n".join([f"{len(findings)} findings", *findings[:20]])


def _one(line: str) -> str:
    reader, number, name = line.split(maxsplit=2)
    path = Path(name)
    bad = path.with_stem("spoilt")
    bad.write_bytes(spoilt(path.read_bytes(), path.name, int(number)))
    return play(bad) if reader == "daemon" else read(bad)


if __name__ == "__main__":
    serve(_one, megabytes=_MEMORY_MB)
