"""Secrets come from the environment or from systemd, and are seen by nobody but the camera."""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamcls.config import parse_settings
from streamcls.errors import ConfigError

CAMERA = '[[streams]]\nid = "cam"\nurl = "{}"\n'


def url_of(url: str) -> str:
    return parse_settings(CAMERA.format(url)).streams[0].url


def test_a_variable_is_a_part_of_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAM_USER", "admin")
    monkeypatch.setenv("CAM_PASSWORD", "s3cret")
    url = url_of("rtsp://${CAM_USER}:${CAM_PASSWORD}@192.0.2.1/1")
    assert url == "rtsp://admin:s3cret@192.0.2.1/1"


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_password_may_hold_any_character(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    monkeypatch.setenv("CAM_PASSWORD", password)
    parts = urlsplit(url_of("rtsp://admin:${CAM_PASSWORD}@192.0.2.1:554/1"))
    assert unquote(parts.password or "") == password
    assert (parts.hostname, parts.port, parts.username) == ("192.0.2.1", 554, "admin")


def test_bytes_that_are_no_text_stay_what_they_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "latin").write_bytes(b"p\xe4ss\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("CAM_LATIN", os.fsdecode(b"p\xe4ss"))
    for place in ("${credential:latin}", "${CAM_LATIN}"):
        assert url_of(f"rtsp://a:{place}@h/1") == "rtsp://a:p%E4ss@h/1"


def test_in_the_path_of_a_file_a_variable_is_taken_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VIDEOS", "/srv/my videos")
    assert url_of("${VIDEOS}/clip.mp4") == "/srv/my videos/clip.mp4"


def test_a_credential_alone_is_the_whole_url(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "front").write_text("rtsp://admin:p%40ss@192.0.2.1/1\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert url_of("${credential:front}") == "rtsp://admin:p%40ss@192.0.2.1/1"
    (tmp_path / "password").write_text("p@ss/w\n")
    assert url_of("rtsp://a:${credential:password}@h/1") == "rtsp://a:p%40ss%2Fw@h/1"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("rtsp://a:${CAM_NONE}@h/1", "the environment variable 'CAM_NONE'"),
        ("${credential:none}", "the credential 'none'"),
        ("${credential:../secret}", "the credential '../secret'"),
        ("${credential:..}", "the credential '..'"),
        ("rtsp://a:${}@h/1", "the environment variable ''"),
        ("rtsp://a:${CAM_EMPTY}@h/1", "the environment variable 'CAM_EMPTY'"),
    ],
)
def test_what_is_missing_is_named_with_its_stream(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str, name: str
) -> None:
    monkeypatch.setenv("CAM_EMPTY", "")
    (tmp_path / "secret").write_text("rtsp://outside/1")
    (tmp_path / "credentials").mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    with pytest.raises(ConfigError) as caught:
        url_of(url)
    assert str(caught.value).startswith("stream 'cam': `url` needs ")
    assert name in str(caught.value)


def test_a_secret_that_stands_alone_must_be_a_url_and_is_not_taken_for_a_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CAM", "hunter2")
    with pytest.raises(ConfigError, match="'CAM', which holds no camera's URL") as caught:
        url_of("${CAM}")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "held", ["rtsp://a:hun ter2@h/1", "rtsp://a:hunter2@h/1\nx", "rtsp://a:\udce4@h"]
)
def test_a_whole_url_that_no_line_of_a_log_could_hide_is_refused(
    monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    monkeypatch.setenv("CAM", held)
    with pytest.raises(ConfigError, match=r"write a space as %20$"):
        url_of("${CAM}")


def test_a_place_without_its_end_is_no_password() -> None:
    with pytest.raises(ConfigError, match=r"stream 'cam': `url` has a \$\{ without its \}"):
        url_of("rtsp://a:${CAM_PASSWORD@h/1")


def test_without_systemd_there_are_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(ConfigError, match="the credential 'front', which systemd has not given"):
        url_of("${credential:front}")


@pytest.mark.parametrize(
    "more",
    ["nonsense = 1", 'pace = "slow"', "stride_s = 0", 'decisions.labels.x.on_threshold = "a"'],
)
def test_no_error_shows_a_secret(monkeypatch: pytest.MonkeyPatch, more: str) -> None:
    monkeypatch.setenv("CAM_PASSWORD", "hunter2")
    for url in ("rtsp://admin:${CAM_PASSWORD}@h/1", "${CAM_PASSWORD}", "odd:${CAM_PASSWORD}"):
        with pytest.raises(ConfigError) as caught:
            parse_settings(CAMERA.format(url) + more)
        assert "hunter2" not in str(caught.value)
        assert "hunter2" not in repr(caught.value.__context__ or "")


def test_a_changed_secret_is_a_changed_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAM_PASSWORD", "hunter2")
    before = parse_settings(CAMERA.format("rtsp://a:${CAM_PASSWORD}@h/1"))
    monkeypatch.setenv("CAM_PASSWORD", "two")
    after = parse_settings(CAMERA.format("rtsp://a:${CAM_PASSWORD}@h/1"))
    assert before != after
    assert "hunter2" not in repr(before)
