"""The cores that a process may use, by its control groups' own files."""

import os
from pathlib import Path

import pytest

from streamcls.models.backends.cores import cores_available

HERE = len(os.sched_getaffinity(0))


def machine(root: Path, group: str, files: dict[str, str]) -> Path:
    for name, text in {"proc/self/cgroup": group, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def v1(quota: str) -> dict[str, str]:
    folder = "sys/fs/cgroup/cpu/box"
    return {f"{folder}/cpu.cfs_quota_us": f"{quota}\n", f"{folder}/cpu.cfs_period_us": "100000\n"}


@pytest.mark.parametrize(
    ("group", "files", "cores"),
    [
        ("0::/app/one\n", {"sys/fs/cgroup/app/one/cpu.max": "100000 100000\n"}, 1),
        ("0::/app/one\n", {"sys/fs/cgroup/app/cpu.max": "50000 100000\n"}, 1),  # the group above
        ("0::/app/one\n", {"sys/fs/cgroup/app/cpu.max": "max 100000\n"}, HERE),
        # In a container the path is the host's, and the container's own group is the mount.
        ("0::/../../host/box\n", {"sys/fs/cgroup/cpu.max": "90000 100000\n"}, 1),
        ("5:cpu,cpuacct:/box\n3:cpuset:/\n", v1("100000"), 1),
        ("5:cpu,cpuacct:/box\n3:cpuset:/\n", v1("-1"), HERE),
        ("5:memory:/box\n", v1("100000"), HERE),
        ("0::/app\n", {"sys/fs/cgroup/app/cpu.max": "150000 100000\n"}, min(2, HERE)),
        ("0::/app\n", {"sys/fs/cgroup/app/cpu.max": "100000000 100000\n"}, HERE),
        ("", {}, HERE),
    ],
)
def test_the_tightest_quota_and_the_affinity_limit_the_cores(
    tmp_path: Path, group: str, files: dict[str, str], cores: int
) -> None:
    assert cores_available(machine(tmp_path, group, files)) == cores


def test_where_nothing_is_known_the_affinity_counts(tmp_path: Path) -> None:
    assert cores_available(tmp_path) == HERE
