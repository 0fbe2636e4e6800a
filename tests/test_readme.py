"""What the README tells a program to write does what it says."""

import re
from pathlib import Path

import pytest
import torch

from tests.finetune.ramps import write_ramp, write_ramps

README = Path(__file__).parent.parent / "README.md"


@pytest.mark.timeout(300)
def test_from_folders_to_predictions_in_the_readmes_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    (lines,) = [block for block in blocks if "VideoData" in block]
    write_ramps(tmp_path / "clips", train=1, val=1)
    (tmp_path / "new_clips").mkdir()
    write_ramp(tmp_path / "new_clips" / "new.mp4", rising=True, seed=5, frames=60)
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    exec(compile(lines, str(README), "exec"), {})
    torch.set_num_threads(threads)
    assert (tmp_path / "mine.safetensors").exists()
    assert re.search(r"^new_clips/new\.mp4 (rise|fall) \[", capsys.readouterr().out, re.MULTILINE)
