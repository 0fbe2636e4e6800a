"""Files that name other files or addresses: never followed, whatever they are called."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from streamcls.errors import SourceError
from streamcls.finetune.clips.reader import probe
from tests.pipeline.playing import play, source
from tests.videos import write_video

SUFFIXES = (".mp4", ".mkv", ".ts", ".avi", ".m3u8", ".mpd", ".sdp", ".txt", ".edl", "")


class Watched(ThreadingHTTPServer):
    """A web server that serves a video to whoever asks, and remembers."""

    def __init__(self, video: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.video = video
        self.asked: list[str] = []
        self.address = f"127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Watched

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.video)))
        self.end_headers()
        self.wfile.write(self.server.video)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A video that no file but itself may lead to."""
    return write_video(tmp_path / "canary.ts", frames=10, size=(64, 48))


@pytest.fixture
def server(canary: Path) -> Iterator[Watched]:
    with Watched(canary.read_bytes()) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def lists(target: str) -> dict[str, str]:
    """Every kind of file that names another one, by kind."""
    port = target.rpartition(":")[2].partition("/")[0] if target.startswith("http") else "9"
    return {
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n",
        "hls of lists": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{target}\n",
        "hls with a key": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-KEY:METHOD=AES-128,"
        f'URI="{target}"\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n',
        "hls with a map": f'#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MAP:URI="{target}"\n'
        f"#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile '{target}'\n",
        "concat without quotes": f"ffconcat version 1.0\nfile {target}\n",
        "dash": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"'
        ' mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="video/mp4">'
        f'<Representation id="1" bandwidth="1"><BaseURL>{target}</BaseURL>'
        "</Representation></AdaptationSet></Period></MPD>\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        f"m=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\na=control:{target}\n",
        "rtsp redirect": f"rtsptextRTSP://{target.partition('://')[2]}\r\n",
        "edl": f"# mpv EDL v0\n{target},0,1\n",
        "ism": f'<SmoothStreamingMedia><StreamIndex Url="{target}"/></SmoothStreamingMedia>',
        "image list": f"{target}\n{target}\n",
        "xspf": f"<playlist><trackList><track><location>{target}</location></track></trackList>"
        "</playlist>",
        "doctype": f'<!DOCTYPE x [<!ENTITY y SYSTEM "{target}">]><x>&y;</x>',
    }


KINDS = list(lists(""))


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_names_others_leads_nowhere(
    kind: str, tmp_path: Path, canary: Path, server: Watched
) -> None:
    targets = [
        f"http://{server.address}/canary.ts",
        f"tcp://{server.address}",
        str(canary),
        f"file:{canary}",
        canary.name,
        f"concat:{canary}|{canary}",
        f"subfile,,start,0,end,9000,,:{canary}",
        f"crypto+http://{server.address}/canary.ts",
    ]
    for target in targets:
        content = lists(target)[kind]
        for suffix in SUFFIXES:
            path = tmp_path / f"list{suffix}"
            path.write_text(content)
            with pytest.raises(SourceError):  # the daemon's reader
                play(source(path))
            with pytest.raises(SourceError):  # finetune's
                probe(path)
    assert server.asked == []


def test_the_server_and_the_canary_would_be_noticed(canary: Path, server: Watched) -> None:
    """Without the guards: what the others could have been led to is there."""
    import av

    with av.open(f"http://{server.address}/x.ts") as container:
        assert len(list(container.decode(video=0))) == 10
    assert server.asked
    assert len(play(source(canary))) == 10
