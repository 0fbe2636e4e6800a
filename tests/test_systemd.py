"""The unit file: systemd accepts it, and the daemon keeps its side of the protocol."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from streamcls.observe.systemd import notify

UNIT = Path(__file__).parent.parent / "systemd" / "streamcls.service"


@pytest.mark.systemd
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    """`systemd-analyze verify` wants the program to exist, so a copy names one that does."""
    program = shutil.which("true")
    assert program
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/streamcls/bin/streamcls", program))
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in result.stderr.splitlines() if UNIT.name in line]
    assert (result.returncode, ours) == (0, [])


@pytest.mark.systemd
def test_the_unit_is_well_sandboxed(tmp_path: Path) -> None:
    result = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(UNIT)],
        capture_output=True,
        text=True,
        check=False,
    )
    verdict = next(line for line in result.stdout.splitlines() if "Overall exposure" in line)
    assert float(verdict.split(":")[1].split()[0]) <= 2.0, verdict


def test_the_manager_is_told_through_its_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        notify("READY=1")
        assert manager.recv(100) == b"READY=1"


def test_the_abstract_namespace_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"streamcls-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        notify("STOPPING=1")
        assert manager.recv(100) == b"STOPPING=1"


def test_without_a_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")


def test_a_manager_that_is_gone_stops_no_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/nonexistent/notify")
    notify("READY=1")
