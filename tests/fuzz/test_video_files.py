"""Video files cut short and with bits flipped: played as far as they go, or one line of why not."""

import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.fuzz.conftest import Cases
from tests.fuzz.limits import Worker
from tests.fuzz.mutate import damaged, mutated
from tests.videos import write_video

CONTAINERS = ["mp4", "mkv", "avi", "ts", "h264"]


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_damaged_video_neither_kills_nor_hangs(
    cases: Cases, tmp_path: Path, container: str
) -> None:
    whole = write_video(
        tmp_path / f"whole.{container}", frames=20, fps=10, gop=5, size=(64, 48)
    ).read_bytes()
    outcomes: Counter[str] = Counter()
    with Worker("tests.fuzz.playing", limit_s=10) as worker:
        for case in cases(40):
            change = damaged if case.number % 2 else mutated
            path = tmp_path / f"case{case.number}.{container}"
            path.write_bytes(change(whole, case.chance))
            outcome = worker.run(str(path))
            assert not outcome.finding, f"{case}: {outcome.finding}"
            outcomes[outcome.word] += 1
            path.unlink()
    assert set(outcomes) <= {"played some", "played none", "truncated", "unusable", "timeout"}


class _Canary(BaseHTTPRequestHandler):
    asked: list[str] = []  # noqa: RUF012 (one server at a time)

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_error(404)


def test_no_list_makes_it_read_another_file_or_ask_another_host(
    cases: Cases, tmp_path: Path
) -> None:
    _Canary.asked.clear()
    server = HTTPServer(("127.0.0.1", 0), _Canary)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/canary.ts"
    other = write_video(tmp_path / "other.ts", frames=20, fps=10, size=(64, 48))
    lists = {
        "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{url}\n#EXTINF:2,\n{other}\n",
        "ffconcat": f"ffconcat version 1.0\nfile {other}\nfile {url}\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nt=0 0\n"
        "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        "mpd": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period>'
        f"<AdaptationSet><Representation><BaseURL>{url}</BaseURL></Representation>"
        "</AdaptationSet></Period></MPD>",
        "txt": f"{url}\n{other}\n",
    }
    try:
        with Worker("tests.fuzz.playing", limit_s=10) as worker:
            for case in cases(30):
                suffix = case.chance.choice(sorted(lists))
                text = lists[suffix].encode()
                path = tmp_path / f"list.{case.chance.choice([suffix, 'mp4', 'ts'])}"
                path.write_bytes(text if case.number % 3 == 0 else mutated(text, case.chance))
                outcome = worker.run(str(path))
                assert not outcome.finding, f"{case}: {outcome.finding}"
                assert outcome.word in ("unusable", "truncated"), f"{case}: {outcome.word}"
    finally:
        server.shutdown()
        server.server_close()
    assert _Canary.asked == []
