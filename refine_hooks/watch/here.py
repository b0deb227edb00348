"""Measuring in the process of the watch."""

from collections.abc import Callable
from dataclasses import dataclass

from refine_hooks.kernels import memory
from refine_hooks.log.index import LogIndex
from refine_hooks.log.records import RoundRecord
from refine_hooks.model import Key, Round
from refine_hooks.reanalyse import Analyses
from refine_hooks.watch.config import Measurer, WatchConfig
from refine_hooks.watch.inputs import measured
from refine_hooks.watch.known import KnownRounds
from refine_hooks.watch.owners import Counts


@dataclass(slots=True)
class Here(Measurer):
    """One round after another, each as soon as it is asked for."""

    _used: bool = False  # memory, since it was given back

    def round(self, config: WatchConfig, known: KnownRounds, round_: Round, counts: Counts) -> RoundRecord | None:
        """Measure a round now."""
        self._used = True
        return measured(config, known, round_, counts)

    def newest_locally(
        self, config: WatchConfig, analyses: Analyses, index: LogIndex, between: Callable[[], object]
    ) -> list[Key]:
        """Measure the local resolution of the newest rounds now."""
        found = analyses.measure_newest_locally(index, config.settings, between)
        self._used = self._used or bool(found)
        return found

    def rest(self) -> None:
        """Give the memory back; at a scan that follows another one there is none."""
        if self._used:
            memory.give_back()
            self._used = False
