"""systemd's watchdog is fed by progress: a wedged network starves it, dead cameras do not."""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from streamcls import daemon as daemon_module
from streamcls.config import parse_settings
from streamcls.daemon import Daemon
from streamcls.frames import RgbClip
from streamcls.models.backends import TorchBackend
from tests.models.small import write_small
from tests.serving import free_port
from tests.videos import write_video

PATIENCE_S = 30.0


class Manager:
    """systemd's side of the notification socket."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(PATIENCE_S)

    def next(self) -> str:
        return self.socket.recv(1000).decode()

    def until(self, message: str) -> list[str]:
        heard = [self.next()]
        while not heard[-1].startswith(message):
            heard.append(self.next())
        return heard

    def silent_for(self, seconds: float) -> bool:
        """Whether nothing comes for so long; what came before is passed over."""
        self.socket.settimeout(seconds)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                self.next()
            except TimeoutError:
                return True
        return False


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    one = Manager(tmp_path / "notify")
    yield one
    one.socket.close()


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    write_small(tmp_path / "small.safetensors")
    write_video(tmp_path / "clip.mp4", frames=600, fps=10, gop=10)
    path = tmp_path / "streamcls.toml"
    path.write_text(
        '[[streams]]\nid = "cam"\nurl = "STREAM"\nloop = true\n'
        '[model]\npath = "small.safetensors"\nbackend = "torch"\n'
        '[publish]\nendpoint = "tcp://127.0.0.1:*"\nreplay_endpoint = "tcp://127.0.0.1:*"\n'
        "[http]\nenabled = false\n"
    )
    return path


class Running:
    """A daemon on a thread of its own."""

    def __init__(self, path: Path, url: str) -> None:
        path.write_text(path.read_text().replace("STREAM", url))
        settings = parse_settings(path.read_text(), folder=path.parent)
        self.daemon = Daemon(settings, config=path)
        self._thread = threading.Thread(target=self.daemon.run)
        self._thread.start()

    def __enter__(self) -> Daemon:
        return self.daemon

    def __exit__(self, *_: object) -> None:
        self.daemon.stop()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


def test_dead_cameras_never_starve_it(
    configured: Path, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon_module, "_WEDGED_S", 2.0)
    with Running(configured, f"rtsp://127.0.0.1:{free_port()}/none"):
        manager.until("READY=1")
        assert [manager.next() for _ in range(5)] == ["WATCHDOG=1"] * 5
    assert manager.until("STOPPING=1")


def test_a_wedged_network_starves_it_and_is_not_healthy(
    configured: Path, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, scoring = threading.Event(), threading.Event()
    scores = TorchBackend.scores

    def wedged(self: TorchBackend, clips: Sequence[RgbClip]) -> npt.NDArray[np.float32]:
        scoring.set()
        released.wait(PATIENCE_S)
        return scores(self, clips)

    monkeypatch.setattr(daemon_module, "_WEDGED_S", 1.5)
    monkeypatch.setattr(TorchBackend, "warm_up", lambda self, sizes: None)
    monkeypatch.setattr(TorchBackend, "scores", wedged)
    with Running(configured, "clip.mp4") as daemon:
        manager.until("WATCHDOG=1")
        assert scoring.wait(PATIENCE_S)
        assert manager.silent_for(4)
        manager.socket.settimeout(PATIENCE_S)
        assert "inference has not come round" in daemon._unhealthy()
        released.set()
        manager.until("WATCHDOG=1")
        assert daemon._unhealthy() == ""


def test_a_reload_is_told_from_its_beginning_to_its_end(configured: Path, manager: Manager) -> None:
    with Running(configured, "clip.mp4") as daemon:
        manager.until("READY=1")
        daemon.reload()
        began = manager.until("RELOADING=1")[-1]
        assert "MONOTONIC_USEC=" in began
        manager.until("READY=1")
