"""The page in a real browser, fed by hand: what it shows, how it is reached, how quick it is."""

import re
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("playwright")

from playwright.sync_api import Browser, expect

from tests.observe.browsing import PHONE, chromium, page_at
from tests.observe.fed import LABELS, Fed, Listener, counts, event, get, picture, served

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def fed() -> Fed:
    fed = Fed(["front", "yard", "gate"])
    fed.status("front", "up")
    fed.status("yard", "up")
    fed.predict("front", [0.05, 0.9, 0.03, 0.02])
    fed.predict("yard", [0.97, 0.01, 0.01, 0.01])
    return fed


def test_states_are_told_in_words_and_labels_with_their_confidence(
    browser: Browser, fed: Fed
) -> None:
    with served(fed) as port, page_at(browser, f"http://127.0.0.1:{port}/") as page:
        front = page.get_by_role("link", name="front: live, pan_left 90 %")
        expect(front).to_be_visible()
        expect(front.locator(".state")).to_have_text("live")
        expect(front.locator(".label")).to_have_text("pan_left")
        expect(page.get_by_role("link", name="gate: not started")).to_be_visible()
        fed.status(
            "yard",
            "backoff",
            reason="timeout",
            detail="no answer in 5 s",
            retry_in_s=9.0,
            attempt=1,
        )
        yard = page.get_by_role("link", name=re.compile("^yard: down, no answer in 5 s; again in"))
        expect(yard.locator(".why")).to_contain_text("no answer in 5 s; again in")
        expect(yard.locator(".label")).to_contain_text("since ")
        expect(page.get_by_role("status")).to_have_text("3 streams, 1 down")


def test_streams_come_and_go_as_the_daemons_configuration_does(browser: Browser, fed: Fed) -> None:
    with served(fed) as port, page_at(browser, f"http://127.0.0.1:{port}/") as page:
        items = page.get_by_role("list", name="Streams").get_by_role("listitem")
        expect(items).to_have_count(3)
        fed.live.forget("yard")
        fed.status("new", "connecting")
        expect(page.get_by_role("link", name="new: connecting")).to_be_visible()
        expect(items).to_have_count(3)
        expect(page.get_by_role("heading", level=2)).to_have_text(["front", "gate", "new"])


def test_it_is_all_to_be_reached_by_the_keyboard_and_by_names(browser: Browser, fed: Fed) -> None:
    fed.event("yard", "e1", "end", "covered", ago_s=100, lasts_s=3)
    with served(fed) as port, page_at(browser, f"http://127.0.0.1:{port}/") as page:
        expect(page.get_by_role("link", name=re.compile("^yard"))).to_be_visible()
        for _ in range(3):
            page.keyboard.press("Tab")
        expect(page.get_by_role("link", name=re.compile("^yard:"))).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="yard", exact=True)).to_be_focused()
        for name in ("What the network saw", "Scores", "The last hour", "Events", "Counters"):
            expect(page.get_by_role("region", name=name)).to_be_visible()
        score = re.compile("^score of still over two minutes, now 97 %")
        expect(page.get_by_role("img", name=score)).to_be_visible()
        expect(page.get_by_role("img", name="1 event in the last hour: covered")).to_be_visible()
        expect(page.get_by_role("img", name="frame 1")).to_be_visible()
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("heading", name="gate", exact=True)).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.get_by_role("link", name=re.compile("^gate:"))).to_be_focused()


