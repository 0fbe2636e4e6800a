"""The unit file: systemd accepts it, and the daemon keeps its side of the protocol."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from streamcls.observe.systemd import notify, reloading
from tests.pipeline.stubs import ManualClock

FOLDER = Path(__file__).parent.parent / "systemd"
UNITS = ["streamcls.service", "streamcls@.service"]
DROP_INS = ["webcam.conf", "cuda.conf"]
MOST_EXPOSED = 1.5


def merged(unit: str, drop_in: str = "") -> str:
    """A unit's text, with what a drop-in adds to its [Service] section."""
    text = (FOLDER / unit).read_text()
    if not drop_in:
        return text
    added = (FOLDER / drop_in).read_text().partition("[Service]")[2]
    return text.replace("[Install]", f"{added}\n[Install]")


@pytest.mark.systemd
@pytest.mark.parametrize("drop_in", ["", *DROP_INS])
@pytest.mark.parametrize("unit", UNITS)
def test_systemd_accepts_the_unit(tmp_path: Path, unit: str, drop_in: str) -> None:
    """`systemd-analyze verify` wants the program to exist, so a copy names one that does."""
    program = shutil.which("true")
    assert program
    # A template can be verified as one of its instances only.
    copy = tmp_path / unit.replace("@.", "@yard.")
    copy.write_text(merged(unit, drop_in).replace("/opt/streamcls/bin/streamcls", program))
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in result.stderr.splitlines() if "streamcls" in line]
    assert (result.returncode, ours) == (0, [])


@pytest.mark.systemd
@pytest.mark.parametrize("drop_in", ["", *DROP_INS])
@pytest.mark.parametrize("unit", UNITS)
def test_the_unit_is_well_sandboxed(tmp_path: Path, unit: str, drop_in: str) -> None:
    copy = tmp_path / unit
    copy.write_text(merged(unit, drop_in))
    result = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )
    verdict = next(line for line in result.stdout.splitlines() if "Overall exposure" in line)
    exposure = float(verdict.split(":")[1].split()[0])
    assert exposure <= MOST_EXPOSED, verdict
    if drop_in:
        assert f"security: {exposure:g}, against" in (FOLDER / drop_in).read_text()


def test_the_template_is_the_unit_but_for_its_names() -> None:
    def lines(unit: str) -> list[str]:
        text = (FOLDER / unit).read_text()
        return [line for line in text.splitlines() if line and not line.startswith("#")]

    ours, template = lines(UNITS[0]), lines(UNITS[1])
    assert len(ours) == len(template)
    different = {a.partition("=")[0] for a, b in zip(ours, template, strict=True) if a != b}
    assert different == {
        "Description",
        "Documentation",
        "ExecStart",
        "StateDirectory",
        "RuntimeDirectory",
        "WorkingDirectory",
    }


def run_install(root: Path, *arguments: str) -> str:
    result = subprocess.run(
        ["sh", str(FOLDER / "install.sh"), *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "DESTDIR": str(root), "NO_VENV": "1"},
    )
    return result.stdout


def test_installing_puts_units_and_settings_in_place_and_never_over_the_operators_own(
    tmp_path: Path,
) -> None:
    settings = tmp_path / "etc/streamcls/streamcls.toml"
    assert "its cameras are examples" in run_install(tmp_path)
    assert settings.stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "etc/streamcls/secrets").stat().st_mode & 0o777 == 0o700
    for unit in UNITS:
        installed = tmp_path / "etc/systemd/system" / unit
        assert installed.read_text() == (FOLDER / unit).read_text()
    settings.write_text("mine")
    assert f"kept your {settings}" in run_install(tmp_path)
    assert settings.read_text() == "mine"


def test_removing_leaves_settings_secrets_and_events_and_says_so(tmp_path: Path) -> None:
    run_install(tmp_path)
    journal = tmp_path / "var/lib/streamcls/events.sqlite"
    secret = tmp_path / "etc/streamcls/secrets/front"
    journal.parent.mkdir(parents=True)
    for path in (journal, secret):
        path.write_text("precious")
    for _ in range(2):
        told = run_install(tmp_path, "uninstall")
        assert "settings and secrets" in told
        assert "journal of events" in told
    assert not list((tmp_path / "etc/systemd/system").iterdir())
    assert journal.read_text() == secret.read_text() == "precious"


def test_a_slip_of_the_pen_installs_nothing(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        run_install(tmp_path, "unistall")
    assert not list(tmp_path.iterdir())


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


def test_a_reload_is_told_with_the_time_that_systemd_wants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        reloading(ManualClock(now_s=12.5))
        assert manager.recv(100) == b"RELOADING=1\nMONOTONIC_USEC=12500000"
