"""Makes the runs that searches still need, one after another, each recorded when it is finished."""

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from l2g.study.records import read_record, write_record
from l2g.study.search import Outcome, Record, Run, Search, outcomes


def recorded(folder: Path) -> dict[str, Record]:
    """The records below a folder by their names, such as ``none/lr=0.002/tune100.json``.

    Raises:
        ValueError: a record is damaged, changed or of another format.
    """
    return {
        p.relative_to(folder).as_posix(): read_record(p) for p in sorted(folder.rglob("*.json"))
    }


def go_on(
    folder: Path,
    searches: Mapping[str, Search],
    train: Callable[[Run], dict[str, Any]],
    *,
    about: Mapping[str, Any],
    names: Iterable[str] | None = None,
) -> None:
    """Make every run that is still missing; a process killed at any moment loses the run in hand.

    Args:
        folder: of the records.
        searches: all of them; one that is followed stands before its followers.
        train: makes a run and returns what is to be recorded.
        about: what every record says besides, such as its origin.
        names: the searches to work on; by default all. Their order is that of ``searches``.
    """
    records = recorded(folder)
    wanted = [name for name in searches if names is None or name in set(names)]
    for name in wanted:
        while missing := outcomes(searches, records)[name].missing:
            for left, run in zip(range(len(missing), 0, -1), missing, strict=True):
                print(f"{time.strftime('%H:%M:%S')}  {run.name}  ({left} left)", flush=True)
                started = time.perf_counter()
                content = {**_described(run), **about, **train(run)}
                content["seconds"] = round(time.perf_counter() - started, 2)
                write_record(folder / run.name, content)
                records[run.name] = read_record(folder / run.name)
        print(summary(name, outcomes(searches, records)[name], searches[name]), flush=True)


def _described(run: Run) -> dict[str, Any]:
    kind = "final" if run.final else "tuning"
    return {"condition": run.search, "kind": kind, "seed": run.seed, "setting": dict(run.setting)}


def summary(name: str, found: Outcome, search: Search) -> str:
    """One line: what was tried and chosen, and what is still missing."""
    tried = f"{len(found.tried):3} settings tuned"
    if found.chosen is None:
        missing, waits = f"{len(found.missing)} runs missing", f"waits for {search.follows}"
        return f"{name:32} {tried}, still searching: {missing if found.missing else waits}"
    chosen = ", ".join(f"{key} {value:g}" for key, value in found.chosen.items())
    ends = f" (at the end of its ladder: {', '.join(found.at_end)})" if found.at_end else ""
    finals = f"{len(found.finals)} of {search.finals} final runs"
    return f"{name:32} {tried}, chosen: {chosen}{ends}; {finals}"


def to_come(found: Outcome, search: Search) -> int:
    """How many runs a search still needs, at least: a grid that grows needs more."""
    if found.chosen is not None:
        return len(found.missing)
    waits = 0 if found.missing else len(search.grid()) * len(search.seeds)
    return len(found.missing) + waits + search.finals
