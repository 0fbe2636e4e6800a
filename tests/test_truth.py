"""The proof that labels are right: videos of known camera motion through the whole line.

The photographs were never used in training (tests/data/photos).
"""

from pathlib import Path

import pytest

from streamcls.finetune.camera_motion.video import write_video
from streamcls.models.bundle import find_bundle
from streamcls.models.manifest import read_manifest
from tests.rtsp import rtsp_server
from tests.scoring import Truth, score
from tests.serving import Served, config, serving, stream

PHOTOS = Path(__file__).parent / "data" / "photos"
SCRIPTS = {
    "china": "still 5 pan_left 4 still 3 zoom_in 4 still 3 tilt_up 4 still 3 shaking 4 still 3",
    "coffee": "still 4 zoom_out 4 still 3 pan_right 4 still 3 covered 4 still 3 tilt_down 4",
    "sunset": "still 4 shaking 4 still 3 tilt_down 4 still 3 pan_left 4 still 3 covered 5 still 3",
    "life": "still 4 tilt_up 4 still 3 zoom_in 4 still 3 pan_right 4 still 3 zoom_out 4 still 3",
}
START_TOLERANCE_S = 1.5


def film(folder: Path, photo: str, *, codec: str = "libx264") -> tuple[Path, list[Truth]]:
    words = SCRIPTS[photo].split()
    segments = [(label, float(s)) for label, s in zip(words[::2], words[1::2], strict=True)]
    path = folder / f"{photo}.mp4"
    return path, write_video(path, PHOTOS / f"{photo}.jpg", segments, seed=7, codec=codec)


def assert_true(served: Served, name: str, truth: list[Truth]) -> None:
    manifest = read_manifest(find_bundle("camera-motion"))
    heard = served.of(name)
    origin_s = heard.predictions[0].start_s
    background = manifest.decisions.background_label
    assert background == "still"
    result = score(heard.whole_events(), truth, origin_s=origin_s, background=background)
    print(f"{name}: {result.describe()}")
    assert result.f1 >= 0.95
    limit_s = START_TOLERANCE_S + float(manifest.clip_spec.span_s)
    assert result.latest_start_s() <= limit_s


def test_events_of_files_match_what_the_camera_did(tmp_path: Path) -> None:
    films = {photo: film(tmp_path, photo) for photo in SCRIPTS}
    streams = "".join(
        stream(photo, path, pace='"fastest"', stride_s="0.5") for photo, (path, _) in films.items()
    )
    with serving(config(tmp_path, streams, model="camera-motion", backend="auto")) as served:
        for photo in films:
            if served.of(photo).states[-1:] != ["stopped"]:
                served.until_state(photo, "stopped")
        assert served.process.wait(60) == 0
        served.drain()
    for photo, (_, truth) in films.items():
        assert_true(served, photo, truth)


@pytest.mark.rtsp
def test_the_same_films_as_rtsp_cameras_give_the_same_events(tmp_path: Path) -> None:
    films = {photo: film(tmp_path, photo) for photo in ("china", "coffee")}
    with (
        rtsp_server(file=films["china"][0]) as first,
        rtsp_server(file=films["coffee"][0]) as second,
    ):
        streams = stream("china", first.url, stride_s="0.5")
        streams += stream("coffee", second.url, stride_s="0.5")
        with serving(config(tmp_path, streams, model="camera-motion", backend="auto")) as served:
            for photo in films:  # the film's end is a camera that goes away
                if "backoff" not in served.of(photo).states:
                    served.until_state(photo, "backoff")
            assert served.terminate() == 0
            served.drain()
    for photo, (_, truth) in films.items():
        assert_true(served, photo, truth)
