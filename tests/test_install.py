"""Installing the service and removing it, into a tree that is not the running system's."""

import os
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "systemd"
UNITS = ["streamcls.service", "streamcls@.service"]


def run_install(root: Path, *arguments: str, umask: int = -1, **variables: str) -> str:
    result = subprocess.run(
        ["sh", str(FOLDER / "install.sh"), *arguments],
        capture_output=True,
        text=True,
        check=True,
        umask=umask,
        env={**os.environ, "DESTDIR": str(root), "NO_VENV": "1", **variables},
    )
    return result.stdout


def test_installing_puts_units_and_settings_in_place_and_never_over_the_operators_own(
    tmp_path: Path,
) -> None:
    settings = tmp_path / "etc/streamcls/streamcls.toml"
    assert "its cameras are examples" in run_install(tmp_path)
    assert settings.stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "etc/streamcls/secrets").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "etc/streamcls").stat().st_mode & 0o777 == 0o755
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
        assert "journals of events" in told
    assert not list((tmp_path / "etc/systemd/system").iterdir())
    assert journal.read_text() == secret.read_text() == "precious"


@pytest.mark.systemd
def test_removing_disables_every_instance(tmp_path: Path) -> None:
    run_install(tmp_path)
    enabled = ["streamcls.service", "streamcls@yard.service", "streamcls@gate.service"]
    command = ["systemctl", f"--root={tmp_path}", "--quiet", "enable", *enabled]
    subprocess.run(command, check=True, capture_output=True)
    wanted = tmp_path / "etc/systemd/system/multi-user.target.wants"
    assert sorted(link.name for link in wanted.iterdir()) == sorted(enabled)
    run_install(tmp_path, "uninstall")
    assert not wanted.exists()


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_the_services_user_can_read_what_root_installed(tmp_path: Path, umask: int) -> None:
    root = tmp_path / "root"
    run_install(root, umask=umask)
    modes = {path: path.stat().st_mode & 0o777 for path in [root, *root.rglob("*")]}
    secrets = root / "etc/streamcls/secrets"
    assert modes.pop(secrets) == 0o700
    assert {mode & 0o444 for mode in modes.values()} == {0o444}


def test_removing_leaves_a_program_that_somebody_else_installed(tmp_path: Path) -> None:
    program = tmp_path / "opt/streamcls/bin/streamcls"
    program.parent.mkdir(parents=True)
    program.write_text("theirs")
    run_install(tmp_path)
    run_install(tmp_path, "uninstall")
    assert program.read_text() == "theirs"
    run_install(tmp_path)
    run_install(tmp_path, "uninstall", NO_VENV="")
    assert not program.parent.parent.exists()


def test_a_slip_of_the_pen_installs_nothing(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        run_install(tmp_path, "unistall")
    assert not list(tmp_path.iterdir())
