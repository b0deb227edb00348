"""The commands, and the one door where an error becomes a message and an exit code.

Exit codes: 0 done, 1 the user's input or the disk is at fault, 2 the command line cannot be parsed, 3 our own bug, 130 interrupted.
Command modules import what they need inside their functions, so that ``--help`` costs nothing.
"""

import logging
import sys
from importlib import import_module

from refine_hooks.cli._app import app
from refine_hooks.cli._logging import handler
from refine_hooks.errors import RefineHooksError

logger = logging.getLogger(__name__)
_MODULES = ("watch", "read", "compare", "deposit", "demo", "exec", "explain", "reconstruct", "relion", "serve", "plot")

for _module in _MODULES:
    import_module(f"refine_hooks.cli.{_module}")


def main() -> None:
    """Run the command line; never shows a traceback for a user's mistake."""
    handler()
    try:
        app(standalone_mode=True)
    except RefineHooksError as error:
        for fault in error.faults:
            logger.error(fault)
        sys.exit(1)
    except PermissionError as error:
        logger.error(f"{error.filename or 'a file'}: {error.strerror}; ask its owner")
        sys.exit(1)
    except KeyboardInterrupt:
        logger.error("interrupted")
        sys.exit(130)
    except Exception:
        logger.critical(
            "this is a bug of refine_hooks, not of your data; please report it with these lines", exc_info=True
        )
        sys.exit(3)
