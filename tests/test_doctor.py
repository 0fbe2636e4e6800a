"""`streamcls doctor` in a process of its own: what it says of a machine that lacks something."""

import json
import os
import re
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from streamcls.config import parse_settings
from streamcls.doctor import (
    Finding,
    addresses,
    machine,
    network,
    places,
    software,
    video,
    webcams,
)
from streamcls.doctor.finding import Subject
from streamcls.observe.http import HttpServer
from tests.models.small import write_small
from tests.serving import config, free_port, stream
from tests.videos import write_video

ROOT = Path(__file__).parent.parent


def doctor(*arguments: str | Path, without: str = "", **environment: str) -> tuple[int, str]:
    """Exit code and output of the command; `without`: a module that cannot be imported."""
    hidden = f"import sys; sys.modules[{without!r}] = None; " if without else ""
    program = f"{hidden}from streamcls.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "doctor", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout


def told(output: str) -> dict[str, dict[str, Any]]:
    """Every finding of the JSON by its name."""
    sections = json.loads(output)["sections"]
    return {one["name"]: one for section in sections for one in section["findings"]}


def test_where_a_daemon_can_run_it_says_what_there_is() -> None:
    code, output = doctor("--json")
    found = told(output)
    assert (code, json.loads(output)["can_run"]) == (0, True)
    assert "error" not in {one["level"] for one in found.values()}
    assert re.search(r"\d+\.\d+.*FFmpeg \d", found["av"]["detail"])
    assert "H.264, HEVC" in found["decoders"]["detail"]
    assert "golden clip" in found["model"]["detail"]
    assert set(found) >= {"torch", "processor", "memory", "cores", "bf16", "openvino-f32", "http"}


@pytest.mark.parametrize(
    ("module", "part", "left"), [("av", "video", "model"), ("torch", "network", "decoders")]
)
def test_a_missing_package_is_named_and_the_rest_is_looked_at(
    module: str, part: str, left: str
) -> None:
    code, output = doctor("--json", without=module)
    found = told(output)
    assert code == 1
    assert found[module]["level"] == "error"
    assert found[module]["remedy"] == f"pip install {module}"
    assert found[part]["detail"].startswith("not looked at: ")
    assert found[left]["level"] == "ok"


def test_a_missing_extra_keeps_no_daemon_from_running() -> None:
    code, output = doctor("--json", without="openvino")
    found = told(output)
    assert code == 0
    for name in ("openvino-f32", "[openvino]"):
        assert found[name]["level"] == "note"
        assert found[name]["remedy"] == "pip install 'streamcls[openvino]'"


def test_a_state_folder_that_cannot_be_is_an_error_in_words_and_in_the_exit_code() -> None:
    code, output = doctor(XDG_STATE_HOME="/dev/null/state")
    assert code == 1
    lines = output.splitlines()
    (line,) = [line for line in lines if "/dev/null is not a folder" in line]
    assert line.split()[:2] == ["error", "state"]
    assert lines[-1] == "No daemon can run here: state"


@pytest.fixture
def cameras(tmp_path: Path) -> Callable[[str], Path]:
    write_small(tmp_path / "small.safetensors")
    write_video(tmp_path / "clip.mp4", frames=10)

    def write(url: str) -> Path:
        path = config(tmp_path, stream("cam", url), model=tmp_path / "small.safetensors")
        path.write_text(path.read_text().replace("[journal]\n", "[journal]\nmax_size_mb = 5\n"))
        return path

    return write


def test_a_configuration_is_checked_and_its_own_places_are_looked_at(
    cameras: Callable[[str], Path], tmp_path: Path
) -> None:
    path = cameras("clip.mp4")
    code, output = doctor(path, "--json")
    found = told(output)
    assert code == 0
    assert found["settings"]["detail"] == f"{path} is fine; streams cam"
    assert found["backend"]["detail"] == "torch, as set"
    assert str(tmp_path / "events.sqlite") in found["journal"]["detail"]
    assert "may grow by 0.0 GB" in found["room"]["detail"]
    assert "127.0.0.1:9599" not in output


def test_a_wrong_configuration_is_an_error_without_its_password(
    cameras: Callable[[str], Path],
) -> None:
    code, output = doctor(cameras("http://admin:hunter2@camera/1"))
    assert code == 1
    assert "unknown scheme" in output
    assert "hunter2" not in output


def test_the_table_of_packages_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.split("[<>=]", line)[0] for line in project["dependencies"]}
    assert {package.distribution for package in software.PACKAGES} == needed
    assert set(software.EXTRAS) <= set(project["optional-dependencies"])


def findings(look: Callable[[Subject], Any], text: str = "") -> dict[str, Finding]:
    given = f'[[streams]]\nid = "cam"\nurl = "webcam:0"\n{text}'
    subject = Subject.of(parse_settings(given) if text else None)
    return {finding.name: finding for finding in look(subject)}


