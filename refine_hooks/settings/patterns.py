"""What can be wrong with a user's own patterns for half maps."""

import re


def folder_faults(folders: tuple[str, ...]) -> list[str]:
    """All that is wrong with the folders that hold a program's half maps."""
    wrong = [f for f in folders if not f or f.startswith("/") or ".." in f.split("/") or "**" in f]
    return [f"folders: {folder!r} is not a folder below the project without '..' and '**'" for folder in wrong]


def pattern_faults(half1: str, half2: str) -> list[str]:
    """All that is wrong with two patterns for half maps."""
    faults, groups = [], {}
    for name, text in (("half1", half1), ("half2", half2)):
        try:
            groups[name] = set(re.compile(text).groupindex)
        except re.error as error:
            faults.append(f"{name}: is no regular expression ({error})")
    for name, found in groups.items():
        unknown = sorted(found - {"iteration", "class", "run", "half"})
        if unknown:
            faults.append(f"{name}: has the group {', '.join(unknown)}; known are iteration, class, run and half")
    one, two = groups.get("half1", set()), groups.get("half2", set())
    if half2 and not half1:
        faults.append("half1: is empty, though half2 is not")
    elif half1 and not half2 and "half1" in groups and "half" not in one:
        faults.append("half1: needs a group half, (?P<half>...), where half2 is empty")
    elif half1 and half2 and len(groups) == 2:
        if "half" in one | two:
            faults.append("half2: must be empty where a group half tells the halves apart")
        if one - {"half"} != two - {"half"}:
            faults.append(
                f"half2: its groups must be those of half1 ({', '.join(sorted(one)) or 'none'}), not {sorted(two)}"
            )
    return faults
