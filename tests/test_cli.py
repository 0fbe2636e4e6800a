"""Bad input at the command line: one line that names it, the right exit code, never a traceback."""

import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import save_file

from streamcls import cli
from tests.models.small import write_small
from tests.serving import config, stream
from tests.videos import write_video


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    write_small(path)
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "clip.mp4", frames=10)


Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run the command line in this process: exit code, standard output, standard error."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["streamcls", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def one_line(code: int, error: str) -> str:
    """What a user reads; nothing but one line, and no trace of Python or of a password."""
    assert code
    assert error.startswith("streamcls: ")
    assert error.count("\n") == 1
    assert "Traceback" not in error
    assert "hunter2" not in error
    return error


STREAM_ERRORS = {
    "unknown key": ('[[streams]]\nid = "a"\nurl = "{video}"\nspeed = 2\n', ["`speed`", "pace"]),
    "duplicate id": ('[[streams]]\nid = "a"\nurl = "{video}"\n' * 2, ["'a' is used twice"]),
    "stride 0": ('[[streams]]\nid = "a"\nurl = "{video}"\nstride_s = 0\n', ["stride_s", ">= 0.01"]),
    "scheme": ('[[streams]]\nid = "a"\nurl = "http://u:hunter2@h/x"\n', ["'http'", "rtsp://"]),
    "no host": ('[[streams]]\nid = "a"\nurl = "rtsp://u:hunter2@/x"\n', ["no host"]),
    "missing": ('[[streams]]\nid = "a"\nurl = "/nowhere/x.mp4"\n', ["/nowhere/x.mp4", "not exist"]),
    "directory": ('[[streams]]\nid = "a"\nurl = "/tmp"\n', ["/tmp is a directory"]),
    "not toml": ("[[streams]\n", ["not valid TOML", "line 1"]),
}


@pytest.mark.parametrize("case", STREAM_ERRORS)
@pytest.mark.parametrize("command", ["run", "check"])
def test_wrong_settings_exit_2(
    case: str, command: str, call: Call, tmp_path: Path, model: Path, video: Path
) -> None:
    text, words = STREAM_ERRORS[case]
    path = config(tmp_path, text.format(video=video), model=model)
    code, _, error = call(command, path)
    assert code == 2
    assert [word for word in words if word not in one_line(code, error)] == []


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_missing_configuration_exits_2(command: str, call: Call, tmp_path: Path) -> None:
    code, _, error = call(command, tmp_path / "none.toml")
    assert code == 2
    assert "none.toml does not exist" in one_line(code, error)


def spoiled(kind: str, model: Path, folder: Path) -> Path:
    path = folder / f"{kind}.safetensors"
    data = model.read_bytes()
    if kind == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif kind == "pickle":
        path.write_bytes(b"\x80\x02}q\x00.")
    elif kind == "text":
        path.write_text("weights? no.")
    elif kind == "changed":
        assert data.count(b'\\"sampling_rate\\":3') == 1
        path.write_bytes(data.replace(b'\\"sampling_rate\\":3', b'\\"sampling_rate\\":4'))
    elif kind == "bare":
        save_file({}, path)
    return path


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("truncated", "cut short"),
        ("pickle", "pickle"),
        ("text", "not a safetensors"),
        ("changed", "clip spec does not match"),
        ("bare", "no streamcls document"),
        ("absent", "no model file"),
    ],
)
def test_a_model_file_that_cannot_be_served_exits_2_and_is_named(
    kind: str, word: str, call: Call, tmp_path: Path, model: Path, video: Path
) -> None:
    bad = spoiled(kind, model, tmp_path)
    path = config(tmp_path, stream("a", video), model=bad)
    code, _, error = call("run", path)
    assert code == 2
    assert word in one_line(code, error)
    assert bad.name in error


