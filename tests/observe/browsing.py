"""Real Chromium, driven by Playwright; what its console says against the page is collected."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

_ARGS = [
    "--no-sandbox",  # which refuses to run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WALL = {"width": 1920, "height": 1080}
PHONE = {"width": 390, "height": 844}


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser of its own, with nothing in its profile."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=_ARGS, headless=True
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def page_at(browser: Browser, url: str, **more: Any) -> Iterator[Page]:
    """The page in a fresh context; at the end, no error may have been said."""
    context = browser.new_context(**({"viewport": WALL} | more))
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: _note(said, message.type, message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("requestfailed", lambda request: _note_failed(said, request))
    elsewhere: list[str] = []
    page.on("request", lambda request: _note_elsewhere(elsewhere, request.url, url))
    try:
        page.goto(url)
        yield page
    finally:
        context.close()
    assert said == []
    assert elsewhere == []


def _note(said: list[str], kind: str, text: str) -> None:
    if kind in ("error", "warning"):
        said.append(text)


def _note_failed(said: list[str], request: Any) -> None:
    if not request.url.partition("?")[0].endswith("/news"):  # which ends when its view does
        said.append(f"{request.url}: {request.failure}")


def _note_elsewhere(elsewhere: list[str], asked: str, url: str) -> None:
    if not asked.startswith(("data:", url.partition("?")[0].partition("#")[0])):
        elsewhere.append(asked)
