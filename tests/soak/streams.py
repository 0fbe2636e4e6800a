"""Twelve streams: who is well, and who fails how."""

import random
from collections.abc import Mapping
from pathlib import Path

from tests.faults.camera import Camera, Session, hang_up, reply
from tests.faults.media import Media, Picture, corrupted, film, jumped, onward, until
from tests.serving import free_port
from tests.videos import write_video

HEALTHY = ("healthy", "isolated", "recording")
VISITOR = "visitor"
_FPS = 10


def cameras() -> dict[str, Camera]:
    """What the camera server plays, by path."""
    chance = random.Random(1)

    def flapping() -> Media:
        return onward(until(chance.randrange(20, 200), film()), iter([hang_up]))

    def stalling() -> Media:
        return onward(until(chance.randrange(50, 200), film()), iter([Session.wait]))

    def resizing() -> Media:
        media = film()
        for _ in range(10_000):
            wide = film(Picture(256, 128))
            media = onward(onward(until(70, media), until(70, wide)), film())
            yield from until(140, media)

    return {
        "healthy": Camera(),
        "isolated": Camera(),
        "flapping": Camera(media=flapping),
        "stalling": Camera(media=stalling),
        "resizing": Camera(media=resizing),
        "jumping": Camera(media=lambda: jumped(film(), at=100, seconds=-1000)),
        "corrupt": Camera(media=lambda: corrupted(film(), 0.2)),
        "refusing": Camera(
            answers={
                "DESCRIBE": lambda _, request: reply(
                    request, "401 Unauthorized", WWW_Authenticate='Basic realm="camera"'
                )
            }
        ),
        "missing": Camera(answers={"DESCRIBE": lambda _, request: reply(request, "404 Not Found")}),
        VISITOR: Camera(),
    }


def tables(folder: Path, urls: Mapping[str, str]) -> dict[str, str]:
    """The `[[streams]]` table of each stream."""
    recording = write_video(folder / "recording.mp4", frames=60 * _FPS, fps=_FPS, gop=_FPS)
    damaged = write_video(folder / "damaged.ts", frames=30 * _FPS, fps=_FPS, gop=_FPS)
    _damage(damaged)
    urls = {
        **urls,
        "refusing": urls["refusing"].replace("://", "://admin:hunter2@"),
        "closed": f"rtsp://admin:hunter2@127.0.0.1:{free_port()}/cam",
        "recording": str(recording),
        "damaged": str(damaged),
    }
    more = {
        "isolated": 'isolation = "process"\n',
        "recording": "loop = true\n",
        "damaged": "loop = true\n",
    }
    return {
        name: f'[[streams]]\nid = "{name}"\nurl = "{url}"\n{more.get(name, "")}'
        for name, url in urls.items()
    }


def _damage(path: Path) -> None:
    data, chance = bytearray(path.read_bytes()), random.Random(2)
    for at in range(len(data) // 4, len(data) // 2, 97):
        data[at] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
