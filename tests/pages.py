"""The documentation as programs see it: its code blocks, their marks, its links and names.

A fenced block is run by `test_docs.py`. A comment before it may say otherwise:

    <!-- not run here: needs a camera -->      why not
    <!-- run until it prints: start -->        it never ends by itself
    <!-- run with: --fast-dev-run -->          added to each streamcls command
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_BLOCK = re.compile(
    r"(?:^<!--((?:(?!-->).)*)-->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
_NOT_RUN = re.compile(r"not run(?: here)?: *(.+)", re.DOTALL)
_UNTIL = re.compile(r"run until it prints: *(.+)")
_WITH = re.compile(r"run with: *(.+)")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    Attributes:
        mark: what the comment before it says; empty where there is none.
        saved_as: the file that its first line names (`# cameras.toml`), or nothing.
    """

    page: Path
    line: int
    mark: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def why_not(self) -> str:
        """Why it is not run; empty where it is."""
        return _said(_NOT_RUN, self.mark)

    @property
    def until(self) -> str:
        """What it prints when it has shown enough; empty where it ends by itself."""
        return _said(_UNTIL, self.mark)

    @property
    def added(self) -> str:
        """Arguments for each of its streamcls commands."""
        return _said(_WITH, self.mark)

    @property
    def saved_as(self) -> str:
        """The file that its first line names."""
        return _said(re.compile(r"# ([\w-]+\.toml)\n"), self.text)


def _said(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.match(text)
    return found[1] if found else ""


def blocks(page: Path) -> list[Block]:
    """All of a page, in order."""
    text = page.read_text()
    found = _BLOCK.finditer(text)
    return [
        Block(page, text.count("\n", 0, one.start(2)) + 1, (one[1] or "").strip(), one[2], one[3])
        for one in found
    ]


def prose(page: Path) -> str:
    """The page without its blocks and comments."""
    return re.sub(r"<!--.*?-->", "", _BLOCK.sub("", page.read_text()), flags=re.DOTALL)


def spans(page: Path) -> list[str]:
    """What stands between backticks in the text."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(page))]


def links(page: Path) -> list[str]:
    """Where links and pictures lead that stay inside the repository."""
    found = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


def commands(text: str) -> Iterator[str]:
    """The streamcls commands of a shell block, without comments; lines that go on are joined."""
    for line in text.replace("\\\n", " ").splitlines():
        found = re.match(r"(?:sudo )?(streamcls .*?)\s*(?:#.*)?$", line)
        if found:
            yield found[1]