def test_an_own_view_has_the_clip_the_curves_the_events_and_the_counters(
    browser: Browser, fed: Fed
) -> None:
    fed.counts["front"] = counts(windows=1234, windows_dropped={"newer": 56})
    fed.predict("front", [0.2, 0.75, 0.05, 0], [picture(50 * n) for n in range(4)])
    fed.event("front", "e1", "start", "pan_left", ago_s=5)
    with served(fed) as port, page_at(browser, f"http://127.0.0.1:{port}/#front") as page:
        expect(
            page.get_by_role("list", name="Frames of the last clip").locator("img")
        ).to_have_count(4)
        curves = page.get_by_role("region", name="Scores").get_by_role("listitem")
        expect(curves).to_have_count(len(LABELS))
        assert curves.nth(1).locator("line.on").get_attribute("y1") == "0.4"  # 1 less 0.6
        assert curves.nth(1).locator("path").get_attribute("d").count("L") == 1  # type: ignore
        assert curves.nth(0).locator("line.on").count() == 0
        row = page.get_by_role("row").nth(1)
        expect(row).to_contain_text(re.compile(r"pan_left.*93 %still on"))
        fed.event("front", "e1", "end", "pan_left", ago_s=5, lasts_s=4)
        expect(row).to_contain_text(re.compile(r"pan_left.*4\.0 s93 %its label"))
        counters = page.get_by_role("region", name="Counters")
        expect(counters).to_contain_text("whole1234dropped: newer56")
        fed.status("front", "failed", reason="truncated", detail="ends in mid-picture")
        expect(
            page.get_by_text(re.compile("^Failed since .*: ends in mid-picture"))
        ).to_be_visible()


HOSTILE = "<img src=x onerror=document.title='owned'>"


def test_whatever_names_say_is_text(browser: Browser) -> None:
    fed = Fed(["front"])
    fed.status("front", "backoff", detail=HOSTILE, reason=HOSTILE)
    fed.live.problems = [HOSTILE]
    fed.event("front", "e1", "start", HOSTILE)
    with served(fed) as port:
        with page_at(browser, f"http://127.0.0.1:{port}/") as page:
            expect(page.get_by_role("alert")).to_have_text(HOSTILE)
            expect(page.locator(".tile .why")).to_have_text(HOSTILE)
            assert page.locator("img[src=x]").count() == 0
        with page_at(browser, f"http://127.0.0.1:{port}/#front") as page:
            expect(page.get_by_role("cell", name=HOSTILE)).to_be_visible()
            expect(page.locator(".lanes span").first).to_have_text(HOSTILE)
            assert page.locator("img[src=x]").count() == 0
            assert "owned" not in page.title()
        with page_at(browser, f"http://127.0.0.1:{port}/#{HOSTILE}") as page:
            expect(page.get_by_text("There is no stream of this name.")).to_be_visible()
            assert page.locator("img[src=x]").count() == 0


def test_a_token_opens_the_page_once_and_leaves_the_address_bar(browser: Browser, fed: Fed) -> None:
    token = "correct-horse-battery"
    with (
        served(fed, token=token) as port,
        page_at(browser, f"http://127.0.0.1:{port}/?token={token}") as page,
    ):
        expect(page.get_by_role("link", name=re.compile("^front"))).to_be_visible()
        assert token not in page.evaluate("location.href + document.cookie")
        page.goto(f"http://127.0.0.1:{port}/")
        expect(page.get_by_role("link", name=re.compile("^front"))).to_be_visible()


def test_without_thumbnails_there_are_words_alone(browser: Browser) -> None:
    fed = Fed(["front"], pictures=False)
    fed.status("front", "up")
    fed.predict("front", [0.05, 0.9, 0.03, 0.02])
    with served(fed) as port, page_at(browser, f"http://127.0.0.1:{port}/") as page:
        expect(page.locator(".tile .label")).to_have_text("pan_left")
        expect(page.locator(".tile img")).to_be_hidden()


def test_a_daemon_that_goes_is_missed_and_one_that_comes_back_is_found(
    browser: Browser, fed: Fed
) -> None:
    from streamcls.observe.http import HttpServer
    from streamcls.observe.page import Guard, Site

    def serve(port: int) -> HttpServer:
        site = Site(fed.feed, Guard("127.0.0.1"), fed.clock)
        server = HttpServer("127.0.0.1", port, metrics=bytes, healthy=str, ready=str, pages=site)
        server.start()
        return server

    server = serve(0)
    context = browser.new_context()
    page = context.new_page()
    page.goto(server.url)
    expect(page.get_by_role("link", name=re.compile("^front"))).to_be_visible()
    server.stop()
    expect(page.get_by_role("alert")).to_have_text("No connection to the daemon.")
    fed.live.forget("yard")
    server = serve(int(server.url.rpartition(":")[2]))
    expect(page.get_by_role("alert")).to_be_hidden(timeout=20_000)
    expect(page.get_by_role("link", name=re.compile("^yard"))).to_have_count(0)
    context.close()
    server.stop()


