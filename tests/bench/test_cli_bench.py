"""`streamcls bench` as an operator runs it: a real daemon, a film, and what goes wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from streamcls import cli
from streamcls.bench.child import Child, daemon, tables
from streamcls.errors import ConfigError, StreamclsError
from tests.models.small import write_small
from tests.videos import write_video

QUICK = ("--size", "128x96", "--fps", "10", "--stride", "0.5", "--seconds-per-step", "2")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    write_small(path)
    return path


def command(cache: Path, *arguments: str | Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "streamcls", "bench", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "XDG_CACHE_HOME": str(cache), "COLUMNS": "160"},
    )


def listen_for_ever(child: Child) -> None:
    while True:
        child.receive(0.2)


def children_of(process: int) -> set[int]:
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    return {int(child) for task in tasks for child in task.read_text().split()}


def test_the_knee_is_found_by_serving(tmp_path: Path, model: Path) -> None:
    out = tmp_path / "out"
    arguments = ("--model", model, "--backend", "torch", *QUICK, "--limit", "2")
    process = command(tmp_path, *arguments, "--max-age-ms", "30000", "--out", out, "--json")
    printed, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    result = json.loads(printed)
    assert result == json.loads((out / "knee.json").read_text())
    assert "<svg" in (out / "knee.svg").read_text()
    # Whatever else this machine does, each number is measured until one is not held.
    assert result["capacity"] in (0, 1, 2)
    assert result["settings"]["backend"] == "torch"
    for level in result["levels"]:
        assert level["due"] == level["cameras"] * 4
        assert 0 < level["served"] <= level["due"]
        assert 0 < level["age_p50_ms"] <= level["age_p99_ms"]
        assert level["latency_p99_ms"] <= level["age_p99_ms"] + 1000
        assert level["unreported"] == 0
        assert level["uss_mb"] > 50
    cpu = result["levels"][-1]["cpu"]
    assert cpu["model"] > 0
    assert cpu["decode"] > 0
    assert cpu["convert"] > 0
    assert result["costs_ms"]["decode_ms"] > 0
    assert "cameras of 128x96 at 10 fps" in result["sentences"][0].replace(
        "camera of", "cameras of"
    )
    # Nothing is left but the film, for the next run.
    left = [path.name for path in (tmp_path / "streamcls" / "bench").iterdir()]
    assert left == ["128x96-10fps-7k-10s-1.mp4"]


def test_ctrl_c_ends_the_daemon_too_and_says_what_is_known(tmp_path: Path, model: Path) -> None:
    video = write_video(tmp_path / "yard.mp4", frames=60, fps=10)
    arguments = ("--model", model, "--video", video, "--backend", "torch")
    process = command(tmp_path, *arguments, "--seconds-per-step", "300")
    until = time.monotonic() + 60
    while not (children := children_of(process.pid)) and time.monotonic() < until:
        time.sleep(0.1)
    assert children
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    assert list((tmp_path / "streamcls" / "bench").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--model", "yard.safetensors"), "no model file 'yard.safetensors'"),
        (("--size", "1080p"), "--size: '1080p' is no size"),
        (("--video", "missing.mp4"), "missing.mp4"),
        (("--out", "/dev/null/x"), "--out /dev/null/x"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    told: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["streamcls", "bench", *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("streamcls: ")
    assert told in captured.err
    assert (captured.out, captured.err.count("\n")) == ("", 1)


def test_settings_that_the_daemon_refuses_are_refused_in_its_words(tmp_path: Path) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(b"no model")
    video = write_video(tmp_path / "clip.mp4", frames=10)
    with daemon(tables(["first"], video), path, stride_s=1.0) as child:
        child.process.wait(60)
        error = child.ended()
    assert isinstance(error, ConfigError)
    assert "bad.safetensors" in str(error)
    assert "\n" not in str(error)


def test_a_daemon_that_dies_is_quoted(tmp_path: Path, model: Path) -> None:
    video = write_video(tmp_path / "clip.mp4", frames=10)
    toml = 'backend = "torch"'
    with daemon(tables(["first"], video), model, stride_s=1.0, model_toml=toml) as child:
        while "publishing on" not in child.output():
            assert child.process.poll() is None, child.output()
            time.sleep(0.05)
        child.process.kill()
        with pytest.raises(StreamclsError, match=r"ended with code -9(.|\n)*publishing on"):
            listen_for_ever(child)
