"""The log of a watch: a line is written to it first, and remembered then."""

from dataclasses import dataclass

from refine_hooks.errors import InputError
from refine_hooks.log import file as journal
from refine_hooks.log.folder import Store
from refine_hooks.log.index import LogIndex
from refine_hooks.log.records import LogLine


@dataclass(frozen=True, slots=True)
class LogWriter:
    """Appends to the log of a store.

    Attributes:
        store: the folder of the log, which is asked whether it is still ours.
        index: what the log holds; records stay on disk.
    """

    store: Store
    index: LogIndex

    def append(self, line: LogLine) -> None:
        """Write a line to the log, then remember it: what is remembered is always on disk.

        Raises:
            TakenError: another watch writes there by now.
            StorageError: it cannot be written.
        """
        self.store.guard()
        for offset, length in journal.append(self.store.log, [line]):
            self.index.add(line, offset, length)

    def recall(self) -> list[str]:
        """Take into account what the log holds; a sentence for each line that is no line of ours.

        Raises:
            InputError: the log is there and cannot be read.
        """
        try:
            self.index.read()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise InputError(f"{self.store.log}: cannot be read ({error.strerror})") from error
        return self.index.faults