HIDE = """
(hidden) => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}
"""


def test_a_page_that_nobody_can_see_is_not_sent_anything(browser: Browser, fed: Fed) -> None:
    # Not `page_at`: that it is refused for a moment when it comes back is an error in its console.
    with served(fed, max_viewers=1) as port, browser.new_page() as page:
        page.goto(f"http://127.0.0.1:{port}/")
        front = page.get_by_role("link", name=re.compile("^front: live"))
        expect(front).to_be_visible()
        assert get(port, "/news")[0].status == 503  # its place is taken
        page.evaluate(HIDE, True)
        deadline = time.monotonic() + 20
        while True:  # what is sent meets a closed connection
            fed.status("gate", "connecting", attempt=round(time.monotonic() * 10) % 1000)
            viewer = Listener(port)
            if viewer.answer.status == 200:
                break
            viewer.close()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        viewer.close()
        fed.status("front", "failed", detail="while hidden")
        time.sleep(1)
        expect(front).to_be_visible()
        page.evaluate(HIDE, False)
        failed = re.compile("^front: failed, while hidden")
        expect(page.get_by_role("link", name=failed)).to_be_visible(timeout=20_000)


@pytest.mark.parametrize("width", [PHONE["width"], 320])
def test_on_a_phone_nothing_is_wider_than_the_screen(
    browser: Browser, fed: Fed, width: int
) -> None:
    fed.event("front", "e1", "start", "covered")
    more = {"viewport": {"width": width, "height": 700}}
    with served(fed) as port:
        for address in ("", "#front"):
            with page_at(browser, f"http://127.0.0.1:{port}/{address}", **more) as page:
                page.get_by_text("pan_left").first.wait_for()
                assert page.evaluate("document.documentElement.scrollWidth") <= width


WATCH = """
window.gaps = [];
let last = performance.now();
const step = (now) => { window.gaps.push(now - last); last = now; requestAnimationFrame(step); };
requestAnimationFrame(step);
window.tasks = [];
const note = (list) => window.tasks.push(...list.getEntries().map((one) => one.duration));
new PerformanceObserver(note).observe({ entryTypes: ["longtask"] });
"""


def test_sixty_four_streams_do_not_freeze_the_page(browser: Browser) -> None:
    names = [f"cam{number}" for number in range(64)]
    now = time.time()
    past = [
        (name, event(f"{name}-{n}", "end", "covered", now, ago_s=60 * n + 30, lasts_s=20))
        for name in names
        for n in range(40)
    ]
    fed = Fed(names, past=past)
    noise = np.random.default_rng(3).integers(0, 255, (12, 160, 284, 3), np.uint8)
    over = threading.Event()

    def play() -> None:
        turn = 0
        while not over.wait(0.25):
            turn += 1
            for at, name in enumerate(names):
                if (at + turn) % 4 == 0:  # each once a second, as at the default stride
                    fed.status(name, "up")
                    fed.predict(name, [0.1, turn % 9 / 10, 0, 0], [noise[turn % 12].copy()])

    player = threading.Thread(target=play)
    player.start()
    try:
        with served(fed) as port, page_at(browser, f"http://127.0.0.1:{port}/") as page:
            expect(page.locator("img[src]")).to_have_count(64, timeout=20_000)
            # All are to be seen at once.
            assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")
            page.evaluate(WATCH)
            page.wait_for_timeout(5000)
            gaps, tasks = page.evaluate("[window.gaps, window.tasks]")
    finally:
        over.set()
        player.join()
    gaps.sort()
    figures = (
        f"64 streams: {len(gaps)} frames in 5 s, half within {gaps[len(gaps) // 2]:.0f} ms,"
        f" the longest {gaps[-1]:.0f} ms; tasks above 50 ms: {[round(one) for one in tasks]}"
    )
    print(figures)
    assert gaps[len(gaps) // 2] < 100, figures
    assert max(tasks, default=0) < 400, figures
