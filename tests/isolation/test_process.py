"""The decoder's process: how it starts, what it may do to its parent, how it says goodbye."""

import errno
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streamcls.clock import SystemClock
from streamcls.config import StreamSettings
from streamcls.errors import SourceError, UnusableSource
from streamcls.isolation import Cut, IsolatedSource
from tests.isolation.test_isolation import CUT, LIMITS, NEVER, children, isolated, looping
from tests.rtsp import rtsp_server


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def cut_otherwise(settings: StreamSettings, **changes: Any) -> IsolatedSource:
    cut: Cut = msgspec.structs.replace(CUT, **changes)
    return IsolatedSource(settings, LIMITS, cut, SystemClock())


def test_a_bug_at_its_start_is_told_with_its_traceback(tmp_path: Path) -> None:
    source = cut_otherwise(looping(tmp_path), stride_s=0.0)
    with pytest.raises(RuntimeError, match=r"(?s)Traceback.*stride_s is 0.0; it must be above 0"):
        list(source.frames(NEVER))
    assert children() == []


def test_a_bug_in_mid_stream_is_told_with_its_traceback(tmp_path: Path) -> None:
    boundless = msgspec.structs.replace(CUT.clip_spec, short_side=2**24)  # no machine can scale so
    with pytest.raises(RuntimeError, match=r"(?s)Traceback.*cv2\.error"):
        list(cut_otherwise(looping(tmp_path), clip_spec=boundless).frames(NEVER))
    assert children() == []


def test_a_process_that_cannot_be_started_is_a_failed_attempt_and_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess, "Popen", refuse)
    before = descriptors()
    for _ in range(3):
        with pytest.raises(SourceError, match="could not be started") as error:
            list(isolated(looping(tmp_path)).frames(NEVER))
        assert error.value.reason == "resources"
    assert descriptors() == before


def test_where_there_is_no_anonymous_memory_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "memfd_create")
    with pytest.raises(UnusableSource, match='isolation = "thread"'):
        list(isolated(looping(tmp_path)).frames(NEVER))


def test_it_imports_what_its_parent_would_whatever_lies_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = looping(tmp_path)
    (tmp_path / "queue.py").write_text("raise RuntimeError('not the queue that was meant')\n")
    monkeypatch.chdir(tmp_path)
    with closing(isolated(settings).frames(NEVER)) as steps:
        assert next(steps).stream_epoch == CUT.epochs_before + 1


def test_it_cannot_pull_the_shared_memory_from_under_its_parent(tmp_path: Path) -> None:
    with closing(isolated(looping(tmp_path)).frames(NEVER)) as steps:
        while not next(steps).windows:
            pass
        (child,) = children()
        memory = next(
            link
            for link in Path(f"/proc/{child}/fd").iterdir()
            if "streamcls-clips" in os.readlink(link)
        )
        # Reading a page that is gone would kill the daemon with SIGBUS.
        with memory.open("r+b") as theirs, pytest.raises(PermissionError):
            theirs.truncate(0)


def test_where_memory_runs_out_it_is_killed_before_the_daemon(tmp_path: Path) -> None:
    with closing(isolated(looping(tmp_path)).frames(NEVER)) as steps:
        next(steps)
        (child,) = children()
        ours, theirs = (
            int(Path(f"/proc/{process}/oom_score_adj").read_text()) for process in ("self", child)
        )
        assert theirs > ours


@contextmanager
def overheard(port: int) -> Iterator[tuple[int, bytearray]]:
    """A port that leads to another, and all that a client says through it."""
    said = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as door:

        def pass_on(source: socket.socket, sink: socket.socket, record: bytearray) -> None:
            with suppress(OSError):
                while data := source.recv(65536):
                    record += data
                    sink.sendall(data)

        def serve() -> None:
            with suppress(OSError):
                client, _ = door.accept()
                with client, socket.create_connection(("127.0.0.1", port)) as server:
                    back = threading.Thread(target=pass_on, args=(server, client, bytearray()))
                    back.start()
                    pass_on(client, server, said)
                    server.shutdown(socket.SHUT_RDWR)  # it need not hang up by itself
                    back.join()

        thread = threading.Thread(target=serve)
        thread.start()
        yield door.getsockname()[1], said
        with suppress(OSError):
            door.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.rtsp
def test_a_camera_is_told_goodbye_for_its_sessions_are_few() -> None:
    with rtsp_server() as server:
        with overheard(server.port) as (port, said):
            url = server.url.replace(str(server.port), str(port))
            with closing(isolated(StreamSettings("cam", url)).frames(NEVER)) as steps:
                next(steps)
        assert b"TEARDOWN " in said
