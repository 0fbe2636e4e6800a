"""Cameras, against a real RTSP server: both codecs, refusals, stalls, deaths and returns."""

import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from random import Random

import av
import pytest

from streamcls.clock import SystemClock
from streamcls.config import CaptureSettings, StreamSettings
from streamcls.errors import SourceError, SourceRefused, SourceTimeout, UnusableSource
from streamcls.events import StatusData
from streamcls.frames import Frame
from streamcls.pipeline.capture import Capture
from streamcls.pipeline.opening import OpeningTurns
from streamcls.pipeline.sources import Source, open_source, rtsp, sparse
from tests.faults import acts
from tests.faults.camera import Camera, serve
from tests.faults.media import Media, Picture, film, onward, until
from tests.rtsp import RtspServer, rtsp_server
from tests.videos import number_in, write_video

pytestmark = pytest.mark.rtsp

_LIMITS = CaptureSettings(
    open_timeout_s=10, read_timeout_s=2, backoff_min_s=0.05, backoff_max_s=0.2
)
_IMPATIENT = CaptureSettings(open_timeout_s=1, read_timeout_s=1)
_SLACK_S = 10.0  # for a machine that is busy with something else
_SECRET = "p@ss/w0rd"
_QUOTED = "p%40ss%2Fw0rd"


@pytest.fixture(scope="module")
def camera() -> Iterator[RtspServer]:
    """One camera that stays well."""
    with rtsp_server() as server:
        yield server


@pytest.fixture(scope="module")
def locked_camera() -> Iterator[RtspServer]:
    """One camera that asks for a password."""
    with rtsp_server(user="admin", password=_SECRET) as server:
        yield server


def _source(url: str, limits: CaptureSettings = _LIMITS) -> Source:
    return open_source(StreamSettings(id="cam", url=url), limits, SystemClock())


def _frames(url: str, count: int) -> list[Frame]:
    return list(islice(_source(url).frames(threading.Event()), count))


def _failure(
    url: str, limits: CaptureSettings = _LIMITS, after_first: Callable[[], None] | None = None
) -> SourceError:
    """The error that ends a source, once `after_first` was done at its first frame."""
    try:
        for number, _ in enumerate(_source(url, limits).frames(threading.Event())):
            if number == 0 and after_first:
                after_first()
    except SourceError as error:
        return error
    raise AssertionError("a live source came to an end without an error")


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_frames_arrive_with_growing_times(codec: str) -> None:
    with rtsp_server(codec=codec) as server:
        frames = _frames(server.url, 12)
    times = [frame.media_s for frame in frames]
    assert None not in times
    assert all(b - a == Fraction(1, 25) for a, b in pairwise(t for t in times if t is not None))
    assert all(a.arrival_monotonic_s <= b.arrival_monotonic_s for a, b in pairwise(frames))
    assert {(frame.image.width, frame.image.height) for frame in frames} == {(128, 96)}


