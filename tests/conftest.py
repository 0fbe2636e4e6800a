"""What every test may use, and the rule for tests that need more than Python packages.

STREAMCLS_REQUIRE names the markers whose needs are known to be there (CI sets it): such a test
fails instead of being skipped.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache

import pytest

# The networks of the tests are small: on a busy machine a second thread only waits for its turn.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Converted networks are kept from test to test, and from none of them for longer.
_caches = tempfile.TemporaryDirectory(prefix="streamcls-tests-")
os.environ["XDG_CACHE_HOME"] = _caches.name
os.environ.pop("CACHE_DIRECTORY", None)

# A shell that starts this in the background lets it, and all it starts, ignore SIGINT.
signal.signal(signal.SIGINT, signal.default_int_handler)

REQUIRED = set(filter(None, os.environ.get("STREAMCLS_REQUIRE", "").split(",")))


@cache
def _has_rtsp_server() -> bool:
    probe = "import gi; gi.require_version('GstRtspServer', '1.0')"
    python = "/usr/bin/python3"
    if not os.path.exists(python):
        return False
    return subprocess.run([python, "-c", probe], capture_output=True, check=False).returncode == 0


@cache
def has_gpu() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


NEEDS: dict[str, tuple[Callable[[], bool], str]] = {
    "rtsp": (
        _has_rtsp_server,
        "apt-get install gir1.2-gst-rtsp-server-1.0 python3-gst-1.0 gstreamer1.0-plugins-good"
        " gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav",
    ),
    "gpu": (has_gpu, "a CUDA device and a torch built for it"),
    "browser": (
        lambda: (
            shutil.which("chromium") is not None
            and importlib.util.find_spec("playwright") is not None
        ),
        "apt-get install chromium; pip install playwright (in the extra dev)",
    ),
    "systemd": (lambda: shutil.which("systemd-analyze") is not None, "apt-get install systemd"),
    "prometheus": (
        lambda: shutil.which("prometheus") is not None and shutil.which("promtool") is not None,
        "Prometheus and its promtool: apt-get install prometheus",
    ),
    "node": (
        lambda: shutil.which("node") is not None and shutil.which("npm") is not None,
        "Node.js 18.3 or newer and npm: apt-get install nodejs npm",
    ),
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what cannot run here, saying what to install; fail it where CI says that it can."""
    for marker, (available, remedy) in NEEDS.items():
        if item.get_closest_marker(marker) and not available():
            if marker in REQUIRED:
                pytest.fail(f"{marker} is required here and missing: {remedy}")
            pytest.skip(f"needs: {remedy}")


@pytest.fixture(autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Journals of tests that name none lie here, never in the home of whoever runs them."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
