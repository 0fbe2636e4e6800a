"""Decoding in a process of its own gives the same windows, and its death is only a reconnect."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import groupby, islice
from pathlib import Path

import numpy as np
import pytest

from streamcls.clock import SystemClock
from streamcls.config import CaptureSettings, Pace, StreamSettings
from streamcls.errors import SourceError, SourceRefused, UnusableSource
from streamcls.frames import Step, Window
from streamcls.isolation import Cut, IsolatedSource
from streamcls.pipeline.priority import give_way
from streamcls.pipeline.sources import open_source
from streamcls.pipeline.windows import WindowAssembler
from streamcls.transforms import WindowPlan, to_small_rgb
from tests.models.small import SPEC
from tests.rtsp import rtsp_server
from tests.videos import write_video

LIMITS = CaptureSettings(open_timeout_s=2, read_timeout_s=1)
CUT = Cut(
    clip_spec=SPEC, stride_s=0.5, min_coverage=0.8, watch_still=False, lane=3, epochs_before=7
)
NEVER = threading.Event()
_PATIENCE_S = 30.0


def isolated(settings: StreamSettings) -> IsolatedSource:
    return IsolatedSource(settings, LIMITS, CUT, SystemClock())


def looping(tmp_path: Path, pace: Pace = Pace.REALTIME) -> StreamSettings:
    video = write_video(tmp_path / "clip.mp4", frames=90, fps=25, b_frames=2)
    return StreamSettings("cam", str(video), pace=pace, loop=True)


def in_this_thread(settings: StreamSettings) -> tuple[WindowAssembler, Iterator[Step]]:
    assembler = WindowAssembler(
        settings.id,
        WindowPlan.of(SPEC, CUT.stride_s),
        convert=lambda image: to_small_rgb(image, SPEC),
        min_coverage=CUT.min_coverage,
        live=settings.is_live,
        clock=SystemClock(),
        lane=CUT.lane,
        epochs_before=CUT.epochs_before,
    )
    source = open_source(settings, LIMITS, SystemClock())
    return assembler, (assembler.step(frame) for frame in source.frames(NEVER))


def children() -> list[int]:
    """Processes of this one that run a decoder."""
    found = []
    for name in os.listdir("/proc"):
        try:
            line = Path(f"/proc/{name}/cmdline").read_bytes()
            parent = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[1]
        except (OSError, ValueError):
            continue
        if b"streamcls.isolation" in line and parent == str(os.getpid()):
            found.append(int(name))
    return found


def exact(window: Window) -> tuple[object, ...]:
    return (
        window.stream,
        window.stream_epoch,
        window.start_s,
        window.end_s,
        window.coverage,
        window.lane,
        np.shape(window.clip),
        np.array(window.clip).tobytes(),
    )


def test_windows_are_those_of_a_thread_bit_for_bit_over_several_passes(tmp_path: Path) -> None:
    settings = looping(tmp_path, Pace.FASTEST)
    assembler, expected = in_this_thread(settings)
    source, undecoded = isolated(settings), 0
    with closing(source.frames(NEVER)) as steps:
        for ours, theirs in islice(zip(expected, steps, strict=True), 400):
            assert [exact(w) for w in theirs.windows] == [exact(w) for w in ours.windows]
            assert theirs.stream_epoch == ours.stream_epoch
            assert theirs.arrival_monotonic_s <= time.monotonic()
            undecoded += not theirs.is_decoded
    assert source.stats == assembler.stats
    assert source.stats.windows > 10
    assert source.packets_skipped.total() > 60
    assert undecoded == pytest.approx(source.packets_skipped.total(), abs=3)


def test_a_picture_that_grows_in_mid_stream_is_no_trouble(tmp_path: Path) -> None:
    small = write_video(tmp_path / "a.h264", frames=40, fps=25, size=(128, 96))
    large = write_video(tmp_path / "b.h264", frames=40, fps=25, size=(480, 96))
    joined = tmp_path / "joined.h264"
    joined.write_bytes(small.read_bytes() + large.read_bytes() + small.read_bytes())
    settings = StreamSettings("cam", str(joined), pace=Pace.FASTEST)
    shapes = [
        w.clip[0].shape[:2] for step in isolated(settings).frames(NEVER) for w in step.windows
    ]
    assert [shape for shape, _ in groupby(shapes)] == [(36, 48), (36, 180), (36, 48)]


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [("none.mp4", None, SourceError), ("text.mp4", b"no video " * 99, UnusableSource)],
)
def test_errors_are_those_of_the_source(
    tmp_path: Path, name: str, content: bytes | None, kind: type[SourceError]
) -> None:
    path = tmp_path / name
    if content:
        path.write_bytes(content)
    settings = StreamSettings("cam", str(path))
    caught = []
    for source in (isolated(settings), open_source(settings, LIMITS, SystemClock())):
        with pytest.raises(kind) as error:
            list(source.frames(NEVER))
        caught.append((type(error.value), error.value.reason, str(error.value)))
    assert caught[0] == caught[1]


@pytest.mark.rtsp
def test_a_camera_that_refuses_is_told_so_without_its_password(tmp_path: Path) -> None:
    with rtsp_server(user="admin", password="right") as server:
        settings = StreamSettings("cam", server.url_for("admin", "hunter2"))
        with pytest.raises(SourceRefused) as error:
            list(isolated(settings).frames(NEVER))
        assert "hunter2" not in str(error.value)
        (allowed,) = islice(
            isolated(StreamSettings("cam", server.url_for("admin", "right"))).frames(NEVER), 1
        )
        assert allowed.stream_epoch == 8


def test_nothing_that_names_the_source_is_on_the_command_line(tmp_path: Path) -> None:
    with closing(isolated(looping(tmp_path)).frames(NEVER)) as steps:
        next(steps)
        (child,) = children()
        assert b"clip" not in Path(f"/proc/{child}/cmdline").read_bytes()
        assert b"clip.mp4" not in Path(f"/proc/{child}/environ").read_bytes()


def test_the_process_has_the_low_priority_of_the_thread_that_starts_it(tmp_path: Path) -> None:
    def run() -> None:
        give_way()
        with closing(isolated(looping(tmp_path)).frames(NEVER)) as steps:
            next(steps)
            seen.append(os.getpriority(os.PRIO_PROCESS, children()[0]))

    seen: list[int] = []
    thread = threading.Thread(target=run)
    thread.start()
    thread.join(_PATIENCE_S)
    assert seen == [os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) + 5]


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_a_decoder_that_crashes_is_told_with_its_signal(tmp_path: Path, number: int) -> None:
    steps = isolated(looping(tmp_path)).frames(NEVER)
    next(steps)
    os.kill(children()[0], number)
    with pytest.raises(SourceError, match=signal.Signals(number).name) as error:
        list(steps)
    assert error.value.reason == "decoder_crashed"
    assert children() == []


def test_a_decoder_that_hangs_is_killed_within_its_limit(tmp_path: Path) -> None:
    steps = isolated(looping(tmp_path)).frames(NEVER)
    next(steps)
    os.kill(children()[0], signal.SIGSTOP)
    began_s = time.monotonic()
    with pytest.raises(SourceError, match="hung") as error:
        list(steps)
    assert error.value.reason == "decoder_wedged"
    assert time.monotonic() - began_s < 2 * LIMITS.read_timeout_s + 15
    assert children() == []


def test_stopping_ends_the_process_though_frames_stay_away(tmp_path: Path) -> None:
    stop = threading.Event()
    steps = isolated(looping(tmp_path)).frames(stop)
    next(steps)
    os.kill(children()[0], signal.SIGSTOP)
    stop.set()
    began_s = time.monotonic()
    assert len(list(steps)) < 5  # what it had said before it froze
    assert time.monotonic() - began_s < _PATIENCE_S
    assert children() == []


def test_signals_to_the_whole_group_leave_ending_to_the_parent(tmp_path: Path) -> None:
    with closing(isolated(looping(tmp_path)).frames(NEVER)) as steps:
        next(steps)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(children()[0], number)
        assert len(list(islice(steps, 20))) == 20


def test_a_consumer_that_does_not_come_back_holds_a_file_and_loses_nothing(tmp_path: Path) -> None:
    video = write_video(tmp_path / "long.mp4", frames=500, fps=25)
    settings = StreamSettings("cam", str(video), pace=Pace.FASTEST)
    steps = isolated(settings).frames(NEVER)
    windows = list(next(steps).windows)
    time.sleep(1)  # the child runs on until its slots are full, and waits
    for step in steps:
        windows += step.windows
    assembler, expected = in_this_thread(settings)
    assert len([w for step in expected for w in step.windows]) == len(windows)
    assert assembler.stats.windows == len(windows)


def test_many_lives_leave_no_process_no_descriptor_and_no_thread(tmp_path: Path) -> None:
    settings = looping(tmp_path)

    def live() -> None:
        with closing(isolated(settings).frames(NEVER)) as steps:
            next(steps)

    live()
    before = len(os.listdir("/proc/self/fd")), threading.active_count()
    for _ in range(20):
        live()
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before
    assert children() == []


def test_a_parent_that_is_killed_leaves_no_orphan(tmp_path: Path) -> None:
    settings = looping(tmp_path)
    program = (
        "import threading, sys\n"
        "from tests.isolation.test_isolation import isolated, children\n"
        "from streamcls.config import StreamSettings\n"
        f"steps = isolated(StreamSettings('cam', {settings.url!r}, loop=True))"
        ".frames(threading.Event())\n"
        "next(steps)\n"
        "print(children()[0], flush=True)\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert parent.stdout
    child = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    _until(lambda: not Path(f"/proc/{child}").exists() or _is_zombie(child))


def _is_zombie(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_clips_are_copies_that_outlive_their_slots(tmp_path: Path) -> None:
    windows: list[Window] = []
    as_received: list[bytes] = []
    with closing(isolated(looping(tmp_path, Pace.FASTEST)).frames(NEVER)) as steps:
        while len(windows) < 12:
            new = next(steps).windows
            windows += new
            as_received += [np.array(window.clip).tobytes() for window in new]
    assert [np.array(window.clip).tobytes() for window in windows] == as_received
    assert len(set(as_received[:4])) == 4
