"""What `watch`, `demo` and `events` show: a live board on a terminal, plain lines in a pipe."""

from streamcls.terminal.board import SILENCE_S, Board
from streamcls.terminal.following import follow
from streamcls.terminal.lines import event_line
from streamcls.terminal.past import whole_events
from streamcls.terminal.times import parse_instant

__all__ = ["SILENCE_S", "Board", "event_line", "follow", "parse_instant", "whole_events"]