def test_the_first_keyframe_is_not_thrown_away(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", frames=20, gop=20)
    with rtsp_server(file=path) as server:
        frames = _frames(server.url, 19)
    # Its only keyframe is picture 0, which comes without a time and is left out.
    pictures = [frame.image for frame in frames if isinstance(frame.image, av.VideoFrame)]
    assert [number_in(picture) for picture in pictures] == list(range(1, 20))


def test_frames_tell_how_far_the_cameras_clock_is_off(camera: RtspServer) -> None:
    offsets = []
    for frame in _source(camera.url).frames(threading.Event()):
        offsets.append(frame.clock_offset_s)
        if frame.clock_offset_s is not None or len(offsets) > 500:
            break
    # None until its first report, some seconds on; it runs on this machine, so it is right.
    assert offsets[0] is None
    assert offsets[-1] == pytest.approx(0, abs=2)


def test_the_end_of_a_live_stream_is_a_disconnect(tmp_path: Path) -> None:
    with rtsp_server(file=write_video(tmp_path / "clip.mp4", frames=10)) as server:
        assert _failure(server.url).reason == "disconnected"


def test_the_right_password_opens(locked_camera: RtspServer) -> None:
    assert _frames(locked_camera.url_for("admin", _QUOTED), 2)


@pytest.mark.parametrize("password", ["wr0ng-pass", _SECRET + "#?"])
def test_a_wrong_password_is_refused_and_never_shown(
    locked_camera: RtspServer, password: str
) -> None:
    error = _failure(locked_camera.url_for("admin", password))
    shown = str(error) + repr(error) + "".join(traceback.format_exception(error))
    assert password not in shown
    assert "w0rd" not in shown
    assert "\n" not in str(error)
    if password == "wr0ng-pass":
        assert isinstance(error, SourceRefused)
        assert "refused the user or password" in str(error)


def test_an_unknown_path_is_refused(camera: RtspServer) -> None:
    error = _failure(camera.url.replace("/cam", "/no-such-camera"))
    assert isinstance(error, SourceRefused)
    assert "404" in str(error)


def test_a_closed_port_is_named_at_once() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        error = _failure(f"rtsp://user:secret@127.0.0.1:{port}/cam")
    assert (error.reason, str(port) in str(error)) == ("unreachable", True)
    assert "secret" not in str(error)


def test_a_port_that_never_answers_is_given_up_within_its_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        began_s = time.monotonic()
        error = _failure(f"rtsp://127.0.0.1:{mute.getsockname()[1]}/cam", _IMPATIENT)
    assert isinstance(error, SourceTimeout)
    assert time.monotonic() - began_s < 1 + _SLACK_S


def test_something_else_on_the_port_is_not_taken_for_a_camera() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_answer_in_http, args=[server], daemon=True).start()
        error = _failure(f"rtsp://127.0.0.1:{server.getsockname()[1]}/cam")
    assert error.reason == "protocol"


def _answer_in_http(server: socket.socket) -> None:
    with server.accept()[0] as connection:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nhello")


def test_a_frozen_camera_times_out() -> None:
    with rtsp_server() as server:
        frozen_s: list[float] = []

        def freeze() -> None:
            server.freeze()
            frozen_s.append(time.monotonic())

        error = _failure(server.url, after_first=freeze)
        assert isinstance(error, SourceTimeout)
        assert time.monotonic() - frozen_s[0] < _LIMITS.read_timeout_s + _SLACK_S
        assert isinstance(_failure(server.url, _IMPATIENT), SourceTimeout)


def test_data_without_any_picture_is_not_taken_for_a_stream(
    camera: RtspServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rtsp, "_BLIND_S", 0.2)
    monkeypatch.setattr(sparse, "pictures_of", lambda packet, on_error: [])
    assert _failure(camera.url).reason == "undecodable"


class _QuickClock(SystemClock):
    """Runs ten times as fast as time, for what takes ten seconds to be known."""

    def monotonic_s(self) -> float:
        return 10 * super().monotonic_s()


def _recoded() -> Media:
    return onward(until(25, film(fps=25)), film(Picture(codec="libx265"), fps=25))


def _grown() -> Media:
    return onward(until(25, film(fps=25)), film(Picture(640, 480), fps=25))


@pytest.mark.parametrize(
    ("camera", "max_corrupt", "kind", "reason", "words"),
    [
        (Camera(media=_recoded), 0.5, SourceError, "corrupt", "`max_corrupt` = 0.5"),
        (Camera(media=_recoded), 1.0, SourceError, "undecodable", "codec"),
        (Camera(media=_grown), 0.5, UnusableSource, "unusable", "640 x 480, more than `max_pix"),
    ],
)
def test_what_ceases_to_be_decodable_in_mid_stream_is_given_up(
    camera: Camera, max_corrupt: float, kind: type[SourceError], reason: str, words: str
) -> None:
    limits = CaptureSettings(
        open_timeout_s=100, read_timeout_s=20, max_pixels=200_000, max_corrupt=max_corrupt
    )
    with serve({"camera": camera}) as server:
        settings = StreamSettings(id="cam", url=server.url("camera"))
        player = open_source(settings, limits, _QuickClock())
        frames: list[Frame] = []
        with pytest.raises(kind, match=words) as caught:
            frames.extend(player.frames(threading.Event()))
    assert caught.value.reason == reason
    assert 0 < len(frames) <= 25


