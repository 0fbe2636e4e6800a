"""Predictions as JSON lines, CSV, WebVTT and an annotated video, read again by others."""

import csv
import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcls.engine import Engine
from streamcls.offline import annotate as annotating
from streamcls.offline.annotate import annotate
from streamcls.offline.formats import CSV_COLUMNS, csv_lines, json_lines, web_vtt
from streamcls.offline.predict import FailedVideo, VideoPrediction, predictions
from streamcls.offline.recordings import LabelEvent, reading
from streamcls.offline.tracks import read_tracks
from tests.videos import write_video

BAD = FailedVideo(Path("bad.mp4"), "bad.mp4 is no video")


@pytest.fixture(scope="module")
def result(engine: Engine, day: Path) -> VideoPrediction:
    (one,) = predictions([day], reading(engine, stride_s=0.5))
    assert isinstance(one, VideoPrediction)
    return one


def cues(path: Path) -> list[tuple[float, float, str]]:
    """A WebVTT file as FFmpeg's own parser reads it: start, end, text."""
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[0]
        return [
            (
                float(p.pts * p.time_base),
                float((p.pts + p.duration) * p.time_base),
                bytes(p).decode(),
            )
            for p in container.demux(stream)
            if p.size and p.pts is not None and p.duration is not None
        ]


def test_a_json_line_holds_all_of_a_video(result: VideoPrediction) -> None:
    first, second = map(json.loads, json_lines([result, BAD]))
    assert first["path"] == str(result.path)
    assert len(first["windows"]) == len(result.windows)
    assert first["events"][0]["label"] == "rise"
    assert second == {"path": "bad.mp4", "error": BAD.reason}


def test_a_csv_row_stands_for_a_video_a_window_or_an_event(result: VideoPrediction) -> None:
    rows = list(csv.DictReader(csv_lines([result, BAD])))
    assert tuple(rows[0]) == CSV_COLUMNS
    kinds = [row["kind"] for row in rows]
    assert kinds == ["video"] + ["window"] * len(result.windows) + ["event"] * 2
    assert (rows[-1]["label"], float(rows[-1]["end_s"])) == ("fall", result.events[1].end_s)


def test_subtitles_have_a_cue_for_each_event(result: VideoPrediction, tmp_path: Path) -> None:
    path = tmp_path / "day.vtt"
    path.write_text(web_vtt(result.events))
    expected = [(event.start_s, event.end_s, event.label) for event in result.events]
    read = cues(path)
    assert [text for _, _, text in read] == [label for _, _, label in expected]
    for (start_s, end_s, _), (from_s, to_s, _) in zip(read, expected, strict=True):
        assert (start_s, end_s) == pytest.approx((from_s, to_s), abs=1e-3)
    # What is told as subtitles serves as a label track, too.
    (track,) = read_tracks(path, [tmp_path / "day.mp4"], ["rise", "fall"]).values()
    assert [segment.label for segment in track] == ["rise", "fall"]


@given(
    start_s=st.floats(0, 200_000, allow_subnormal=False),
    length_s=st.floats(0, 10),
)
def test_a_cue_ends_after_it_starts_however_short_its_event(
    start_s: float, length_s: float
) -> None:
    event = LabelEvent("a -->\n\nb & <c>", start_s, start_s + length_s, 0.0, 1.0, 1.0)
    lines = web_vtt([event]).splitlines()
    assert lines[0] == "WEBVTT"
    assert lines[3:] == ["a --&gt; b &amp; &lt;c&gt;"]
    start, end = lines[2].split(" --> ")
    assert len(start) >= 12
    assert end.rjust(20, "0") > start.rjust(20, "0")


def with_sound(path: Path, video: Path) -> Path:
    """The video with a second of silence as AAC."""
    with av.open(str(video)) as source, av.open(str(path), "w") as target:
        pictures = source.streams.video[0]
        copy = target.add_stream_from_template(pictures)
        sound = target.add_stream("aac", rate=8000)
        for packet in source.demux(pictures):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
        for n in range(8):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts = 8000, 1024 * n
            target.mux(sound.encode(frame))
        target.mux(sound.encode(None))
    return path


@pytest.mark.parametrize("encoder", ["libx264", "mpeg4"])
def test_an_annotated_video_keeps_every_time_and_shows_the_labels(
    encoder: str, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(annotating, "_ENCODERS", (encoder,))
    times_s = [Fraction(n, 10) + (n % 3) * Fraction(1, 100) for n in range(30)]
    video = write_video(tmp_path / "in.mp4", times_s=times_s, size=(320, 240))
    (result,) = predictions([video], reading(engine))
    assert isinstance(result, VideoPrediction)
    annotate(result, tmp_path / "out.mp4")
    with av.open(str(video)) as one, av.open(str(tmp_path / "out.mp4")) as two:
        before, after = list(one.decode(video=0)), list(two.decode(video=0))
    assert [f.time for f in after] == pytest.approx([f.time for f in before], abs=1e-4)
    change = np.abs(
        before[5].to_ndarray(format="gray").astype(int) - after[5].to_ndarray(format="gray")
    )
    corner, rest = change[:40, :160], change[120:, :]
    assert (corner > 80).sum() > 100
    assert (rest > 80).sum() < 10
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["in.mp4", "out.mp4"]


def test_the_sound_of_an_annotated_video_is_that_of_the_video(
    engine: Engine, tmp_path: Path
) -> None:
    silent = write_video(tmp_path / "silent.mp4", frames=30)
    video = with_sound(tmp_path / "sound.mkv", silent)
    (result,) = predictions([video], reading(engine))
    assert isinstance(result, VideoPrediction)
    annotate(result, tmp_path / "out.mp4")

    def sound(path: Path) -> list[bytes]:
        with av.open(str(path)) as container:
            stream = container.streams.audio[0]
            return [bytes(packet) for packet in container.demux(stream) if packet.size]

    assert sound(tmp_path / "out.mp4") == sound(video) != []


def test_a_video_of_odd_size_is_annotated(
    result: VideoPrediction, engine: Engine, tmp_path: Path
) -> None:
    video = write_video(
        tmp_path / "odd.mkv", frames=20, size=(101, 75), codec="ffv1", pix_fmt="bgr0"
    )
    (one,) = predictions([video], reading(engine))
    assert isinstance(one, VideoPrediction)
    annotate(one, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        frame = next(container.decode(video=0))
    assert (frame.width, frame.height) == (100, 74)
