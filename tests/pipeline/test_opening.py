"""Turns to open: never more at once than allowed, the least failed first, nobody stuck."""

import threading
from contextlib import ExitStack

import pytest

from streamcls.pipeline.opening import OpeningTurns

NEVER = threading.Event()
PATIENCE_S = 20.0


class Opener:
    """A capture that asks for a turn on a thread of its own, and keeps it until told."""

    def __init__(self, turns: OpeningTurns, attempt: int, order: list[int]) -> None:
        self.stopping, self.done = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._run, args=(turns, attempt, order), daemon=True)
        self.thread.start()

    def _run(self, turns: OpeningTurns, attempt: int, order: list[int]) -> None:
        with turns.turn(attempt, self.stopping) as turn:
            if turn.is_held:
                order.append(attempt)
                self.done.wait(PATIENCE_S)

    def end(self) -> None:
        self.done.set()
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()


def wait_until_waiting(turns: OpeningTurns, count: int) -> None:
    for _ in range(2000):
        with turns._changed:
            if len(turns._waiting) == count:
                return
        threading.Event().wait(0.01)
    pytest.fail("they never queued")


def test_who_failed_least_goes_first_and_among_equals_who_came_first() -> None:
    turns, order = OpeningTurns(1), list[int]()
    with turns.turn(0, NEVER):
        openers = []
        for number, attempt in enumerate([5, 0, 3, 1], start=1):
            openers.append(Opener(turns, attempt, order))
            wait_until_waiting(turns, number)
    for opener in (openers[1], openers[3], openers[2], openers[0]):
        opener.end()
    assert order == [0, 1, 3, 5]


def test_of_fifty_that_come_back_at_once_no_more_than_allowed_are_opening() -> None:
    turns = OpeningTurns(4)
    lock, now, most = threading.Lock(), [0], [0]

    def opening() -> None:
        with turns.turn(1, NEVER):
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            threading.Event().wait(0.005)
            with lock:
                now[0] -= 1

    threads = [threading.Thread(target=opening) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert (most[0], now[0]) == (4, 0)


def test_one_that_is_stopped_while_it_waits_gets_no_turn_and_blocks_nobody() -> None:
    turns, order = OpeningTurns(1), list[int]()
    with turns.turn(0, NEVER):
        stopped, patient = Opener(turns, 1, order), Opener(turns, 2, order)
        wait_until_waiting(turns, 2)
        stopped.stopping.set()
        stopped.end()
    patient.end()
    assert order == [2]


def test_a_turn_given_back_early_is_free_at_once_and_only_once() -> None:
    turns = OpeningTurns(1)
    with turns.turn(0, NEVER) as first:
        first.give_back()
        with turns.turn(0, NEVER) as second:
            first.give_back()
            assert second.is_held
            stopped = threading.Event()
            stopped.set()
            with turns.turn(0, stopped) as third:
                assert not third.is_held


def test_a_higher_limit_lets_those_in_who_wait() -> None:
    turns, order = OpeningTurns(1), list[int]()
    with ExitStack() as stack:
        stack.enter_context(turns.turn(0, NEVER))
        waiting = Opener(turns, 1, order)
        wait_until_waiting(turns, 1)
        turns.set_limit(2)
        waiting.end()
    assert order == [1]
