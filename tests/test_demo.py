"""A newcomer's first command: real labels of the bundled sample, and an end."""

import json
import re
import subprocess
import sys

from streamcls.demo import TRUTH
from tests.serving import PATIENCE_S


def test_the_demo_shows_each_thing_the_camera_did_once_and_in_order_and_ends_by_itself() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "streamcls", "demo"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    truth = [row["label"] for row in json.loads(TRUTH.read_text()) if row["label"] != "still"]
    assert re.findall(r"sample +start +(\w+)", done.stdout) == truth
    assert re.findall(r"sample +end +(\w+)", done.stdout) == truth
    assert "stopped end_of_file" in done.stdout
