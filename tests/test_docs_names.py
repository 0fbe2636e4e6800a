"""What README and pages name is there: links, files, commands, targets, settings."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.main import get_command

from streamcls.cli import app
from streamcls.config import Settings
from tests.pages import PAGES, ROOT, anchors, blocks, commands, links, spans

of_pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
READERS = {"mine.run/"}
"""What is the reader's own and stands in no block."""
SUFFIX = r"\.(?:py|md|toml|sh|conf|json|mjs|service|svg|png|html|csv)"


@cache
def files() -> list[str]:
    """Every file of the repository, folders with their slash too."""
    tops = [ROOT / name for name in ("streamcls", "tests", "configs", "systemd", "docs", ".ci")]
    found = [*ROOT.glob("*"), *(path for top in tops for path in [top, *top.rglob("*")])]
    return [f"/{path.relative_to(ROOT)}{'/' * path.is_dir()}" for path in found]


@cache
def source() -> str:
    """The program and what stands beside it."""
    rooms = ("/streamcls/", "/configs/", "/systemd/", "/tests/", "/Makefile", "/pyproject.toml")
    kinds = (".py", ".toml", ".conf", ".service", "Makefile")
    named = [name for name in files() if name.startswith(rooms) and name.endswith(kinds)]
    return "\n".join(f"{Path(name).stem}\n{(ROOT / name[1:]).read_text()}" for name in named)


@cache
def words() -> set[str]:
    return set(re.findall(r"\w+", source()))


@of_pages
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@of_pages
def test_files_exist(page: Path) -> None:
    readers = " ".join(block.text for block in blocks(page))
    for span in spans(page):
        if re.fullmatch(rf"[\w.@-][\w./@-]*{SUFFIX}|[\w.-][\w./-]*/", span) and span not in READERS:
            ours = any(name.endswith(f"/{span}") for name in files())
            # What the page itself makes, and what the program writes.
            assert ours or span in readers or span in source(), span


@of_pages
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    code = [*spans(page), *(block.text for block in blocks(page) if block.language == "sh")]
    named = {name for text in code for name in re.findall(r"\bmake ([a-z][\w-]*)", text)}
    assert named <= targets


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(command, id=f"{block}")
        for page in PAGES
        for block in blocks(page)
        if block.language == "sh"
        for command in commands(block.text)
    ],
)
def test_commands_take_these_arguments(command: str) -> None:
    _, *arguments = re.findall(r"[^\s\"']+|\"[^\"]*\"|'[^']*'", command)
    arguments = [one.strip("\"'") for one in arguments]
    parsed(get_command(app), arguments)


def parsed(command: Any, arguments: list[str]) -> None:
    """Parse as the command line would; nothing is run."""
    while hasattr(command, "commands"):
        name, *arguments = arguments
        command = command.commands[name]
    command.make_context("streamcls", arguments)


@of_pages
def test_commands_in_the_text_exist(page: Path) -> None:
    for span in spans(page):
        if found := re.match(r"streamcls ([a-z].*)", span):
            command: Any = get_command(app)
            for word in found[1].split():
                if hasattr(command, "commands"):
                    assert word in command.commands, span
                    command = command.commands[word]
                elif word.startswith("--"):
                    known = [name for option in command.params for name in option.opts]
                    assert word in known, span


@of_pages
def test_settings_exist(page: Path) -> None:
    tables = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    for span in spans(page):
        found = re.match(r"\[([a-z]+)\](?: (\w+))?", span)
        if found and found[1] not in ("project", "streams"):
            assert found[1] in tables, span
            assert not found[2] or found[2] in tables[found[1]].__struct_fields__, span


@of_pages
def test_names_in_the_code_are_there(page: Path) -> None:
    """Settings, fields of messages, classes and functions, wherever they are."""
    for span in spans(page):
        for name in re.findall(r"\b[a-z]+(?:_[a-z0-9]+)+\b", span):
            if not name.startswith("streamcls_"):
                assert name in words(), name