def test_a_background_label_the_model_lacks_is_named(
    call: Call, tmp_path: Path, model: Path, video: Path
) -> None:
    more = '[decisions]\nbackground_label = "calm"\n'
    code, _, error = call("check", config(tmp_path, stream("a", video), model=model, more=more))
    assert code == 2
    assert "'calm'" in one_line(code, error)
    assert "rest, rise, fall" in error


@pytest.mark.parametrize("which", ["publish", "http"])
def test_a_port_in_use_exits_1_and_names_the_address(
    which: str, call: Call, tmp_path: Path, model: Path, video: Path
) -> None:
    path = config(tmp_path, stream("a", video), model=model)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        lines = path.read_text().split("[publish]")
        section = lines[1].split("[http]")
        if which == "publish":
            section[0] = section[0].replace(section[0].split(":")[2].split('"')[0], str(port))
        else:
            section[1] = f"\nport = {port}\n"
        path.write_text(lines[0] + "[publish]" + section[0] + "[http]" + section[1])
        code, _, error = call("run", path)
    assert code == 1
    assert f"127.0.0.1:{port}" in one_line(code, error)
    assert "already in use" in error


def test_check_says_what_it_found_fine(
    call: Call, tmp_path: Path, model: Path, video: Path
) -> None:
    code, out, _ = call("check", config(tmp_path, stream("yard", video), model=model))
    assert code == 0
    assert "fine" in out
    assert "yard" in out


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ('[keys]\nsecret = "none"\nauthorized = "."\n', "cannot read the key file"),
        ("[streams.decisions]\non_thresold = 0.5\n", "on_thresold"),
        ("[streams.decisions.labels.fal]\non_threshold = 0.5\n", "streams[0].decisions.labels.fal"),
    ],
)
def test_check_refuses_what_run_would_refuse(
    call: Call, tmp_path: Path, model: Path, video: Path, table: str, named: str
) -> None:
    code, _, error = call("check", config(tmp_path, stream("yard", video) + table, model=model))
    assert code == 2
    assert named in one_line(code, error)


def test_schema_prints_the_shipped_schema(call: Call) -> None:
    code, out, _ = call("schema")
    shipped = Path(cli.__file__).with_name("schema.json").read_text()
    assert code == 0
    assert json.loads(out) == json.loads(shipped)


def test_models_lists_networks_and_bundled_files(call: Call) -> None:
    code, out, _ = call("models", "list")
    assert code == 0
    for name in ("x3d_xs", "slowfast_r50", "camera-motion"):
        assert name in out


def test_models_show_prints_the_document(call: Call, model: Path) -> None:
    code, out, _ = call("models", "show", str(model))
    assert code == 0
    assert json.loads(out)["labels"] == ["rest", "rise", "fall"]


def test_finetune_on_a_folder_without_clips_exits_2(call: Call, tmp_path: Path) -> None:
    code, _, error = call(
        "finetune", tmp_path, "--model", "x3d_xs", "--out", tmp_path / "m.safetensors"
    )
    assert code == 2
    assert "train" in one_line(code, error)


def test_a_signal_ends_the_start_at_once_and_the_run_in_good_order() -> None:
    before = signal.getsignal(signal.SIGTERM)
    asked: list[str] = []
    with cli._Signals() as signals:
        with pytest.raises(SystemExit) as ended:  # nothing is built yet, so nothing is to be ended
            os.kill(os.getpid(), signal.SIGTERM)
        assert not ended.value.code
    with cli._Signals() as signals:
        signals.stop = lambda: asked.append("stop")
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked == ["stop"]
        assert signal.getsignal(signal.SIGTERM) == before, "a second one is not held back"


def test_a_bug_shows_its_trace_without_the_passwords_in_it(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(path: Path) -> None:
        raise RuntimeError("lost rtsp://admin:hunter2@10.0.0.9/live")

    monkeypatch.setattr("streamcls.config.load_settings", broken)
    code, _, error = call("check", tmp_path / "any.toml")
    assert code == 1
    assert "RuntimeError: lost rtsp://***@10.0.0.9/live" in error
    assert "hunter2" not in error
