"""Which runs a comparison still needs: a grid, three tuning seeds, then the final runs.

A setting is chosen by its mean validation accuracy over the tuning seeds. It counts as chosen only
when its neighbours on every axis have been tried, too: the grid grows around its winner until the
winner lies inside. All of this is derived from the records that there are, each time anew, so that
a study which was stopped goes on where it was and runs nothing twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from statistics import fmean
from typing import Any

Setting = dict[str, float]
Record = Mapping[str, Any]

TUNING_SEEDS = (100, 101, 102)


@dataclass(frozen=True)
class Axis:
    """The values that one number of a setting may take, in order, and those tried at first."""

    ladder: tuple[float, ...]
    first: tuple[float, ...]

    def beside(self, value: float) -> tuple[float, ...]:
        """The neighbours of a value: two, or one at an end of the ladder."""
        at = self.ladder.index(value)
        return self.ladder[max(0, at - 1) : at] + self.ladder[at + 1 : at + 2]

    def ends_at(self, value: float) -> bool:
        return value in (self.ladder[0], self.ladder[-1])


@dataclass(frozen=True, kw_only=True)
class Search:
    """One condition of a comparison: what is tuned, and how many final runs follow.

    Attributes:
        name: of the condition; the folder of its records.
        axes: what is tuned, by name.
        finals: final runs, with the seeds 0, 1, …
        follows: the search whose chosen setting supplies the numbers that are not tuned here.
        inherits: name of such a number → its name there.
        seeds: of the tuning runs.
    """

    name: str
    axes: Mapping[str, Axis]
    finals: int = 5
    follows: str | None = None
    inherits: Mapping[str, str] = field(default_factory=dict)
    seeds: tuple[int, ...] = TUNING_SEEDS

    def grid(self) -> list[Setting]:
        """The settings that are tried at first."""
        values = product(*(axis.first for axis in self.axes.values()))
        return [dict(zip(self.axes, row, strict=True)) for row in values]

    def beside(self, setting: Setting) -> list[Setting]:
        """The neighbours of a setting, along one axis each."""
        steps = [(name, v) for name, a in self.axes.items() for v in a.beside(setting[name])]
        return [setting | {name: value} for name, value in steps]


@dataclass(frozen=True)
class Run:
    """One run of a search, and the name of its record: ``none/lr=0.002/tune100.json``."""

    search: str
    setting: tuple[tuple[str, float], ...]
    seed: int
    final: bool

    @property
    def name(self) -> str:
        setting = ",".join(f"{name}={value:g}" for name, value in self.setting)
        return f"{self.search}/{setting}/{'seed' if self.final else 'tune'}{self.seed}.json"


@dataclass
class Outcome:
    """How far a search is, from the records that there are.

    Attributes:
        tried: every setting whose tuning is complete, with its mean validation accuracy.
        chosen: the best of them, once its neighbours have been tried; else ``None``.
        finals: the records of the final runs that there are, by seed.
        missing: the runs that can be made now; empty when the search is complete, or waits for the
            one that it follows.
        at_end: the axes at whose end the chosen setting stands: no ladder goes further.
    """

    tried: list[tuple[Setting, float]] = field(default_factory=list)
    chosen: Setting | None = None
    finals: list[Record] = field(default_factory=list)
    missing: list[Run] = field(default_factory=list)
    at_end: list[str] = field(default_factory=list)


def outcome(search: Search, records: Mapping[str, Record], inherited: Setting | None) -> Outcome:
    """How far a search is.

    Args:
        search: what is compared.
        records: name of a run → its record.
        inherited: the numbers of a setting that are not tuned here; ``None`` if the search that
            supplies them has not chosen yet.
    """
    found = Outcome()
    if inherited is None:
        return found
    settings = [inherited | setting for setting in search.grid()]
    while not found.missing:
        runs = {r.name: r for s in settings for r in _tuning(search, s)}
        found.missing = [run for name, run in runs.items() if name not in records]
        if found.missing:
            break
        found.tried = [(s, _mean_accuracy(search, s, records)) for s in settings]
        best = max(found.tried, key=lambda pair: pair[1])[0]
        wider = [setting for setting in search.beside(best) if setting not in settings]
        if not wider:
            return _with_finals(search, records, found, best)
        settings += wider
    return found


def _with_finals(
    search: Search, records: Mapping[str, Record], found: Outcome, best: Setting
) -> Outcome:
    finals = [Run(search.name, tuple(best.items()), seed, True) for seed in range(search.finals)]
    found.chosen = best
    found.at_end = [name for name, axis in search.axes.items() if axis.ends_at(best[name])]
    found.finals = [records[run.name] for run in finals if run.name in records]
    found.missing = [run for run in finals if run.name not in records]
    return found


def _tuning(search: Search, setting: Setting) -> list[Run]:
    return [Run(search.name, tuple(setting.items()), seed, False) for seed in search.seeds]


def _mean_accuracy(search: Search, setting: Setting, records: Mapping[str, Record]) -> float:
    return fmean(records[r.name]["val"]["accuracy"] for r in _tuning(search, setting))


def outcomes(searches: Mapping[str, Search], records: Mapping[str, Record]) -> dict[str, Outcome]:
    """How far each of the searches is; one that is followed stands before its followers."""
    found: dict[str, Outcome] = {}
    for name, search in searches.items():
        supplied = found[search.follows].chosen if search.follows else {}
        inherited = supplied and {key: supplied[of] for key, of in search.inherits.items()}
        found[name] = outcome(search, records, inherited)
    return found
