"""Runs ``module:function`` with the record that comes in on standard input, in a process that can be stopped."""

import importlib
import sys

from refine_hooks.log.lines import parsed_line


def main() -> None:
    """Call the function that the command line names."""
    module, _, function = sys.argv[1].partition(":")
    if not module or not function:
        sys.exit(f"{sys.argv[1]!r} does not name a function: write module:function")
    sys.path.insert(0, "")
    getattr(importlib.import_module(module), function)(parsed_line(sys.stdin.buffer.read()))


if __name__ == "__main__":
    main()
