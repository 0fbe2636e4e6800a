"""Settings: every error names the key; nothing misspelt is ignored; no password survives."""

import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcls.config import (
    Pace,
    Settings,
    check_files,
    decisions_in_force,
    load_settings,
    parse_settings,
)
from streamcls.errors import ConfigError
from streamcls.models.bundle import find_bundle, read_manifest
from streamcls.urls import host_of, redact, scheme_of

STREAM = '[[streams]]\nid = "cam"\nurl = "clip.mp4"\n'


def test_the_smallest_file_names_one_stream() -> None:
    settings = parse_settings(STREAM, folder=Path("/videos"))
    assert settings.streams[0].url == "/videos/clip.mp4"
    assert settings.streams[0].pace is Pace.REALTIME
    assert settings.publish.endpoint.startswith("tcp://127.0.0.1:")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (STREAM + "fps = 5", ["unknown key `fps`", "streams[0]", "stride_s"]),
        ("speed = 3\n" + STREAM, ["unknown key `speed`", "windows"]),
        (STREAM + "[windows]\nstride = 1", ["unknown key `stride`", "[windows]", "stride_s"]),
        (STREAM + "[windows]\nstride_s = 0", ["windows.stride_s", ">= 0.01"]),
        (STREAM + "stride_s = -1", ["streams[0].stride_s", ">= 0.01"]),
        (STREAM + '[windows]\nstride_s = "1"', ["windows.stride_s", "`float`", "`str`"]),
        (STREAM + 'isolation = "cage"', ["streams[0].isolation", "'thread', 'process'"]),
        (STREAM + '[log]\nlevel = "loud"', ["log.level", "'debug', 'info', 'warning', 'error'"]),
        (STREAM + '[log]\nformat = "xml"', ["log.format", "'auto', 'json', 'text'"]),
        (STREAM + '[publish]\nipc_mode = "9"', ["ipc_mode", "octal", "0660"]),
        (STREAM + '[http]\nhost = ""', ["http.host"]),
        (STREAM.replace("clip.mp4", "rtsp://h:0/x"), ["no port from 1 to 65535 after its host"]),
        (STREAM.replace("clip.mp4", "rtsp://h:99999/x"), ["no port from 1 to 65535"]),
        (STREAM.replace("clip.mp4", "rtsp://h:abc/x"), ["no port from 1 to 65535"]),
        (STREAM.replace("clip.mp4", "rtsp://h:" + "9" * 5000), ["no port from 1 to 65535"]),
        (STREAM.replace("clip.mp4", "rtsp://u:p/w@h/x"), ["raw /, ? or #", "%2F"]),
        (STREAM.replace("clip.mp4", "rtsp://u:p#w@h/x"), ["raw /, ? or #", "%23"]),
        (STREAM.replace("clip.mp4", "rtsp://u:p w@h/x"), ["space", "%20"]),
        (STREAM.replace("clip.mp4", "rtsp:h/x"), ["names no host"]),
        (STREAM.replace("clip.mp4", "webcam:-1"), ["names no webcam", "webcam:0"]),
        (STREAM + "[capture]\nmax_pixels = 1", ["capture.max_pixels", ">= 16"]),
        (STREAM + "[windows]\nmin_coverage = 1.5", ["windows.min_coverage", "<= 1"]),
        (STREAM + "[windows]\nmax_stride_s = 0.5", ["max_stride_s", "below `stride_s`"]),
        (STREAM + "stride_s = 2\nmax_stride_s = 1.5", ["max_stride_s", "below `stride_s`"]),
        (STREAM + STREAM, ["'cam' is used twice"]),
        (STREAM.replace("cam", "Cam 1"), ["`id` is 'Cam 1'", "a-z"]),
        (STREAM.replace("clip.mp4", "ftp://host/x"), ["unknown scheme 'ftp'", "rtsp://"]),
        (STREAM.replace("clip.mp4", "rtsp:///x"), ["names no host"]),
        (STREAM.replace("clip.mp4", "rtsp://u:[pw]@/x"), ["names no host"]),
        (STREAM + '[publish]\nendpoint = "tcp://127.0.0.1:99999"', ["99999", "tcp://"]),
        (STREAM + "[model]\nthreads = 100000000", ["model.threads", "<= 1024"]),
        (STREAM + '[log]\nlevel = "info\\n"', ["log.level"]),
        (STREAM + "x = " + "9" * 5000, ["not valid TOML"]),
        (STREAM + "x = " + "[" * 3000, ["not valid TOML"]),
        (STREAM + "stride_s = inf", ["streams[0].stride_s", "<= 86400"]),
        (STREAM + "stride_s = 1e-9", ["streams[0].stride_s", ">= 0.01"]),
        (STREAM + "[capture]\nbackoff_max_s = inf", ["capture.backoff_max_s", "<= 86400"]),
        (STREAM + 'pace = "slow"', ["streams[0].pace", "slow", "'fastest'"]),
        ("streams = []", ["no [[streams]]"]),
        ("[model]\n", ["streams"]),
        ("[[streams]\n", ["not valid TOML"]),
        ('[[streams]]\nid = "cam"\n', ["url"]),
        (STREAM + '[publish]\nendpoint = "5599"', ["`endpoint` is '5599'", "tcp://"]),
        (STREAM + "[http]\nport = 70000", ["http.port", "65535"]),
        (STREAM + "[capture]\nbackoff_min_s = 60", ["backoff_max_s"]),
        (STREAM + "[decisions]\non_threshold = 7", ["decisions.on_threshold", "<= 1"]),
        (STREAM + "[decisions]\non_threshold = 0", ["decisions.on_threshold", "> 0"]),
        (STREAM + "[decisions]\non_threshold = nan", ["decisions.on_threshold"]),
        (STREAM + "[decisions]\non = 1", ["unknown key `on` in [decisions]", "labels"]),
        (STREAM + "[decisions]\nlabels = 3", ["decisions.labels", "`int`"]),
        (STREAM + "[decisions.labels]\npan = 3", ["`decisions.labels.pan`", "`int`"]),
        (
            STREAM + "[decisions.labels.a]\nupdate_s = 1\n[decisions.labels.b]\nupdate = 1",
            ["unknown key `update` in [decisions.labels.b]", "on_threshold", "update_s"],
        ),
        (
            STREAM + '[decisions.labels.a]\nbackground_label = "a"',
            ["unknown key `background_label` in [decisions.labels.a]"],
        ),
        (
            STREAM + '[decisions.labels."a b"]\ncooldown_s = -1',
            ['`decisions.labels."a b".cooldown_s`', ">= 0"],
        ),
        (
            STREAM + "[streams.decisions]\nsmoothing = 1",
            ["unknown key `smoothing` in [streams[0].decisions]", "smoothing_s"],
        ),
        (
            STREAM + "\n" + STREAM.replace("cam", "b") + "[streams.decisions.labels.pan]\non = 1",
            ["unknown key `on` in [streams[1].decisions.labels.pan]", "on_threshold"],
        ),
    ],
)
def test_an_error_names_the_key_in_one_line(text: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_settings(text)
    message = str(caught.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == []
    assert caught.value.exit_code == 2


def test_a_missing_file_a_directory_and_bad_text_are_named(tmp_path: Path) -> None:
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    for path, word in [
        (tmp_path / "no.toml", "not exist"),
        (tmp_path, "directory"),
        (binary, "read"),
    ]:
        with pytest.raises(ConfigError, match=word) as caught:
            load_settings(path)
        assert str(path) in str(caught.value)


def test_relative_paths_are_taken_from_the_configurations_folder(tmp_path: Path) -> None:
    config = tmp_path / "streamcls.toml"
    config.write_text('[model]\npath = "mine.safetensors"\n' + STREAM)
    settings = load_settings(config)
    assert settings.streams[0].url == str(tmp_path / "clip.mp4")
    assert settings.model.path == str(tmp_path / "mine.safetensors")


def test_video_files_that_are_not_there_are_refused_before_anything_starts(tmp_path: Path) -> None:
    settings = parse_settings(STREAM, folder=tmp_path)
    with pytest.raises(ConfigError, match=r"'cam'.*clip.mp4 does not exist"):
        check_files(settings.streams)
    (tmp_path / "clip.mp4").mkdir()
    with pytest.raises(ConfigError, match="is a directory"):
        check_files(settings.streams)


def test_the_shipped_configuration_lists_every_setting_with_its_default() -> None:
    path = Path(__file__).parent.parent / "configs" / "streamcls.toml"
    text = path.read_text()
    shipped = load_settings(path)
    defaults = Settings(streams=shipped.streams)
    for section in Settings.__struct_fields__[1:]:
        for key in getattr(defaults, section).__struct_fields__:
            ways = (f"\n{key} = ", f"\n# {key} = ", f"\n# [{section}.{key}.")
            assert any(way in text for way in ways), f"[{section}] {key}"
        assert getattr(shipped, section) == getattr(defaults, section), section


def test_what_the_shipped_configuration_comments_out_is_sound_too() -> None:
    text = (Path(__file__).parent.parent / "configs" / "streamcls.toml").read_text()
    settings = parse_settings(re.sub(r"(?m)^# (?=\w+ = |\[)", "", text))
    camera_motion = read_manifest(find_bundle("camera-motion"))
    defaults = camera_motion.decisions
    for stream in settings.streams:
        in_force = decisions_in_force(
            settings,
            stream,
            labels=camera_motion.labels,
            defaults=defaults.for_labels(),
            background_label=None,
        )
        assert settings.decisions.background_label not in in_force
    # The general values are the bundled model's own; the last stream has no others.
    assert in_force["pan_left"] == defaults.for_labels()
    assert settings.decisions.background_label == defaults.background_label
    assert in_force["shaking"]["cooldown_s"] == 60


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("rtsp://10.0.0.9:554/live", "10.0.0.9:554"),
        ("rtsp://u:p@10.0.0.9/live", "10.0.0.9"),
        ("rtsp://10.0.0.9/cam?user=adm&password=S3c@sekret/x", "the camera"),
        ("rtsp://u:a@b/c@10.0.0.9/live", "the camera"),
        ("rtsp://u:a?b@10.0.0.9/live", "the camera"),
        ("rtsp://u:a#b@10.0.0.9/live", "the camera"),
    ],
)
def test_what_is_named_of_a_camera_is_never_its_password(url: str, host: str) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize(
    "slip", ["rtsp//u:{}@h/x", "rtsp;//u:{}@h/x", " rtsp://u:{}@h/x", "u:{}@h"]
)
def test_a_mistyped_url_is_not_quoted_with_its_password(slip: str, tmp_path: Path) -> None:
    text = STREAM.replace("clip.mp4", slip.format("hunter2"))
    with pytest.raises(ConfigError) as caught:
        check_files(parse_settings(text, folder=tmp_path).streams)
    assert "hunter2" not in redact(str(caught.value))


