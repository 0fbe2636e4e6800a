"""One transform stack: what the daemon classifies and what finetune validates on, bit for bit."""

import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from streamcls.clock import SystemClock
from streamcls.config import CaptureSettings, Pace, StreamSettings
from streamcls.finetune.clips.reader import probe, read_clip
from streamcls.finetune.clips.samplers import Uniform
from streamcls.finetune.data import Record, VideoData
from streamcls.finetune.data.checking import check
from streamcls.finetune.loading import ValidationClips
from streamcls.frames import Window
from streamcls.models.zoo import ZOO
from streamcls.pipeline.sources import open_source
from streamcls.pipeline.windows import WindowAssembler
from streamcls.transforms import ClipSpec, WindowPlan, to_small_rgb
from streamcls.transforms.clip import clip_batch, pathways
from tests.videos import number_in, write_video

CPU = torch.device("cpu")


def streamed(path: Path, spec: ClipSpec, stride_s: float) -> list[Window]:
    """The windows the daemon's own stages make of a file."""
    clock = SystemClock()
    settings = StreamSettings("file", str(path), pace=Pace.FASTEST)
    assembler = WindowAssembler(
        "file",
        WindowPlan.of(spec, stride_s),
        convert=lambda image: to_small_rgb(image, spec),
        min_coverage=0,
        live=False,
        clock=clock,
    )
    source = open_source(settings, CaptureSettings(), clock)
    frames = source.frames(threading.Event())
    return [window for frame in frames for window in assembler.push(frame)]


@pytest.mark.parametrize("name", ZOO)
def test_streaming_and_validation_give_bit_identical_tensors(name: str, tmp_path: Path) -> None:
    spec = ZOO[name].clip_spec
    # B-frames, a rate that fits no grid, times that jitter, and a start that is not zero.
    path = write_video(
        tmp_path / "clip.mkv",
        frames=round(29.97 * (float(spec.span_s) + 2)),
        fps=Fraction(30000, 1001),
        size=(320, 180),
        b_frames=2,
        jitter_s=0.01,
    )
    info = probe(path)
    windows = streamed(path, spec, 0.4)
    assert len(windows) >= 4
    for window in windows:
        start_s = window.start_s - info.first_s
        clip = read_clip(path, start_s, spec, first_s=info.first_s)
        served = pathways(clip_batch([window.clip], spec, CPU), spec)
        validated = pathways(clip_batch([clip], spec, CPU), spec)
        assert len(served) == len(spec.pathways)
        for ours, theirs in zip(served, validated, strict=True):
            assert torch.equal(ours, theirs)


def test_an_avi_with_b_frames_which_tells_no_presentation_times_is_read_in_order(
    tmp_path: Path,
) -> None:
    spec = ZOO["x3d_xs"].clip_spec
    path = write_video(
        tmp_path / "clip.avi", frames=150, fps=25, size=(320, 180), codec="libx264", b_frames=2
    )
    info = probe(path)
    assert info.length_s >= 5
    windows = streamed(path, spec, 0.4)
    assert {window.stream_epoch for window in windows} == {1}
    assert len(windows) >= 10
    for window in windows:
        assert [number_in(picture) for picture in window.clip] == pytest.approx(
            [round(25 * (window.start_s + i * spec.frame_interval_s)) for i in range(4)], abs=2
        )
        clip = read_clip(path, window.start_s - info.first_s, spec, first_s=info.first_s)
        assert (clip == window.clip).all()


def test_the_validation_set_of_finetune_reads_windows_of_the_stream(tmp_path: Path) -> None:
    spec = ZOO["x3d_xs"].clip_spec
    path = write_video(tmp_path / "clip.mp4", frames=150, fps=25, size=(320, 180), b_frames=2)
    records = [Record(path, (label,)) for label in "ab"]
    videos = check(VideoData.of(records, records)).val
    validation = ValidationClips(videos, spec, classes=2, sampler=Uniform(4))
    by_clip = {np.array(window.clip).tobytes(): window for window in streamed(path, spec, 0.4)}
    for index in range(len(validation)):
        assert validation[index][0].clip.numpy().tobytes() in by_clip


def test_a_clip_is_the_same_alone_and_in_a_batch(tmp_path: Path) -> None:
    spec = ZOO["x3d_xs"].clip_spec
    wide = write_video(tmp_path / "wide.mp4", frames=60, fps=25, size=(320, 180))
    tall = write_video(tmp_path / "tall.mp4", frames=60, fps=25, size=(180, 320))
    clips = [streamed(path, spec, 0.4)[0].clip for path in (wide, tall)]
    together = clip_batch(clips, spec, CPU)
    for i, clip in enumerate(clips):
        assert torch.equal(together[i : i + 1], clip_batch([clip], spec, CPU))
