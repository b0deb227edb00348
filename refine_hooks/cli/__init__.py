"""The commands, and the one door where an error becomes a message and an exit code.

Exit codes: 0 done, 1 the user's input or the disk is at fault, 2 the command line cannot be used, 3 our own bug, 4 findings at
``--fail-on``, 130 interrupted. Command modules import what they need inside their functions, so that ``--help`` costs nothing.
The two hooks inside a refinement's loop start before anything else is imported: see `refine_hooks.cli._exec`.
"""

import gc
import sys

_HELP = {"--help", "-h"}
# Of new objects, before Python looks for circles among them: its own 700 cost a tenth of a start, which makes none to speak of.
_LOOKED_AT_EVERY = 50_000


def main() -> None:
    """Run the command line; never shows a traceback for a user's mistake."""
    arguments = sys.argv[1:]
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if own[:1] == ["exec"] and not _HELP & set(own):
        from refine_hooks.cli._exec import run

        run(arguments[1:])
    if own[:1] == ["relion-external-reconstruct"] and own[1:] and not _HELP & set(own):
        from refine_hooks.cli._relion import reconstruct

        reconstruct(arguments[1:])
    gc.set_threshold(_LOOKED_AT_EVERY, *gc.get_threshold()[1:])
    from refine_hooks.cli._door import run_command

    run_command()