secret = st.from_regex(r"[A-Za-z0-9@:/!$%_.-]{8,20}", fullmatch=True)


@given(secret, st.sampled_from(["rtsp", "rtsps", "http"]))
def test_no_password_survives_redaction(password: str, scheme: str) -> None:
    text = f"cannot open '{scheme}://admin:{password}@10.0.0.9:554/live': timed out"
    assert password not in redact(text)
    assert "timed out" in redact(text)
    query = f"{scheme}://10.0.0.9/live?user=admin&password={password.replace('/', '')}&channel=1"
    assert password.replace("/", "") not in redact(query)


@pytest.mark.parametrize("password", ["a[b]c", "p@ss/w:rd", "secre\u2100t", "100%"])
def test_any_character_may_stand_in_a_password(password: str) -> None:
    url = f"rtsp://admin:{password}@10.0.0.9:554/live"
    settings = parse_settings(STREAM.replace("clip.mp4", url))
    assert settings.streams[0].url == url
    assert host_of(url) == ("the camera" if "/" in password else "10.0.0.9:554")


def test_a_home_of_nobody_is_taken_as_a_plain_name() -> None:
    settings = parse_settings(STREAM.replace("clip.mp4", "~no-such-user/x.mp4"))
    assert settings.streams[0].url == "~no-such-user/x.mp4"


