"""A file arrives whole or not at all, is resumed where it was cut, and nothing hangs."""

import hashlib
import resource
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.request import Request

import pytest

from streamcls.errors import ConfigError, StreamclsError
from streamcls.models.download import Downloaded, _OnlyHttp, download
from streamcls.models.partial import partial_file
from tests.models.mirror import Handler, Mirror, answer, cut, hang_up, serving, silence

BODY = bytes(range(256)) * 400
OTHER = BODY[::-1]
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with serving() as mirror:
        mirror.files["weights.pyth"] = BODY
        yield mirror


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "weights.pyth"


def fetch(mirror: Mirror, target: Path, sha256: str | None = None) -> Downloaded:
    url = f"{mirror.url}/weights.pyth"
    return download(url, target, sha256=sha256, pause=lambda _seconds: None)


def alone(target: Path) -> bool:
    return list(target.parent.iterdir()) == [target]


def test_a_file_arrives_whole_with_its_checksum(mirror: Mirror, target: Path) -> None:
    arrived = fetch(mirror, target)
    assert target.read_bytes() == BODY
    assert (arrived.size_bytes, arrived.sha256, arrived.checked) == (len(BODY), SHA256, "length")
    assert alone(target)


def test_a_checksum_that_is_demanded_is_what_was_checked(mirror: Mirror, target: Path) -> None:
    assert fetch(mirror, target, SHA256.upper()).checked == "sha256"


def test_a_cut_file_is_continued_with_the_bytes_that_are_missing(
    mirror: Mirror, target: Path
) -> None:
    mirror.faults = [cut(1000)]
    fetch(mirror, target)
    assert target.read_bytes() == BODY
    assert mirror.ranges == [None, "bytes=1000-"]
    assert mirror.asked[1].if_range == f'"{hashlib.md5(BODY).hexdigest()}"'


def test_a_later_run_goes_on_where_an_earlier_one_gave_up(mirror: Mirror, target: Path) -> None:
    mirror.faults = [cut(1000), *[hang_up] * 5]
    with pytest.raises(StreamclsError, match="it goes on from 1000 bytes"):
        fetch(mirror, target)
    assert not target.exists()
    mirror.asked.clear()
    fetch(mirror, target)
    assert target.read_bytes() == BODY
    assert mirror.ranges == ["bytes=1000-"]
    assert alone(target)


def test_tries_are_not_counted_while_bytes_still_come(mirror: Mirror, target: Path) -> None:
    def next_thousand(handler: Handler) -> None:
        have, whole = 1000 * (len(mirror.asked) - 1), len(BODY)
        headers = {"ETag": '"one"', "Content-Length": str(whole - have)}
        span = {"Content-Range": f"bytes {have}-{whole - 1}/{whole}"}
        handler.head(206 if have else 200, headers | span)
        handler.wfile.write(BODY[have : have + 1000])

    mirror.faults = [*[next_thousand] * 20, *[hang_up] * 5]
    with pytest.raises(StreamclsError, match="goes on from 20000 bytes"):
        fetch(mirror, target)


def test_of_another_version_nothing_is_kept(mirror: Mirror, target: Path) -> None:
    mirror.faults = [cut(1000), *[hang_up] * 5]
    with pytest.raises(StreamclsError):
        fetch(mirror, target)
    mirror.files["weights.pyth"] = OTHER
    fetch(mirror, target)
    assert target.read_bytes() == OTHER


def test_of_another_address_nothing_is_kept(mirror: Mirror, target: Path) -> None:
    mirror.files["other.pyth"] = OTHER
    mirror.faults = [cut(1000), *[hang_up] * 5]
    with pytest.raises(StreamclsError):
        fetch(mirror, target)
    download(f"{mirror.url}/other.pyth", target)
    assert target.read_bytes() == OTHER
    assert mirror.ranges[-1] is None


