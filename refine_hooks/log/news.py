"""In which order news of rounds came: a table from a round's key to the number of its last news, the oldest first."""

from refine_hooks.model import Key


def move_to_end(seqs: dict[Key, int], key: Key, seq: int) -> None:
    """Note the newest of all."""
    seqs.pop(key, None)
    seqs[key] = seq


def after(seqs: dict[Key, int], seq: int) -> list[Key]:
    """The keys that came after one, the oldest first; costs as much as there are."""
    found = []
    for key in reversed(seqs):
        if seqs[key] <= seq:
            break
        found.append(key)
    return found[::-1]
