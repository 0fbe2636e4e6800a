"""What was published, kept for whoever missed it.

    record -> Journal (SQLite; survives crashes) -> Memory (newest messages) -> may be sent
                    ^--------- snapshot, replay ---------^

`walk` puts an answer together from what both still have; `find` reads the file from outside.
"""

from streamcls.history.find import find_events, newest_events
from streamcls.history.history import History, HistoryStats
from streamcls.history.journal import Journal
from streamcls.history.walk import Kept

__all__ = ["History", "HistoryStats", "Journal", "Kept", "find_events", "newest_events"]