def test_another_codec_of_which_nothing_comes_through_is_silence() -> None:
    hevc = Picture(codec="libx265")
    recoded = Camera(hevc=True, media=lambda: onward(until(10, film(hevc)), film()))
    with serve({"camera": recoded}) as server:
        error = _failure(server.url("camera"), _LIMITS)
    assert isinstance(error, SourceTimeout)


def test_pictures_larger_than_allowed_are_refused_by_their_size(camera: RtspServer) -> None:
    error = _failure(camera.url, CaptureSettings(open_timeout_s=10, max_pixels=10_000))
    assert isinstance(error, UnusableSource)
    assert "128 x 96, more than `max_pixels` = 10000" in str(error)


@pytest.mark.parametrize("scheme", ["http", "https", "tcp", "file"])
def test_a_redirect_to_what_is_no_camera_is_not_followed(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        address = f"127.0.0.1:{elsewhere.getsockname()[1]}" if scheme != "file" else ""
        target = f"{scheme}://{address}/etc/passwd"
        with serve({"camera": Camera(answers={"DESCRIBE": acts.redirect_to(target)})}) as server:
            error = _failure(server.url("camera"))
        assert error.reason in ("unreachable", "protocol")
        elsewhere.setblocking(False)
        with pytest.raises(BlockingIOError):
            elsewhere.accept()


def test_a_redirect_to_another_camera_is_followed() -> None:
    cameras = {"old": Camera(answers={"DESCRIBE": acts.redirect("new")}), "new": Camera()}
    with serve(cameras) as server:
        assert _frames(server.url("old"), 2)
        assert server.connections["new"] == 1


def test_a_killed_camera_is_a_disconnect_not_an_end() -> None:
    with rtsp_server() as server:
        assert _failure(server.url, after_first=server.kill).reason == "disconnected"


class _Watched:
    """A capture of the real thing, and what it told."""

    def __init__(self, url: str) -> None:
        self.told: list[str] = []
        self.changed = threading.Condition()
        settings = StreamSettings(id="cam", url=url)
        self.capture = Capture(
            settings,
            _LIMITS,
            open_source=lambda: open_source(settings, _LIMITS, SystemClock()),
            turns=OpeningTurns(8),
            on_frame=lambda frame: True,
            on_status=self._status,
            on_lost=lambda stream, reason: None,
            on_fault=lambda stream, error: None,
            on_end=lambda stream, error: None,
            clock=SystemClock(),
            random=Random(1),
        )

    def __enter__(self) -> "_Watched":
        self.capture.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.capture.stop()
        assert self.capture.join(_LIMITS.read_timeout_s + _SLACK_S)

    def _status(self, stream: str, status: StatusData) -> None:
        with self.changed:
            self.told.append(status.state)
            self.changed.notify_all()

    def wait_for(self, state: str, after: int = 0) -> int:
        """Wait until a state was told after the first `after` statuses; how many there are."""
        with self.changed:
            assert self.changed.wait_for(lambda: state in self.told[after:], 30), self.told
            return len(self.told)


def test_a_camera_that_dies_comes_back_and_its_neighbour_never_notices(
    camera: RtspServer,
) -> None:
    with rtsp_server() as server, _Watched(camera.url) as neighbour:
        with _Watched(server.url) as watched:
            told = watched.wait_for("up")
            neighbour.wait_for("up")
            server.kill()
            told = watched.wait_for("backoff", told)
            with rtsp_server(port=server.port):
                watched.wait_for("up", told)
                watched.capture.stop()
                watched.wait_for("stopped")
        assert watched.capture.stats.reconnects["disconnected"] == 1
        assert neighbour.told == ["connecting", "warming_up", "up"]
