"""Films to measure with, and recordings without an end."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from streamcls.bench import films
from streamcls.bench.costs import Costs, costs_of
from streamcls.bench.films import Recording, Size
from streamcls.errors import ConfigError
from tests.models.small import SPEC
from tests.videos import write_video

SMALL = Size(128, 96)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return films.filmed(tmp_path_factory.mktemp("cache"), SMALL, Fraction(10))


def test_a_film_is_as_cameras_encode(film: Path) -> None:
    recording = Recording.of(film)
    assert (recording.codec, recording.size) == ("h264", SMALL)
    assert recording.fps == pytest.approx(10)
    assert recording.seconds == pytest.approx(films.SECONDS)
    with av.open(str(film)) as container:
        kinds = [
            av.video.frame.PictureType(frame.pict_type).name for frame in container.decode(video=0)
        ]
    assert [kinds.index("I", first) for first in range(0, 100, 20)] == [0, 20, 40, 60, 80]
    assert "B" not in kinds


def test_a_film_is_made_once(film: Path) -> None:
    made_s = film.stat().st_mtime_ns
    assert films.filmed(film.parent, SMALL, Fraction(10)) == film
    assert film.stat().st_mtime_ns == made_s
    assert films.filmed(film.parent, SMALL, Fraction(5)) != film


@pytest.mark.parametrize("b_frames", [0, 3])
def test_a_recording_goes_on_without_a_break(tmp_path: Path, b_frames: int) -> None:
    path = write_video(tmp_path / "clip.mp4", frames=25, fps=10, b_frames=b_frames)
    longer = films.lasting(path, tmp_path / "long.mp4", 6.0)
    with av.open(str(longer)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert len(times) == 75
    assert times[0] == pytest.approx(0)
    assert all(b - a == pytest.approx(0.1, abs=1e-3) for a, b in pairwise(times))


@pytest.mark.parametrize("content", [b"", b"no video at all" * 100])
def test_what_is_no_video_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "yard.mp4"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"yard\.mp4"):
        Recording.of(path)
    with pytest.raises(ConfigError, match="missing"):
        Recording.of(tmp_path / "missing.mp4")


@pytest.mark.parametrize("text", ["1080p", "1920", "1921x1080", "16x16", "x", "99999x1080"])
def test_a_size_that_no_camera_has_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Size.parse(text)


def test_a_picture_costs_something_and_its_parts_share_the_whole(film: Path) -> None:
    costs = costs_of(film, SPEC, pictures=30)
    assert costs.decode_ms > 0
    assert costs.convert_ms > 0
    assert Costs(3.0, 1.0).convert_share(decoded=5, converted=1) == pytest.approx(1 / 16)
    assert Costs(3.0, 1.0).convert_share(decoded=0, converted=0) == 0
