"""A snapshot is equal to the value, and stays so when the value changes."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from watchllm._snapshot import DEEPEST, MOST_NODES, snapshot

values = st.recursive(
    st.one_of(st.none(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(max_size=3), inner, max_size=4),
        st.tuples(inner, inner),
    ),
    max_leaves=30,
)


def change(value: Any) -> None:
    """Change every list and dict within a value."""
    for item in list(value.values()) if isinstance(value, dict) else value:
        if isinstance(item, (list, dict, tuple)):
            change(item)
    if isinstance(value, dict):
        value["changed"] = 1
    elif isinstance(value, list):
        value.append(1)


@given(values.filter(lambda value: isinstance(value, (list, dict, tuple))))
def test_a_snapshot_does_not_change_with_the_value(value: Any) -> None:
    """Whatever is changed in the value, its snapshot is equal to what it was."""
    before = copy.deepcopy(value)
    taken = snapshot(value)
    change(value)

    assert taken == before


def test_sets_are_copied_and_other_objects_are_not() -> None:
    """An object of the app is the same object in the snapshot."""
    own, several = object(), {1}
    taken = snapshot([own, several])
    several.add(2)

    assert taken[0] is own
    assert taken[1] == {1}


def test_what_is_too_deep_or_too_many_is_left_as_it_is() -> None:
    """A cycle ends, and a long list is not copied."""
    cycle: list[Any] = []
    cycle.append(cycle)
    long = [0] * (MOST_NODES + 1)
    taken = snapshot(cycle)
    for _ in range(DEEPEST):
        taken = taken[0]

    assert taken is cycle
    assert snapshot({"long": long})["long"] is long
