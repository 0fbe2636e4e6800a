"""The page over real HTTP: who gets it, what comes with it, and that it holds nobody up."""

import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from streamcls.config import parse_settings
from streamcls.errors import ConfigError
from tests.observe.fed import Fed, Listener, get, picture, served

TOKEN = "correct-horse-battery"
FILES = Path(__file__).parents[2] / "streamcls" / "observe" / "page" / "files"


@pytest.fixture
def fed() -> Fed:
    fed = Fed(["front"])
    fed.status("front", "up")
    fed.predict("front", [0.1, 0.8, 0.05, 0.05])
    return fed


def test_the_page_and_all_its_files_come_from_here_and_nothing_from_elsewhere(fed: Fed) -> None:
    with served(fed) as port:
        answer, page = get(port, "/")
        assert answer.status == 200
        policy = answer.getheader("Content-Security-Policy", "")
        for path in FILES.iterdir():
            if path.name != "index.html":
                answer, body = get(port, f"/{path.name}")
                assert (answer.status, body) == (200, path.read_bytes())
                assert answer.getheader("X-Content-Type-Options") == "nosniff"
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert b"<script>" not in page
    assert b"style=" not in page
    for path in FILES.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text, path.name


def test_news_come_as_they_happen(fed: Fed) -> None:
    with served(fed) as port:
        viewer = Listener(port)
        assert viewer.answer.getheader("Content-Type") == "text/event-stream"
        first = viewer.next()
        assert first["tiles"][0]["label"] == "pan_left"
        before = time.monotonic()
        fed.event("front", "e1", "start", "covered")
        while "marks" not in (message := viewer.next()):
            pass
        assert message["marks"]["front"][0]["label"] == "covered"
        assert time.monotonic() - before < 2
        viewer.close()


