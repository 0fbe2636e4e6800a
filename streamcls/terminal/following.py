"""From a subscriber to the screen."""

import time
from collections.abc import Iterator
from contextlib import nullcontext

from rich.console import Console
from rich.live import Live

from streamcls.client import Gap, Silence, Subscriber
from streamcls.events import Message
from streamcls.terminal.board import Board

_REDRAW_S = 0.2  # enough for eyes, and leaves time to read busy streams
_IDLE_S = 1.0  # durations tick


def follow(
    messages: Subscriber, board: Board, console: Console, patience_s: float | None = None
) -> Iterator[Message]:
    """Show what comes and hand the messages on: a board on a terminal, lines elsewhere.

    Ends when the caller stops asking, or after `patience_s` without a word of the daemon.
    """
    draws = console.is_terminal and not console.is_dumb_terminal
    drawn_s, is_news, told = 0.0, True, ""
    with Live(console=console, screen=True, auto_refresh=False) if draws else nullcontext() as live:
        while patience_s is None or messages.heard_s_ago <= patience_s:
            now_s = time.monotonic()
            if live and now_s - drawn_s >= (_REDRAW_S if is_news else _IDLE_S):
                silent_s, trouble = messages.heard_s_ago, messages.trouble
                live.update(board.render(*console.size, silent_s, trouble), refresh=True)
                drawn_s, is_news = now_s, False
            try:
                item = messages.receive(_REDRAW_S if is_news else _IDLE_S)
                line = board.take(item) if item else None
            except ValueError as error:  # of another version, perhaps; what follows may be fine
                item, line = None, board.complain(f"skipped a message: {error}")
            is_news = is_news or item is not None or line is not None
            if not live and messages.trouble != told and (told := messages.trouble):
                console.print(board.complain(told), soft_wrap=True)
            if line and not live:
                console.print(line, soft_wrap=True)
            if item and not isinstance(item, Gap | Silence):
                yield item