def test_a_library_that_needs_another_is_told_with_the_command_that_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(name: str) -> None:
        raise ImportError("libGL.so.1: cannot open shared object file")

    monkeypatch.setattr("importlib.import_module", refuse)
    found = findings(software.look)["cv2"]
    assert found.level == "error"
    assert "apt-get install libgl1" in found.remedy


def test_a_taken_port_is_an_error_unless_a_streamcls_has_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = f'[publish]\nendpoint = "tcp://127.0.0.1:{port}"\n[http]\nport = {free_port()}\n'
        found = findings(addresses.look, text)
        assert (found["events"].level, found["http"].level) == ("error", "ok")
        assert found["events"].detail == f"127.0.0.1:{port} is another program's"
        exposition = b'streamcls_build_info{backend="torch",version="9.9"} 1.0\n'
        server = HttpServer("127.0.0.1", 0, metrics=lambda: exposition, healthy=str, ready=str)
        server.start()
        try:
            http = int(server.url.rpartition(":")[2])
            found = findings(addresses.look, text.replace(text.rsplit(maxsplit=1)[-1], str(http)))
        finally:
            server.stop()
        assert "a streamcls 9.9 runs here" in found["http"].detail
        assert {one.level for name, one in found.items() if name != "replays"} == {"ok"}


def test_addresses_without_a_port_are_told_as_they_are(tmp_path: Path) -> None:
    text = '[http]\nenabled = false\n[publish]\nendpoint = "ipc://{}/events"\n'
    assert findings(addresses.look, text.format(tmp_path))["events"].level == "ok"
    found = findings(addresses.look, text.format(tmp_path / "none"))
    assert found["events"].level == "error"
    assert found["http"].level == "note"


def test_a_damaged_journal_is_a_warning_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    path.write_bytes(b"not a database" * 100)
    found = findings(places.look, f'[journal]\npath = "{path}"\n')
    assert found["journal"].level == "warning"
    assert path.read_bytes() == b"not a database" * 100
    assert list(tmp_path.iterdir()) == [path]


def test_little_memory_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    meminfo = tmp_path / "proc" / "meminfo"
    meminfo.write_text("MemTotal:  8388608 kB\nMemAvailable:  524288 kB\n")
    found = machine._memory(tmp_path)
    assert (found.level, found.detail) == ("warning", "8.0 GiB, 0.5 GiB of it available")
    meminfo.write_text("MemTotal:  8388608 kB\nMemAvailable:  4194304 kB\n")
    assert machine._memory(tmp_path).level == "ok"
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("536870912\n")
    found = machine._memory(tmp_path)
    assert found.level == "warning"
    assert "the container may use 0.5 GiB" in found.detail


def test_an_ffmpeg_without_a_decoder_is_as_bad_as_the_decoder_is_common(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lacking = {"h264", "av1"}
    monkeypatch.setattr(video, "_decodes", lambda name: name not in lacking)
    found = findings(video.look)
    assert (found["H.264"].level, found["AV1"].level) == ("error", "note")
    assert found["decoders"].detail == "HEVC, VP9, MPEG-4, MJPEG"


def test_webcams_are_listed_in_order_with_those_that_may_not_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("video10", "video2", "videodev"):
        (tmp_path / name).touch()
    monkeypatch.setattr(webcams, "_DEVICES", tmp_path)
    monkeypatch.setattr("os.access", lambda path, _: path.name == "video2")
    found = findings(webcams.look)
    levels = [(Path(name).name, one.level) for name, one in found.items() if name != "OpenCV"]
    assert levels == [("video2", "ok"), ("video10", "warning")]
    assert "usermod" in found[str(tmp_path / "video10")].remedy


@pytest.mark.parametrize(("state", "level"), [(0, "ok"), (5, "warning"), (-1, "note")])
def test_a_clock_that_nobody_sets_is_a_warning(state: int, level: str) -> None:
    assert machine._clock(state).level == level


def test_a_card_that_this_torch_cannot_use_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(network, "_DRIVER", tmp_path / "nvidiactl")
    assert [one.level for one in network._cuda()] == ["note"]
    (tmp_path / "nvidiactl").touch()
    (found,) = network._cuda()
    assert found.level == "warning"
    assert "pytorch.org" in found.remedy


def test_every_card_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    card = SimpleNamespace(name="NVIDIA H100", total_memory=80 * 2**30, major=9, minor=0)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda _: card)
    first, second = network._cuda()
    assert (first.name, second.name) == ("cuda:0", "cuda:1")
    assert first.detail == "NVIDIA H100, 80 GiB, compute capability 9.0"


def test_openvino_says_which_of_its_kinds_this_processor_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streamcls.models.backends.openvino.cpu_flags", frozenset)
    assert network._openvino("f32").level == "ok"
    found = network._openvino("bf16")
    assert found.level == "note"
    assert "neither AVX512_BF16 nor AMX" in found.detail


def test_inductor_wants_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "no-such-compiler" in network._inductor().detail
    assert network._inductor().level == "note"
