"""Label tracks from CSV, JSON and WebVTT, and what is refused."""

import json
from pathlib import Path

import pytest

from streamcls.errors import DataError
from streamcls.offline.tracks import Segment, read_tracks, track_of

LABELS = ("rest", "rise", "fall")


@pytest.fixture
def videos(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "a" / "one.mp4", tmp_path / "b" / "two.mp4"]
    for path in paths:
        path.parent.mkdir()
        path.touch()
    return paths


def test_a_csv_tells_of_all_videos_by_path_or_by_name(tmp_path: Path, videos: list[Path]) -> None:
    table = tmp_path / "tracks.csv"
    table.write_text(
        "video,label,start_s,end_s\na/one.mp4,rise,1,2.5\ntwo.mp4,fall,0,1\nelsewhere.mp4,x,0,1\n"
    )
    tracks = read_tracks(table, videos, LABELS)
    assert tracks == {
        videos[0]: (Segment(1, 2.5, "rise"),),
        videos[1]: (Segment(0, 1, "fall"),),
    }


def test_a_row_without_a_label_says_that_nothing_happens(
    tmp_path: Path, videos: list[Path]
) -> None:
    table = tmp_path / "tracks.csv"
    table.write_text("label,start_s,end_s,video\nrise,1,2,a/one.mp4\n,,,b/two.mp4\nrise,1,2\n")
    tracks = read_tracks(table, videos, LABELS)
    assert tracks == {videos[0]: (Segment(1, 2, "rise"),), videos[1]: ()}


def test_json_and_webvtt_lie_beside_their_videos_or_in_a_folder(
    tmp_path: Path, videos: list[Path]
) -> None:
    rise = [{"label": "rise", "start_s": 1, "end_s": 2}]
    vtt = "WEBVTT\n\nNOTE by hand\n\n1\n00:01.000 --> 01:00:02.500 align:start\nfall\n"
    videos[0].with_suffix(".json").write_text(json.dumps(rise))
    videos[1].with_suffix(".vtt").write_text(vtt)
    expected = {videos[0]: (Segment(1, 2, "rise"),), videos[1]: (Segment(1, 3602.5, "fall"),)}
    assert read_tracks(None, videos, LABELS) == expected
    for video in videos:
        for path in video.parent.glob("*.[jv]*"):
            path.rename(tmp_path / path.name)
    assert read_tracks(tmp_path, videos, LABELS) == expected
    assert read_tracks(tmp_path / "one.json", videos[:1], LABELS)[videos[0]] == expected[videos[0]]


def test_segments_of_one_label_that_touch_are_one() -> None:
    parts = [Segment(2, 4, "rise"), Segment(0, 2, "rise"), Segment(1, 3, "fall")]
    assert track_of(parts) == (Segment(0, 4, "rise"), Segment(1, 3, "fall"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("video,label\n", "columns"),
        ("video,label,start_s,end_s\none.mp4,rise,2,1\ntwo.mp4,rise,0,1\n", "line 2: 'rise'"),
        ("video,label,start_s,end_s\none.mp4,rise,x,1\ntwo.mp4,rise,0,1\n", "line 2"),
        ("video,label,start_s,end_s\none.mp4,sky,0,1\ntwo.mp4,rise,0,1\n", "'sky'"),
        ("video,label,start_s,end_s\none.mp4,rise,0,1\n", r"no row for .*two\.mp4"),
    ],
)
def test_a_bad_csv_says_where(text: str, words: str, tmp_path: Path, videos: list[Path]) -> None:
    table = tmp_path / "tracks.csv"
    table.write_text(text)
    with pytest.raises(DataError, match=words):
        read_tracks(table, videos, LABELS)


def test_a_name_that_two_videos_bear_is_refused(tmp_path: Path, videos: list[Path]) -> None:
    twin = videos[1].with_name("one.mp4")
    table = tmp_path / "tracks.csv"
    table.write_text("video,label,start_s,end_s\none.mp4,rise,0,1\n")
    with pytest.raises(DataError, match="write its path"):
        read_tracks(table, [videos[0], twin], LABELS)


@pytest.mark.parametrize("text", ["{", "{}", "[1]", '[{"label": "rise"}]', "[" * 100_000])
def test_a_bad_json_is_named(text: str, videos: list[Path]) -> None:
    videos[0].with_suffix(".json").write_text(text)
    with pytest.raises(DataError, match=r"one\.json"):
        read_tracks(None, videos[:1], LABELS)


def test_a_video_without_a_track_is_named(videos: list[Path]) -> None:
    with pytest.raises(DataError, match=r"one\.mp4 has no label track"):
        read_tracks(None, videos, LABELS)
