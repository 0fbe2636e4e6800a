"""The JavaScript subscriber, installed as its lock file says."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import REQUIRED

SOURCE = Path(__file__).parent / "javascript"
INSTALL_S = 180
UNREACHABLE = re.compile(r"code (E(AI_AGAIN|NOTFOUND|CONN\w+|TIMEDOUT|NETUNREACH)|ERR_SOCKET\w*)")


def installed(folder: Path) -> Path:
    """A folder in there with the program and what it depends on."""
    target = folder / "subscriber"
    shutil.copytree(SOURCE, target, ignore=shutil.ignore_patterns("node_modules"))
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"]
    done = subprocess.run(
        command, cwd=target, capture_output=True, text=True, timeout=INSTALL_S, check=False
    )
    if done.returncode and UNREACHABLE.search(done.stderr) and "node" not in REQUIRED:
        pytest.skip("needs: the npm registry, which cannot be reached")
    assert done.returncode == 0, done.stderr
    return target
