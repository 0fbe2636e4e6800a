"""What threads have used, and what for."""

import os
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcls.bench.processes import Split, by_role, cpu_s, memory_mb, parsed, threads
from streamcls.threads import name_thread, thread_named

SECONDS = st.integers(0, 10_000).map(float)


@given(st.text(st.characters(exclude_categories=["C"]), max_size=15), st.integers(0, 9**9))
def test_a_thread_is_read_whatever_its_name_holds(name: str, ticks: int) -> None:
    hz = os.sysconf("SC_CLK_TCK")
    stat = f"17 ({name}) S 1 17 17 0 -1 4194624 97 0 0 0 {ticks} {2 * ticks} 0 0 20 0 1 0 5 6\n"
    assert parsed(stat)[0] == name
    assert parsed(stat)[1] == pytest.approx(3 * ticks / hz)


@given(
    st.dictionaries(
        st.integers(1, 99),
        st.tuples(
            st.sampled_from(["capture-cam1", "inference", "model", "publish", "python", "ZMQbg/0"]),
            SECONDS,
            SECONDS,
        ),
    )
)
def test_all_that_was_used_in_between_has_one_role(
    used: dict[int, tuple[str, float, float]],
) -> None:
    before = {number: (name, had) for number, (name, had, _) in used.items() if number % 3}
    after = {
        number: (name, more + (had if number % 3 else 0.0))
        for number, (name, had, more) in used.items()
    }
    roles = by_role(before, after)
    assert sum(roles.values()) == pytest.approx(sum(more for _, _, more in used.values()))
    model = sum(more for name, _, more in used.values() if name in ("inference", "model"))
    assert roles["model"] == pytest.approx(model)


@given(SECONDS, SECONDS, SECONDS, SECONDS, st.floats(0, 1))
def test_the_parts_are_the_whole(
    capture: float, model: float, publish: float, rest: float, share: float
) -> None:
    roles = {"capture": capture, "model": model, "publish": publish, "other": 0.0}
    total = capture + model + publish + rest
    split = Split.of(roles, total, wall_s=4.0, convert_share=share)
    assert split.total == pytest.approx(total / 4)
    assert split.decode + split.convert == pytest.approx(capture / 4)
    assert split.rest == pytest.approx(rest / 4, abs=1e-6)


def test_the_system_counts_a_thread_s_work_under_its_name() -> None:
    done, over = threading.Event(), threading.Event()

    def work() -> None:
        with thread_named("model"):
            threading.Thread(target=lambda: (done.wait(30), over.wait(30))).start()
        name_thread("inference-and-a-name-that-is-too-long")
        until = time.thread_time() + 0.05
        while time.thread_time() < until:
            pass
        done.set()
        over.wait(30)

    before = threads(os.getpid())
    worker = threading.Thread(target=work)
    worker.start()
    assert done.wait(30)
    after = threads(os.getpid())
    over.set()
    worker.join()
    begun = {after[number][0] for number in after.keys() - before.keys()}
    assert begun == {"inference-and-a", "model"}
    assert by_role(before, after)["model"] >= 0.03
    assert cpu_s(os.getpid()) > 0


def test_a_process_s_own_memory_is_part_of_all_that_it_holds() -> None:
    held = memory_mb(os.getpid())
    assert 1 < held["uss"] <= held["pss"] <= held["rss"]
