"""What no window needs is not decoded, and nobody can tell: the same windows, bit for bit."""

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import pytest
from av.packet import Packet

from streamcls.clock import SystemClock
from streamcls.pipeline.sources.nal import reader_of
from streamcls.transforms import ClipSpec
from tests.pipeline.films import Coding, Played, Reel, film, pixels, play, steady
from tests.rtsp import rtsp_server

SPEC = ClipSpec(num_frames=4, sampling_rate=6, trained_fps=30, short_side=16, crop=16)


def both(
    path: Path, stride_s: float = 1.0, spec: ClipSpec = SPEC, *, exactly: bool = True
) -> tuple[Played, Played]:
    """A file played whole and sparsely; with the same result."""
    whole, sparse = (play(path, spec, stride_s, sparse=choice) for choice in (False, True))
    assert not whole.skipped
    if exactly:
        assert sparse.exactly() == whole.exactly()
    return whole, sparse


def random_film(path: Path, chance: Random) -> Path:
    """Any codec, structure, rate and jitter; every sixth with gaps in time."""
    coding = Coding(
        codec=chance.choice(["libx264", "libx264", "libx265"]),
        gop=chance.choice([1, 4, 10, 25, 60]),
        b_frames=chance.choice([0, 0, 1, 2, 3]),
        pyramid=chance.random() < 0.5,
        open_gop=chance.random() < 0.5,
        scenecut=chance.choice([0, 40]),
        slices=chance.choice([1, 3]),
    )
    fps = chance.choice([Fraction(25), Fraction(30), Fraction(30000, 1001), Fraction(7)])
    jitter, gaps = chance.choice([0.0, 0.0, 0.3]), chance.random() < 1 / 6
    times_s, time_s = [], Fraction(chance.randint(0, 3))
    for _ in range(chance.randint(60, 150)):
        times_s.append(time_s + Fraction(chance.uniform(0, jitter)) / fps)
        time_s += chance.choice([1, 1, 2, 5]) / fps if gaps else 1 / fps
        if chance.random() < 0.005:
            time_s += chance.choice([1, 3])
    return film(path, coding, Reel(times_s), seed=chance.randrange(1000))


@pytest.mark.parametrize("seed", range(40))
def test_any_film_gives_the_same_windows_at_any_stride(seed: int, tmp_path: Path) -> None:
    chance = Random(seed)
    path = random_film(tmp_path / f"film.{chance.choice(['mp4', 'mkv', 'ts'])}", chance)
    spec = ClipSpec(
        num_frames=chance.choice([2, 4, 13]),
        sampling_rate=chance.choice([2, 6, 10]),
        trained_fps=30,
        short_side=16,
        crop=16,
    )
    whole, sparse = both(path, chance.choice([0.05, 0.2, 0.4, 1, 2, 5]), spec)
    late = [ours - theirs for ours, theirs in zip(sparse.closed_at, whole.closed_at, strict=True)]
    assert all(packets <= 1 for packets in late)


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_of_b_frames_only_those_that_show_at_an_instant_are_decoded(
    codec: str, suffix: str, tmp_path: Path
) -> None:
    coding = Coding(codec=codec, b_frames=2, gop=1000)
    path = film(tmp_path / f"film.{suffix}", coding, Reel(steady(150)))
    whole, sparse = both(path, 0.2)
    # Of 15 frames ten are B-frames; 5 and 10 show at instants, and 4 might until 5 is here.
    assert sparse.skipped["disposable"] == pytest.approx(150 * 7 / 15, abs=4)
    assert sparse.closed_at == whole.closed_at, "a window came late"


def test_of_a_pyramid_only_the_top_is_left_out(tmp_path: Path) -> None:
    path = film(
        tmp_path / "film.mp4", Coding(gop=1000, b_frames=3, pyramid=True), Reel(steady(150))
    )
    _, sparse = both(path, 1.0)
    assert 50 < sparse.skipped["disposable"] <= 75


@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_the_rest_of_a_gop_that_no_window_touches_is_not_decoded(
    codec: str, b_frames: int, tmp_path: Path
) -> None:
    coding = Coding(codec=codec, gop=10, b_frames=b_frames)
    path = film(tmp_path / "film.mkv", coding, Reel(steady(500)))
    _, sparse = both(path, 4.0)
    # Windows of 0.6 s every 4 s touch at most three of ten groups.
    assert sparse.skipped.total() > 300
    assert sparse.skipped["gop"] > 250
    # Held back in vain: nothing; B-frames leave one or two in the decoder when a pause begins.
    in_vain = 500 - sparse.skipped.total() - sparse.decoded
    assert 0 <= in_vain <= 5 * b_frames


