"""What cameras do in place of their work, and files that are not what they seem."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.faults.camera import Answer, Request, Session, describe, reply
from tests.faults.camera import Camera as _Camera
from tests.faults.media import Act, Unit, film
from tests.serving import free_port
from tests.videos import write_audio, write_video

__all__ = ["Act", "Answering"]

Answering = Callable[[Session, Request], Answer]
_FPS = 10


def reports_only(session: Session) -> None:
    """Tell the time again and again, and show nothing."""
    while not session.over.wait(0.3):
        session.report()


def trickle_on(session: Session) -> None:
    """Go on with the film, a byte at a time."""
    for item in film():
        assert isinstance(item, Unit)
        session.trickle(b"$\0\x04\0" + b"".join(item.units), 0.05)


def trickled(session: Session, request: Request) -> Answer:
    """Answer DESCRIBE, a byte at a time."""
    session.trickle(describe(_Camera(), request), 0.05)
    return b""


def garbage(session: Session) -> None:
    """Send what is neither RTP nor RTSP."""
    session.send(random.Random(3).randbytes(3000).replace(b"$", b"%"))


def play_on(session: Session) -> None:
    """Go on with the film where it was."""
    begin = session.ticks + 9000
    for item in film(start=begin):
        assert isinstance(item, Unit)
        session.show(item)
        if session.over.wait(item.lasts_s):
            return


def redirect(path: str) -> Answering:
    """Send the client to another camera of this server."""

    def answer(session: Session, request: Request) -> Answer:
        base = request.url.rpartition("/")[0]
        return reply(request, "302 Moved Temporarily", Location=f"{base}/{path}")

    return answer


def redirect_to(url: str) -> Answering:
    """Send the client elsewhere."""
    return lambda _, request: reply(request, "302 Moved Temporarily", Location=url)


def closed() -> str:
    """A URL at whose port nothing listens."""
    return f"rtsp://127.0.0.1:{free_port()}/camera"


def declares(line: str) -> Callable[[list[str]], list[str]]:
    """Put a line in place of the true frame rate."""

    def change(lines: list[str]) -> list[str]:
        return [found for old in lines if (found := line if "framerate" in old else old)]

    return change


def at(unit: Unit, ticks: int) -> Unit:
    """The same picture at another time."""
    return replace(unit, ticks=ticks)


def text(folder: Path) -> Path:
    """A text file by the name of a video."""
    path = folder / "text.mp4"
    path.write_text("This is no video.\n" * 1000)
    return path


def empty(folder: Path) -> Path:
    """Nothing."""
    path = folder / "empty.mp4"
    path.touch()
    return path


def cut(folder: Path) -> Path:
    """An mp4 whose index is whole and whose pictures are not."""
    path = write_video(
        folder / "cut.mp4", frames=60, fps=_FPS, gop=_FPS, muxing={"movflags": "faststart"}
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    return path


def headless(folder: Path) -> Path:
    """An mp4 that ends before its index."""
    path = write_video(folder / "headless.mp4", frames=60, fps=_FPS)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def playlist(folder: Path) -> Path:
    """A playlist that would have other files and hosts read."""
    path = folder / "list.m3u8"
    video = write_video(folder / "listed.ts", frames=30, fps=_FPS)
    path.write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{video}\n#EXTINF:3,\nfile:///etc/passwd\n"
        "#EXT-X-ENDLIST\n"
    )
    return path


def concat(folder: Path) -> Path:
    """A list in the format of FFmpeg's own."""
    path = folder / "list.ffconcat"
    video = write_video(folder / "joined.mp4", frames=30, fps=_FPS)
    path.write_text(f"ffconcat version 1.0\nfile '{video}'\n")
    return path


def sound(folder: Path) -> Path:
    """A recording without pictures."""
    return write_audio(folder / "sound.mp4", seconds=3)


def flipped(folder: Path) -> Path:
    """A recording with single bits wrong."""
    path = write_video(folder / "flipped.ts", frames=60, fps=_FPS, gop=_FPS)
    data, chance = bytearray(path.read_bytes()), random.Random(4)
    for place in range(2000, len(data) - 2000, 211):
        data[place] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
    return path


def raw(folder: Path) -> Path:
    """H.264 and nothing around it."""
    return write_video(folder / "raw.h264", frames=60, fps=_FPS, gop=_FPS)
