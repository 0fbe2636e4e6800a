"""What is selected of an epoch's windows: decided once, whatever the pace does then."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from streamcls.pipeline.pace import Pace
from streamcls.pipeline.selection import Selection
from streamcls.transforms import WindowPlan
from tests.pipeline.box import X3D_S

acts = st.lists(st.tuples(st.sampled_from(["late", "calm", "give up"]), st.integers(1, 12)))


@given(acts, st.sampled_from([0.05, 0.2, 1.0, 3.0, 5.0]), st.integers(0, 9), st.integers(0, 15))
def test_a_window_is_closed_if_and_only_if_its_instants_were_needed_all_along(
    script: list[tuple[str, int]], stride_s: float, seat: int, ahead: int
) -> None:
    plan, dropped = WindowPlan.of(X3D_S, stride_s), Counter[str]()
    pace = Pace(plan, seat)
    selection = Selection(plan, pace, seat * 7, dropped)
    instant, closed = 0, 0
    needed: list[bool] = []
    for act, steps in script:
        for _ in range(steps):
            now_s = instant * float(plan.step_s)
            pace.note(0.1 if act == "late" else 0.0, now_s)
            selection.needs(instant, instant + 1 + ahead)  # as a decoder asks, of what comes
            needed.append(selection.needs(instant, instant + 1))
            start = selection.closes(instant)
            if start is not None:
                assert start == plan.closes(instant)
                assert all(needed[j] for j in plan.instants(start))
                closed += 1
            instant += 1
        if act == "give up" and instant:
            selection.give_up(instant - 1)
            assert not selection.is_under_way(instant - 1)
    ended = sum(plan.closes(j) is not None for j in range(instant))
    begun = len(plan.starts(0, instant + 1 + ahead))
    assert ended <= closed + dropped["behind"] <= begun


@given(st.sampled_from([0.05, 0.2, 1.0, 3.0, 5.0]))
def test_without_a_pace_every_window_is_kept(stride_s: float) -> None:
    plan, dropped = WindowPlan.of(X3D_S, stride_s), Counter[str]()
    selection = Selection(plan, None, 0, dropped)
    for instant in range(200):
        assert selection.needs(instant, instant + 1) == plan.needs(instant)
        assert selection.is_under_way(instant) == plan.is_under_way(instant)
        assert selection.closes(instant) == plan.closes(instant)
    assert not dropped