def test_without_a_keyframe_in_the_pause_everything_is_decoded(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mkv", Coding(gop=1000), Reel(steady(200)))
    assert not both(path, 4.0)[1].skipped


def test_what_was_held_back_for_a_keyframe_that_does_not_come_is_decoded_in_time(
    tmp_path: Path,
) -> None:
    path = film(
        tmp_path / "film.ts",
        Coding(gop=10),
        Reel(steady(40)),
        Reel(steady(200, first_s=Fraction(8, 5)), gop=1000),
    )
    whole, sparse = both(path, 4.0)
    assert 10 < sparse.skipped.total() < 40, "the groups of the first part alone"
    assert sparse.closed_at == whole.closed_at


def test_of_dense_windows_only_what_shows_at_no_instant_before_a_keyframe_is_left_out(
    tmp_path: Path,
) -> None:
    # Of 25 frames, number 20 and the keyframe show at instants, and 21 to 24 at none.
    path = film(tmp_path / "film.mp4", Coding(gop=25), Reel(steady(101)))
    assert both(path, 0.4)[1].skipped == {"gop": 3 * 4}


def test_fields_are_decoded_whole(tmp_path: Path) -> None:
    coding = Coding(gop=10, b_frames=2, interlaced=True)
    path = film(tmp_path / "film.ts", coding, Reel(steady(150)))
    assert not both(path, 4.0)[1].skipped


@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_a_change_of_size_is_seen_at_once(codec: str, b_frames: int, tmp_path: Path) -> None:
    path = film(
        tmp_path / "film.ts",
        Coding(codec=codec, gop=10, b_frames=b_frames),
        Reel(steady(103)),
        Reel(steady(110, first_s=5), size=(128, 96)),
        Reel(steady(110, first_s=10)),
    )
    _, sparse = both(path, 4.0)
    assert [width for _, width, _ in sparse.places[::100]] == [96, 96, 128, 96]
    assert sparse.skipped


def test_jumps_and_falls_of_time_begin_epochs_as_ever(tmp_path: Path) -> None:
    times_s = [*steady(60), *steady(60, first_s=20), *steady(60, first_s=40)]
    path = film(tmp_path / "film.mkv", Coding(gop=10, b_frames=2), Reel(times_s))
    _, sparse = both(path, 2.0)
    assert sparse.places[-1][2] == 3
    assert sparse.skipped


def test_an_avi_knows_no_times_and_is_decoded_whole(tmp_path: Path) -> None:
    path = film(tmp_path / "film.avi", Coding(gop=10, b_frames=2), Reel(steady(100)))
    assert not both(path, 4.0)[1].skipped


def test_packets_that_nobody_refers_to_may_be_lost(tmp_path: Path) -> None:
    chance = Random(1)

    def lost(_number: int, packet: "Packet[Any]") -> bool:
        read = reader_of("h264", packet.stream.codec_context.extradata)
        coded = read(packet) if read else None
        assert coded
        return coded.disposable and chance.random() < 0.3

    path = film(tmp_path / "film.ts", Coding(b_frames=2), Reel(steady(300)), lost=lost)
    _, sparse = both(path, 0.2)
    assert len(sparse.places) < 280
    assert sparse.skipped["disposable"] > 50


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize(("missing", "b_frames"), [(50, 0), (53, 0), (53, 2)])
def test_after_a_lost_reference_all_is_exact_again_from_the_next_keyframe(
    codec: str, b_frames: int, missing: int, tmp_path: Path
) -> None:
    # Number 50 is a keyframe, and those after number 53 refer to it.
    coding = Coding(codec=codec, gop=25, b_frames=b_frames)
    path = film(
        tmp_path / "film.mkv", coding, Reel(steady(300)), lost=lambda number, _: number == missing
    )
    whole, sparse = both(path, 0.6, exactly=False)
    for is_before in (True, False):
        ours, theirs = (
            [
                (w.start_s, w.end_s, pixels(w))
                for w in played.windows
                if (w.end_s < 1.8 if is_before else w.start_s > 3.2)
            ]
            for played in (sparse, whole)
        )
        assert ours == theirs != []


@pytest.mark.rtsp
@pytest.mark.parametrize(
    ("coding", "stride_s", "reason"),
    [
        (Coding(b_frames=2), 0.2, "disposable"),
        (Coding(gop=10), 1.0, "gop"),
        (Coding(codec="libx265", gop=10), 1.0, "gop"),
    ],
)
def test_a_camera_is_decoded_as_sparsely(
    coding: Coding, stride_s: float, reason: str, tmp_path: Path
) -> None:
    path = film(tmp_path / "film.mp4", coding, Reel(steady(120, 50)))

    def watched(url: str, *, sparse: bool) -> Played:
        return play(url, SPEC, stride_s, sparse=sparse, count=110, clock=SystemClock())

    codec = "h264" if coding.codec == "libx264" else "h265"
    with rtsp_server(codec=codec, file=path) as camera, ThreadPoolExecutor() as threads:
        together = [threads.submit(watched, camera.url, sparse=choice) for choice in (False, True)]
        whole, sparse = [one.result() for one in together]
    assert cut(whole) == cut(sparse) != []
    assert sparse.skipped[reason] >= 10


def cut(played: Played) -> list[tuple[object, ...]]:
    """The windows, their times counted from the first one: each connection has its own clock."""
    first_s = played.windows[0].start_s
    return [(w.start_s - first_s, w.coverage, pixels(w)) for w in played.windows]