def test_a_server_that_names_no_version_is_asked_anew(mirror: Mirror, target: Path) -> None:
    mirror.faults = [cut(1000, tag=False)]
    fetch(mirror, target)
    assert target.read_bytes() == BODY
    assert mirror.ranges == [None, None]


def test_a_server_without_ranges_is_taken_from_the_start(mirror: Mirror, target: Path) -> None:
    mirror.faults = [cut(1000), cut(len(BODY))]
    fetch(mirror, target)
    assert target.read_bytes() == BODY


def test_a_part_that_was_not_asked_for_is_not_joined(mirror: Mirror, target: Path) -> None:
    odd = answer(206, Content_Range=f"bytes 5-{len(BODY) - 1}/{len(BODY)}")
    mirror.faults = [cut(1000), odd]
    fetch(mirror, target)
    assert target.read_bytes() == BODY
    assert mirror.ranges == [None, "bytes=1000-", None]


def test_a_file_that_had_arrived_whole_is_not_fetched_again(mirror: Mirror, target: Path) -> None:
    url = f"{mirror.url}/weights.pyth"
    with partial_file(target, url) as part:
        part.restart(f'"{hashlib.md5(BODY).hexdigest()}"')
        part.write(BODY)
    assert fetch(mirror, target).sha256 == SHA256
    assert mirror.ranges == [f"bytes={len(BODY)}-"]


def test_a_length_that_never_comes_true_is_given_up(mirror: Mirror, target: Path) -> None:
    length = str(len(BODY) + 10)

    def lie(handler: Handler) -> None:
        handler.head(200, {"Content-Length": length})
        handler.wfile.write(BODY)

    mirror.faults = [lie] * 20
    with pytest.raises(StreamclsError, match=f"cut at {len(BODY)} of {length} bytes"):
        fetch(mirror, target)
    assert not target.exists()


def test_a_file_of_no_declared_length_is_said_to_be_unchecked(mirror: Mirror, target: Path) -> None:
    def endless(handler: Handler) -> None:
        handler.head(200, {})
        handler.wfile.write(BODY)

    mirror.faults = [endless]
    assert fetch(mirror, target).checked == ""
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_what_is_refused_for_good_is_asked_once_and_leaves_nothing(
    status: int, mirror: Mirror, target: Path
) -> None:
    mirror.faults = [cut(1000), answer(status)]
    with pytest.raises(ConfigError, match=f"is not to be had: {status} "):
        fetch(mirror, target)
    assert len(mirror.asked) == 2
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_what_may_pass_is_asked_again(status: int, mirror: Mirror, target: Path) -> None:
    mirror.faults = [answer(status), answer(status)]
    fetch(mirror, target)
    assert target.read_bytes() == BODY


def test_pauses_grow_while_nothing_comes(mirror: Mirror, target: Path) -> None:
    pauses: list[float] = []
    mirror.faults = [answer(503)] * 5
    with pytest.raises(StreamclsError, match="the server says 503"):
        download(f"{mirror.url}/weights.pyth", target, pause=pauses.append)
    assert pauses == [2, 4, 8, 16]


def test_a_silent_server_is_given_up(mirror: Mirror, target: Path) -> None:
    mirror.faults = [silence] * 5
    url = f"{mirror.url}/weights.pyth"
    with pytest.raises(StreamclsError, match="the server fell silent"):
        download(url, target, timeout_s=0.05, pause=lambda _seconds: None)
    assert list(target.parent.iterdir()) == []


