"""A real RTSP server in a process of its own, so that tests may freeze and kill it."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# GStreamer's bindings belong to the system's Python, not to the one under test.
_COMMAND = ["/usr/bin/python3", str(Path(__file__).with_name("rtsp_server.py"))]


@dataclass
class RtspServer:
    """A running server; `url` is that of its one stream, without credentials."""

    url: str
    process: subprocess.Popen[str]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2].partition("/")[0])

    def url_for(self, user: str, password: str) -> str:
        return self.url.replace("://", f"://{user}:{password}@")

    def freeze(self) -> None:
        """Stop answering, with every connection left open."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def change_size(self, width: int, height: int) -> None:
        """Send pictures of another size from now on."""
        assert self.process.stdin
        self.process.stdin.write(f"{width}x{height}\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        """End without a goodbye."""
        self.process.kill()
        self.process.wait()


@contextmanager
def rtsp_server(
    *,
    codec: str = "h264",
    file: Path | None = None,
    user: str = "",
    password: str = "",
    fps: int = 25,
    size: tuple[int, int] = (128, 96),
    port: int = 0,
) -> Iterator[RtspServer]:
    """Serve a moving test picture, or an mp4 file at its own pace.

    Args:
        codec: `h264` or `h265`; a file must be of this codec already.
        port: 0 takes a free one; a number brings a killed server back where it was.
    """
    options = ["--codec", codec, "--fps", str(fps), "--port", str(port)]
    options += ["--size", f"{size[0]}x{size[1]}"]
    if file:
        options += ["--file", str(file)]
    if user:
        options += ["--user", user, "--password", password]
    process = subprocess.Popen(
        _COMMAND + options, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        url = process.stdout.readline().strip()
        assert url, f"the RTSP server ended at once with {process.wait()}"
        yield RtspServer(url, process)
    finally:
        process.kill()
        process.communicate()
