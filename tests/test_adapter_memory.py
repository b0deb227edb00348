"""What an adapter has read is remembered, and not what it read of a state that is gone."""

from refine_hooks.programs._reading import Memory


def test_of_something_that_changes_only_the_newest_state_is_remembered() -> None:
    memory, made = Memory(), []
    for state in (1, 1, 2, 3, 3):
        assert memory.newest("table", state, lambda state=state: made.append(state) or -state) == -state
    assert made == [1, 2, 3]
    assert len(memory._known) == 1