def test_nobody_there_is_one_line(target: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/weights.pyth"
        with pytest.raises(StreamclsError, match="no connection") as caught:
            download(url, target, pause=lambda _seconds: None)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 1


def test_another_checksum_is_refused_and_the_file_removed(mirror: Mirror, target: Path) -> None:
    mirror.files["weights.pyth"] = OTHER
    with pytest.raises(ConfigError, match=f"instead of {SHA256}.*it was removed"):
        fetch(mirror, target, SHA256)
    assert list(target.parent.iterdir()) == []


def test_what_is_no_checksum_is_refused_before_anything_is_fetched(
    mirror: Mirror, target: Path
) -> None:
    with pytest.raises(ConfigError, match="'abc' is no SHA-256; give its 64"):
        fetch(mirror, target, "abc")
    assert mirror.asked == []


def test_a_redirection_is_followed_and_told(mirror: Mirror, target: Path) -> None:
    mirror.faults = [answer(302, Location=f"{mirror.url}/elsewhere/weights.pyth")]
    assert fetch(mirror, target).url == f"{mirror.url}/elsewhere/weights.pyth"
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("elsewhere", ["file:///etc/passwd", "ftp://a/b"])
def test_a_redirection_away_from_http_is_refused(
    elsewhere: str, mirror: Mirror, target: Path
) -> None:
    mirror.faults = [answer(302, Location=elsewhere)]
    with pytest.raises(ConfigError, match=f"{elsewhere}.*not"):
        fetch(mirror, target)
    assert list(target.parent.iterdir()) == []


def test_an_encrypted_address_never_leads_to_an_open_one() -> None:
    redirect = partial(_OnlyHttp().redirect_request, Request("https://a/x"), None, 302, "", {})
    with pytest.raises(ConfigError, match="not safe"):
        redirect("http://a/x")
    assert redirect("https://b/x") is not None


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://a/b",
        "weights.pyth",
        "http://",
        "http://a b/c",
        "http://user:secret@a/b",
        "http://a:99999/b",
        "http://a:port/b",
        "http://\u00e4/b",
    ],
)
def test_what_is_no_plain_address_is_refused_without_a_try(url: str, target: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be fetched") as caught:
        download(url, target)
    assert "secret" not in str(caught.value)
    assert list(target.parent.iterdir()) == []


def test_a_proxy_of_the_environment_is_used(
    mirror: Mirror, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", mirror.url)
    monkeypatch.setenv("no_proxy", "")
    download("http://models.example/weights.pyth", target)
    assert target.read_bytes() == BODY
    assert mirror.asked[0].path == "http://models.example/weights.pyth"


def test_a_full_disk_is_told_and_what_arrived_is_kept(mirror: Mirror, target: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))
    try:
        with pytest.raises(StreamclsError, match="cannot be written: File too large; make room"):
            fetch(mirror, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    fetch(mirror, target)
    assert target.read_bytes() == BODY
    assert mirror.ranges == [None, "bytes=30000-"]


def test_a_file_that_the_disk_has_no_room_for_is_not_begun(mirror: Mirror, target: Path) -> None:
    def huge(handler: Handler) -> None:
        handler.head(200, {"Content-Length": str(10**18)})

    mirror.faults = [huge]
    with pytest.raises(StreamclsError, match="has no room for 1000000000000 MB"):
        fetch(mirror, target)
    assert list(target.parent.iterdir()) == []


def test_a_folder_that_is_not_there_is_one_line(mirror: Mirror, tmp_path: Path) -> None:
    with pytest.raises(StreamclsError, match="cannot be written: No such file"):
        fetch(mirror, tmp_path / "nowhere" / "weights.pyth")


def test_two_at_once_do_not_mix(mirror: Mirror, target: Path) -> None:
    with (
        partial_file(target, "http://elsewhere/"),
        pytest.raises(StreamclsError, match="another process is fetching"),
    ):
        fetch(mirror, target)


def test_progress_ends_at_the_whole_and_begins_at_what_is_there(
    mirror: Mirror, target: Path
) -> None:
    mirror.faults = [cut(1000)]
    seen: list[tuple[int, int | None]] = []
    url = f"{mirror.url}/weights.pyth"
    download(url, target, progress=lambda *step: seen.append(step), pause=lambda _seconds: None)
    assert seen[0] == (0, len(BODY))
    assert seen[-1] == (len(BODY), len(BODY))
    assert [have for have, _ in seen] == sorted(have for have, _ in seen)
