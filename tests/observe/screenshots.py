"""Pictures of the page of a real daemon: python -m tests.observe.screenshots --out DIR

The films are made of photographs with known camera motion; one camera of the eight is not there.
So that the past hour is not empty, the journal begins with what an earlier run might have left.
"""

import argparse
import io
import random
import tempfile
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page

from streamcls.clock import SystemClock
from streamcls.events import EventData, Writer, utc
from streamcls.finetune.camera_motion.video import write_video
from streamcls.history import History, Journal
from tests.observe.browsing import PHONE, WALL, chromium, page_at
from tests.serving import config, serving, stream

PHOTOS = Path(__file__).parents[1] / "data" / "photos"
CAMERAS = {
    "front-door": ("china", ("still", "pan_left", "still", "pan_right")),
    "yard": ("life", ("still", "shaking", "still", "shaking")),
    "loading-dock": ("picosdeeuropa", ("zoom_in", "still", "zoom_out", "still")),
    "reception": ("coffee", ("still", "still", "covered", "still")),
    "car-park": ("aitzgorri", ("tilt_up", "still", "tilt_down", "still")),
    "gate": ("friends", ("still", "zoom_in", "still", "zoom_out")),
    "roof": ("sunset", ("still", "still", "pan_right", "still")),
}
_SETTLE_S = 25.0
LAPTOP = {"width": 1280, "height": 640}


def main() -> None:
    """Film, serve, look."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        streams = "".join(_camera(folder, *camera) for camera in CAMERAS.items())
        streams += stream("stairs", "rtsp://127.0.0.1:9/stairs", stride_s="1.0")
        more = "[windows]\nstride_s = 0.6\n[capture]\nbackoff_min_s = 20\n"
        path = config(folder, streams, model="camera-motion", backend="auto", more=more)
        _past(folder / "events.sqlite")
        with serving(path) as served:
            served.wait_ready()
            for camera in CAMERAS:
                served.until_state(camera, "up")
            time.sleep(_SETTLE_S)
            with chromium() as browser:
                _look(browser, served.http, out)


def _look(browser: Browser, url: str, out: Path) -> None:
    for name, address, more in [
        ("page-light", "", {"viewport": LAPTOP, "color_scheme": "light"}),
        ("page-dark", "", {"viewport": WALL, "color_scheme": "dark"}),
        ("page-phone", "", {"viewport": PHONE, "color_scheme": "light"}),
        ("stream-light", "#yard", {"viewport": LAPTOP, "color_scheme": "light"}),
        ("stream-dark", "#front-door", {"viewport": LAPTOP, "color_scheme": "dark"}),
        ("stream-phone", "#yard", {"viewport": PHONE, "color_scheme": "dark"}),
        ("stream-down", "#stairs", {"viewport": LAPTOP, "color_scheme": "light"}),
    ]:
        with page_at(browser, f"{url}/{address}", **more) as page:
            page.wait_for_timeout(4000)
            _take(page, out / f"{name}.png", full="stream" in name)
            print(out / f"{name}.png")


def _take(page: Page, path: Path, *, full: bool) -> None:
    """A picture of 256 colours, a quarter of the bytes: the page's own, and the photographs'."""
    taken = page.screenshot(full_page=full, animations="disabled")
    image = Image.open(io.BytesIO(taken)).convert("RGB")
    found = image.getcolors(image.width * image.height) or []
    own = [colour for _, colour in sorted(found, key=lambda one: -one[0])[:64]]
    rest = image.quantize(256 - len(own)).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([value for colour in own for value in colour] + rest)  # type: ignore[attr-defined]
    few = image.quantize(palette=palette, dither=Image.Dither.NONE)
    few.save(path, optimize=True)


def _camera(folder: Path, name: str, scene: tuple[str, tuple[str, ...]]) -> str:
    photo, labels = scene
    video = folder / f"{name}.mp4"
    write_video(
        video,
        PHOTOS / f"{photo}.jpg",
        [(label, 3.0) for label in labels],
        fps=15,
        size=(480, 270),
        seed=4,
        foreground=False,
        options={"preset": "ultrafast"},
    )
    return stream(name, video, loop="true")


def _past(path: Path) -> None:
    """An hour of events, as if the daemon had run before."""
    clock, draw = SystemClock(), random.Random(5)
    now = clock.utc_s()
    journal = Journal(
        path,
        boot_id="before",
        max_age_s=1e6,
        max_bytes=10**8,
        power_safe=False,
        predictions=False,
        clock=clock,
    )
    history = History(boot_id="before", streams=[], heartbeat_s=5, keep=1, journal=journal)
    writer = Writer("/streamcls/before", "before")
    for camera, (_, labels) in CAMERAS.items():
        begins = now - 3500
        for number in range(draw.randrange(6, 14)):
            begins += draw.uniform(60, 480)
            label = draw.choice([label for label in labels if label != "still"])
            ends = begins + draw.uniform(2, 50)
            if ends > now - 60:
                break
            event = EventData(
                event_id=f"before-{camera}-{number}",
                transition="end",
                label=label,
                index=0,
                stream_epoch=1,
                peak_score=round(draw.uniform(0.75, 0.99), 3),
                mean_score=0.7,
                start_s=0.0,
                end_s=1.0,
                start_time=utc(begins),
                end_time=utc(ends),
                reason="label_off",
            )
            history.record([writer.encode(camera, event, utc(ends))])
    history.close()


if __name__ == "__main__":
    main()