def test_a_browser_that_takes_nothing_holds_up_nobody() -> None:
    fed = Fed([f"cam{number}" for number in range(20)])
    noise = np.random.default_rng(1).integers(0, 255, (240, 320, 3), np.uint8)
    with served(fed) as port, socket.create_connection(("127.0.0.1", port)) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(b"GET /news HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
        viewer = Listener(port)
        viewer.next()
        spent_s, messages = 0.0, 0
        ends_s = time.monotonic() + 3
        while time.monotonic() < ends_s:
            for name in fed.live.streams:
                before = time.thread_time()
                fed.status(name, "up")
                fed.predict(name, [0, 1, 0, 0], [noise.copy()])
                spent_s, messages = spent_s + time.thread_time() - before, messages + 1
            time.sleep(0.3)
            assert viewer.next()["tiles"]
        viewer.close()
    assert messages >= 100
    assert spent_s / messages < 0.002


def test_so_many_may_look_at_once_and_a_place_is_free_again_when_one_goes(fed: Fed) -> None:
    with served(fed, max_viewers=2) as port:
        viewers = [Listener(port), Listener(port)]
        for viewer in viewers:
            viewer.next()
        assert get(port, "/news")[0].status == 503
        viewers[0].close()
        deadline = time.monotonic() + 20
        while True:
            fed.event("front", f"{time.monotonic()}", "start", "covered")
            third = Listener(port)
            if third.answer.status == 200:
                break
            third.close()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        third.next()
        for viewer in (viewers[1], third):
            viewer.close()


def test_stopping_ends_the_viewers_threads(fed: Fed) -> None:
    before = threading.active_count()
    with served(fed) as port:
        viewer = Listener(port)
        viewer.next()
    with pytest.raises(EOFError):
        list(iter(viewer.next, None))
    viewer.close()
    deadline = time.monotonic() + 10
    while threading.active_count() > before:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_without_a_token_only_this_machines_names_are_answered(fed: Fed) -> None:
    with served(fed) as port:
        for host in ("localhost", f"localhost:{port}", "127.0.0.1:1", "[::1]:8080", "127.1.2.3"):
            assert get(port, "/", Host=host)[0].status == 200, host
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", ""):
            for path in ("/", "/news", "/page.js"):
                assert get(port, path, Host=host)[0].status == 421, host
        assert get(port, "/metrics", Host="evil.example")[0].status == 200


def test_other_sites_pages_may_link_to_it_and_no_more(fed: Fed) -> None:
    with served(fed) as port:
        for site, mode, status in [
            ("same-origin", "cors", 200),
            ("none", "navigate", 200),
            ("cross-site", "navigate", 200),
            ("cross-site", "no-cors", 403),
            ("same-site", "cors", 403),
        ]:
            answer, _ = get(port, "/", Sec_Fetch_Site=site, Sec_Fetch_Mode=mode)
            assert answer.status == status, (site, mode)


def test_with_a_token_nothing_of_the_page_is_to_be_had_without_it(fed: Fed) -> None:
    with served(fed, token=TOKEN) as port:
        for path in ("/", "/page.js", "/news", "/?token=wrong", "/?token=", f"/?token={TOKEN}x"):
            answer, body = get(port, path)
            assert answer.status == 401, path
            assert TOKEN.encode() not in body
            assert answer.getheader("Set-Cookie") is None
        bad = {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}, {"Cookie": "x=y; ; ="}
        for headers in bad:
            assert get(port, "/", **headers)[0].status == 401
        many = "&".join("a=1" for _ in range(100))
        assert get(port, f"/?{many}")[0].status == 401
        assert get(port, "/metrics")[0].status == 200
        assert get(port, "/healthz")[0].status == 200


def test_the_token_is_needed_once_and_the_cookie_it_leaves_is_another_thing(fed: Fed) -> None:
    with served(fed, token=TOKEN) as port:
        answer, _ = get(port, f"/?token={TOKEN}", Host="cams.example")
        assert answer.status == 200
        cookie = answer.getheader("Set-Cookie", "")
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert TOKEN not in cookie
        kept = f"other=1; {cookie.partition(';')[0]}"
        viewer = Listener(port, Cookie=kept, Host="cams.example")
        assert viewer.next()["streams"] == ["front"]
        viewer.close()
        assert get(port, "/", Authorization=f"Bearer {TOKEN}")[0].status == 200
    with served(fed, token=TOKEN[::-1]) as port:  # another daemon's
        name, _, value = cookie.partition(";")[0].partition("=")
        assert get(port, "/", Cookie=f"{name}={value}")[0].status == 401
        assert get(port, "/", Cookie=f"streamcls-{port}={value}")[0].status == 401


STREAM = '[[streams]]\nid = "a"\nurl = "a.mp4"\n[http]\n'


def test_beyond_this_machine_the_page_needs_a_token() -> None:
    with pytest.raises(ConfigError, match="no `token`"):
        parse_settings(STREAM + 'host = "0.0.0.0"')
    for more in ("page = false", "enabled = false", f'token = "{TOKEN}"'):
        parse_settings(STREAM + f'host = "0.0.0.0"\n{more}')
    for host in ("localhost", "127.0.0.2"):
        parse_settings(STREAM + f'host = "{host}"')


def test_a_token_may_be_a_secret_from_elsewhere_and_is_told_to_nobody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PAGE_TOKEN", TOKEN)
    (tmp_path / "page").write_text(f"{TOKEN}\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    for place in ("${PAGE_TOKEN}", "${credential:page}", TOKEN):
        settings = parse_settings(STREAM + f'token = "{place}"')
        assert settings.http.token == TOKEN
        assert TOKEN not in repr(settings)
    with pytest.raises(ConfigError, match=r"`http\.token` needs the environment variable 'NONE'"):
        parse_settings(STREAM + 'token = "${NONE}"')
    monkeypatch.setenv("PAGE_TOKEN", "hunter2 short")
    with pytest.raises(ConfigError, match="16 characters") as caught:
        parse_settings(STREAM + 'token = "${PAGE_TOKEN}"')
    assert "hunter2" not in str(caught.value)


def test_pictures_are_small() -> None:
    fed = Fed(["front"])
    fed.status("front", "up")
    large = np.random.default_rng(1).integers(0, 255, (900, 1600, 3), np.uint8)
    fed.predict("front", [1, 0, 0, 0], [picture(1), large])
    assert len(fed.feed().next()) < 150_000
