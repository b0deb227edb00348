"""Sends the message that comes in on standard input to one target, in a process that can be stopped whatever the target does."""

import json
import sys

NOT_AN_ADDRESS, NOT_TAKEN, NO_APPRISE = 3, 4, 5


def main() -> int:
    """Send it; the exit code says what went wrong."""
    message = json.load(sys.stdin)
    try:
        import apprise
    except ImportError:
        return NO_APPRISE
    service = apprise.Apprise()
    if not service.add(message["target"]):
        return NOT_AN_ADDRESS
    return 0 if service.notify(body=message["body"], title=message["title"]) else NOT_TAKEN


if __name__ == "__main__":
    sys.exit(main())
