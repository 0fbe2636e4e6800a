"""The units: systemd accepts them, and the daemon keeps its side of the protocol."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
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


def exposure(unit: str, drop_in: str, folder: Path) -> float:
    copy = folder / unit
    copy.write_text(merged(unit, drop_in))
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(copy)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    verdict = next(line for line in text.splitlines() if "Overall exposure" in line)
    return float(verdict.split(":")[1].split()[0])


@pytest.mark.systemd
@pytest.mark.parametrize("unit", UNITS)
def test_the_unit_is_well_sandboxed_and_a_drop_in_says_what_it_costs(
    tmp_path: Path, unit: str
) -> None:
    without = exposure(unit, "", tmp_path)
    assert without <= MOST_EXPOSED
    for drop_in in DROP_INS:
        with_it = exposure(unit, drop_in, tmp_path)
        assert with_it <= MOST_EXPOSED
        told = f"security: {with_it:g}, against {without:g} without."
        assert told in (FOLDER / drop_in).read_text()


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
        "CacheDirectory",
        "RuntimeDirectory",
        "WorkingDirectory",
    }


def test_no_state_lies_within_another_units() -> None:
    """With DynamicUser= the inner one would keep the outer one's unit from starting, or the other
    way round: /var/lib/streamcls is a link in the one case and a folder in the other."""
    for unit in UNITS:
        directories = re.findall(
            "^(?:State|Cache|Runtime)Directory=(.*)$", merged(unit), re.MULTILINE
        )
        assert len(directories) == 3
        assert not any("/" in directory for directory in directories)


def allowed_calls(unit: str) -> set[str]:
    """What a unit's `SystemCallFilter=` lines come to, read one after the other."""
    calls = group("@default")
    for line in re.findall("^SystemCallFilter=(.*)$", merged(unit), re.MULTILINE):
        named = set[str]().union(*(group(name) for name in line.removeprefix("~").split()))
        calls = calls - named if line.startswith("~") else calls | named
    return calls


def group(name: str) -> set[str]:
    """The system calls of a group such as @io-event, and of the groups in it."""
    if not name.startswith("@"):
        return {name}
    command = ["systemd-analyze", "syscall-filter", name]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = [line.strip() for line in text.splitlines()[1:]]
    return set[str]().union(*(group(line) for line in lines if line and line[0] != "#"))


def refused_families(unit: str) -> list[int]:
    """The numbers of the address families that `RestrictAddressFamilies=` leaves out."""
    (line,) = re.findall("^RestrictAddressFamilies=(.*)$", merged(unit), re.MULTILINE)
    allowed = {socket.AddressFamily[name] for name in line.split()}
    return [number for number in range(50) if number not in allowed]


SANDBOX = """
import ctypes, json, sys
class Compare(ctypes.Structure):
    _fields_ = [("argument", ctypes.c_uint), ("operator", ctypes.c_int),
                ("first", ctypes.c_uint64), ("second", ctypes.c_uint64)]
ALLOW, EPERM, EAFNOSUPPORT, EQUAL = 0x7FFF0000, 0x00050001, 0x00050061, 4
seccomp = ctypes.CDLL("libseccomp.so.2")
seccomp.seccomp_init.restype = ctypes.c_void_p
calls, families = json.load(sys.stdin)
number_of = lambda name: seccomp.seccomp_syscall_resolve_name(name.encode())
by_call = ctypes.c_void_p(seccomp.seccomp_init(EPERM))
for number in map(number_of, calls):
    if number >= 0:
        seccomp.seccomp_rule_add(by_call, ALLOW, number, 0)
by_family = ctypes.c_void_p(seccomp.seccomp_init(ALLOW))
for family in families:
    rule = (Compare * 1)(Compare(0, EQUAL, family, 0))
    seccomp.seccomp_rule_add_array(by_family, EAFNOSUPPORT, number_of("socket"), 1, rule)
for sandbox in (by_family, by_call):
    assert seccomp.seccomp_load(sandbox) == 0
"""
REFUSED = """
import os, socket
raw = (socket.AF_PACKET, socket.SOCK_RAW)
for refused in (lambda: os.setuid(os.getuid()), lambda: socket.socket(*raw)):
    try:
        refused()
    except OSError as error:
        print(error.strerror)
"""
USE = """
import os, threading, torch, zmq
os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 5)
with zmq.Context() as context, context.socket(zmq.PUB) as socket:
    socket.bind("tcp://127.0.0.1:*")
print(torch.get_num_threads())
from streamcls.config import BackendName, ModelSettings
from streamcls.engine import Engine
print(Engine.load(ModelSettings(backend=BackendName.OPENVINO_F32)).backend.name)
"""


@pytest.mark.systemd
@pytest.mark.parametrize("unit", UNITS)
def test_zeromq_threads_priorities_and_openvino_work_in_the_units_sandbox(unit: str) -> None:
    sandbox = json.dumps([sorted(allowed_calls(unit)), refused_families(unit)])

    def run(program: str) -> tuple[int, list[str]]:
        command = [sys.executable, "-c", program]
        result = subprocess.run(
            command, input=sandbox, stdout=subprocess.PIPE, text=True, check=False
        )
        return result.returncode, result.stdout.splitlines()

    refusals = ["Operation not permitted", "Address family not supported by protocol"]
    assert run(SANDBOX + REFUSED) == (0, refusals)
    free = run(USE)
    assert free[1][-1:] == ["openvino-f32"]
    assert run(SANDBOX + USE) == free


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
