"""Clips played one after another: no gap between them, and a track that says what was played."""

from itertools import pairwise
from pathlib import Path

import pytest

from streamcls.engine import Engine
from streamcls.finetune.data.records import Record
from streamcls.offline.evaluate import judge
from streamcls.offline.recordings import reading
from streamcls.offline.streams import score_clips, streams_of
from streamcls.offline.tuning import tuned
from tests.offline.footage import write_scenes
from tests.videos import write_video


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    folder = tmp_path_factory.mktemp("clips")
    return [
        Record(write_scenes(folder / f"{label}{n}.mp4", [(label, 2.0)]), (label,))
        for label in ("rest", "rise", "fall")
        for n in range(3)
    ]


def test_a_stream_has_no_gaps_and_its_track_tells_of_every_frame(clips: list[Record]) -> None:
    (stream,), failed = streams_of(clips)
    times_s = [frame.media_s for frame in stream.frames() if frame.media_s is not None]
    assert failed == []
    steps = {later - earlier for earlier, later in pairwise(times_s)}
    assert [float(step) for step in steps] == [0.1]
    assert times_s[0] == 0
    assert len(times_s) == 9 * 20
    assert sum(part.end_s - part.start_s for part in stream.track) == pytest.approx(18)


def test_the_order_is_drawn_by_the_seed_alone(clips: list[Record]) -> None:
    def track(given: list[Record], seed: int) -> object:
        (stream,), _ = streams_of(given, seed=seed)
        assert sum(1 for _ in stream.frames())
        return stream.track

    assert track(clips, 0) == track(clips[::-1], 0)
    assert len({track(clips, seed) for seed in range(5)}) > 1


def test_only_the_labelled_stretch_is_played(day: Path) -> None:
    (stream,), _ = streams_of([Record(day, ("rise",), 3.0, 6.0), Record(day, ("fall",), 8.0, 9.0)])
    assert sum(1 for _ in stream.frames()) == 40
    lengths = {part.label: part.end_s - part.start_s for part in stream.track}
    assert lengths == {"rise": pytest.approx(3), "fall": pytest.approx(1)}


def test_pictures_of_each_size_are_a_stream_of_their_own(
    clips: list[Record], tmp_path: Path
) -> None:
    wide = Record(write_scenes(tmp_path / "wide.mp4", [("rise", 1.0)], size=(96, 48)), ("rise",))
    streams, _ = streams_of([*clips, wide])
    assert [sum(1 for _ in stream.frames()) for stream in streams] == [10, 180]


def test_a_bad_clip_is_named_and_the_rest_goes_on(
    engine: Engine, clips: list[Record], tmp_path: Path
) -> None:
    text, cut = tmp_path / "text.mp4", tmp_path / "cut.mp4"
    text.write_text("no video")
    index_first = {"movflags": "+faststart"}
    whole = write_video(tmp_path / "w.mp4", frames=90, size=(64, 48), muxing=index_first)
    cut.write_bytes(whole.read_bytes()[:-2000])
    bad = [Record(text, ("rise",)), Record(cut, ("fall",))]
    scored, tracks, failed = score_clips(reading(engine), [*clips, *bad])
    assert len(scored) == 1
    assert sorted(Path(problem.split()[0]).name for problem in failed) == ["cut.mp4", "text.mp4"]
    (track,) = tracks.values()
    assert track[-1].end_s > 18


def test_decisions_are_tuned_on_clips_alone(engine: Engine, clips: list[Record]) -> None:
    settings = reading(engine, stride_s=0.3)
    scored, tracks, _ = score_clips(settings, clips)
    assert judge(settings, scored, tracks).total.f1 == 1.0
    assert set(tuned(settings, scored, tracks).labels) == {"rise", "fall"}