def test_a_streams_own_representation_holds_no_password() -> None:
    text = STREAM.replace("clip.mp4", "rtsp://admin:hunter2@10.0.0.9/live")
    assert "hunter2" not in repr(parse_settings(text))


def test_redaction_keeps_what_is_no_secret() -> None:
    assert redact("rtsp://u:p@10.0.0.9/live: refused") == "rtsp://***@10.0.0.9/live: refused"
    assert redact("/videos/a.mp4 is cut short") == "/videos/a.mp4 is cut short"


@pytest.mark.parametrize(
    "text",
    ["a:" * 200_000, "a" * 400_000, "http://" * 50_000 + "@", "x" * 50_000 + ":" * 50_000],
    ids=["colons", "letters", "schemes", "mixed"],
)
def test_redaction_takes_no_longer_for_what_a_camera_made_up(text: str) -> None:
    """Each took minutes where time grew with the square of the length."""
    began_s = time.thread_time()
    redact(text)
    assert time.thread_time() - began_s < 2


@pytest.mark.parametrize(
    "url", ["rtsp://host/user@domain/1", "rtsp://[::1]:554/1", "rtsp://[::1]", "rtsp://a:b]@h:1"]
)
def test_urls_of_cameras_that_look_odd_are_taken(url: str) -> None:
    assert parse_settings(STREAM.replace("clip.mp4", url)).streams[0].url == url


@pytest.mark.parametrize(
    ("url", "scheme"),
    [("/a/b.mp4", "file"), ("file:///a.mp4", "file"), ("a:b.mp4", "a"), ("webcam:0", "webcam")],
)
def test_schemes(url: str, scheme: str) -> None:
    assert scheme_of(url) == scheme


def test_the_least_stride_is_that_of_any_stream() -> None:
    streams = '[[streams]]\nid = "a"\nurl = "webcam:0"\n[[streams]]\nid = "b"\nurl = "webcam:1"\n'
    assert parse_settings(streams).least_stride_s == 1.0
    assert parse_settings(f"{streams}stride_s = 0.2\n").least_stride_s == 0.2
    assert parse_settings(f"{streams}stride_s = 5\n[windows]\nstride_s = 2\n").least_stride_s == 2
