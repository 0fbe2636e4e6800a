"""What README and pages tell a reader to run does what they say, against a real daemon.

What they name is tested by `test_docs_names.py`, metrics apart.
"""

import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from streamcls.config import load_settings
from streamcls.demo import SAMPLE, TRUTH
from tests.conformance import check_message
from tests.finetune.ramps import write_ramp, write_ramps
from tests.pages import PAGES, ROOT, Block, blocks, prose, spans
from tests.serving import Served, config, serving, stream
from tests.subscribers.installing import installed

BLOCKS = [block for page in PAGES for block in blocks(page)]
RUN = [block for block in BLOCKS if not block.why_not]
PATIENCE_S = 120.0

A_STREAM = '[[streams]]\nid = "cam"\nurl = "webcam:0"\n'
SECRETS = {"FRONT_PASSWORD": "secret", "PAGE_TOKEN": "sixteen-characters"}
"""What the pages tell to be in the environment."""


def of(*languages: str) -> list[object]:
    """Parameters: the blocks to run of these languages."""
    found = [block for block in RUN if block.language in languages]
    node = [pytest.mark.node] if "javascript" in languages else []
    return [pytest.param(block, id=str(block), marks=node) for block in found]


@dataclass
class Reader:
    """Who does what the pages say: a daemon's owner, with a folder for each page."""

    daemon: Served
    home: Path
    folders: dict[str, Path]

    def addressed(self, text: str) -> str:
        """The text with this daemon's addresses in the place of those that are a daemon's own."""
        endpoint = f"ipc://{self.home}/events"
        text = text.replace("tcp://127.0.0.1:5599", endpoint)
        text = text.replace("tcp://127.0.0.1:5600", f"{endpoint}.replay")
        return text.replace("http://127.0.0.1:9599", self.daemon.http)

    def run(self, command: list[str], block: Block, folder: Path) -> None:
        """Run to its end, or until it has printed what it is to print."""
        self.daemon.wait_ready()
        environment = {
            **os.environ,
            **SECRETS,
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "XDG_STATE_HOME": str(self.home),
            "PYTHONUNBUFFERED": "1",
        }
        with subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                printed = _until(process, block.until)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
        assert "Traceback" not in printed, printed
        if block.until:
            assert block.until in printed, printed
        else:
            assert process.returncode == 0, printed


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """With a daemon that serves the bundled sample over and over."""
    home = tmp_path_factory.mktemp("home")
    (home / "streamcls").mkdir()
    settings = config(
        home,
        stream("front-door", SAMPLE, loop="true", stride_s="0.45"),
        model="camera-motion",
        more='[journal]\npath = "streamcls/events.sqlite"\n',
    )
    # Where replays are answered must follow from where it publishes: the pages name that alone.
    text = re.sub(r'^replay_endpoint = ".*\n', "", settings.read_text(), flags=re.MULTILINE)
    endpoint = f'endpoint = "ipc://{home}/events"'
    settings.write_text(re.sub(r'^endpoint = ".*"', endpoint, text, flags=re.MULTILINE))
    with serving(settings) as daemon:
        yield Reader(daemon, home, _folders(tmp_path_factory))


def _folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One for each page, with the videos and settings that the page speaks of."""
    made = {page.name: tmp_path_factory.mktemp(page.stem) for page in PAGES}
    first, *others = made.values()
    _prepare(first)
    for folder in others:
        shutil.copytree(first, folder, dirs_exist_ok=True)
    for block in BLOCKS:
        if block.saved_as:
            (made[block.page.name] / block.saved_as).write_text(block.text)
    return made


def _prepare(folder: Path) -> None:
    write_ramps(folder / "clips", train=1, val=1)
    shutil.copy(SAMPLE, folder / "clips" / "yard.mp4")
    (folder / "new_clips").mkdir()
    write_ramp(folder / "new_clips" / "new.mp4", rising=True, seed=5, frames=60)
    (folder / "recordings").mkdir()
    for file in (SAMPLE, TRUTH):
        shutil.copy(file, folder / "recordings")
    program = folder / "bin" / "streamcls"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m streamcls "$@"\n')
    program.chmod(0o755)


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_block_is_run_or_says_why_not(block: Block) -> None:
    runnable = block.language in ("toml", "python", "sh", "javascript", "json")
    assert bool(block.why_not) or runnable, "mark it: <!-- not run: why -->"
    assert block.why_not or not block.mark or block.until or block.added, "a mark nobody knows"


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "toml"], ids=str)
def test_settings_are_read_by_the_daemons_own_loader(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if block.why_not:
        assert tomllib.loads(block.text)
        return
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    settings = tmp_path / "streamcls.toml"
    settings.write_text(block.text if "[[streams]]" in block.text else block.text + A_STREAM)
    assert load_settings(settings).streams


@pytest.mark.parametrize("block", of("json"))
def test_a_message_fits_the_schema(block: Block) -> None:
    check_message(block.text.encode())


@pytest.mark.timeout(300)
@pytest.mark.parametrize("block", of("sh"))
def test_commands_work(block: Block, reader: Reader) -> None:
    text = re.sub(r"\bstreamcls watch(?! tcp)", "streamcls watch tcp://127.0.0.1:5599", block.text)
    if block.added:
        text = re.sub(r"^(streamcls [^#\n]*)", rf"\1 {block.added} ", text, flags=re.MULTILINE)
    script = f"set -euo pipefail\n{reader.addressed(text)}"
    reader.run(["bash", "-c", script], block, reader.folders[block.page.name])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("block", of("python"))
def test_programs_work(block: Block, reader: Reader) -> None:
    folder = reader.folders[block.page.name]
    program = folder / f"program_{block.line}.py"
    program.write_text(reader.addressed(block.text))
    reader.run([sys.executable, str(program)], block, folder)


@pytest.fixture(scope="module")
def javascript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(tmp_path_factory.mktemp("javascript"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("block", of("javascript"))
def test_programs_in_javascript_work(block: Block, reader: Reader, javascript: Path) -> None:
    program = javascript / f"program-{block.line}.mjs"
    program.write_text(reader.addressed(block.text))
    reader.run(["node", str(program)], block, javascript)


def exposed(daemon: Served) -> set[str]:
    daemon.wait_ready()
    return set(re.findall(r"^# TYPE (streamcls_\w+)", daemon.get("/metrics"), re.MULTILINE))


def test_the_operators_page_has_every_metric(reader: Reader) -> None:
    text = prose(ROOT / "docs" / "operators.md")
    table = re.findall(r"^\| `(streamcls_\w+)` \|", text, re.MULTILINE)
    assert sorted(table) == sorted(n for n in exposed(reader.daemon) if not n.endswith("_created"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_metrics_that_a_page_names_are_there(page: Path, reader: Reader) -> None:
    text = "\n".join([*spans(page), *(block.text for block in blocks(page))])
    assert set(re.findall(r"\bstreamcls_\w+", text)) <= exposed(reader.daemon)


def _until(process: subprocess.Popen[str], text: str) -> str:
    """What it prints, to its end or to a line with this text."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        assert process.stdout
        for line in process.stdout:
            lines.put(line)
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    printed, deadline_s = "", time.monotonic() + PATIENCE_S
    while line := lines.get(timeout=max(0.0, deadline_s - time.monotonic())):
        printed += line
        if text and text in line:
            return printed
    process.wait(PATIENCE_S)
    return printed
