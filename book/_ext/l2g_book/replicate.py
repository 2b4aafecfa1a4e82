"""Executes chapters under other seeds and says how often each claim holds.

    python book/_ext/l2g_book/replicate.py [--chapter NN ...] [--offsets N ... | fresh | again]

First mend: five sets of seeds, again and again, until every claim holds in four of them or more.
Then count, once: `--offsets fresh` takes five sets that nobody has looked at, since they follow
from the code of the chapter, and keeps the counts in book/replication. `again` executes what was
counted once more, and keeps nothing. A run that is there is not made again, whatever interrupted
the last call.
"""

import argparse
import asyncio
import copy
import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # where the package l2g_book lies

import nbformat
import yaml

from l2g_book import counts
from l2g_book.caches import Page, drop_stale, read_page, whole_package
from l2g_book.execution import KERNEL_ENVIRONMENT
from l2g_book.kernels import FAILURES, Loop, client_of, kernel_count
from l2g_book.ledger import records
from l2g_book.project import ROOT, chapter_sources

RUNS = ROOT / "book/_build/replication"
TO_MEND_BY = [1000, 2000, 3000, 4000, 5000]  # the chapters' own seeds are all below 1000
CHANGED = "not kept, for the package has changed meanwhile"
SHIFT = Path(__file__).with_name("shifted.py").read_text(encoding="utf-8")


class Run(NamedTuple):
    """One chapter under one set of seeds."""

    page: Page
    offset: int
    path: Path  # of its record

    def record(self) -> dict[str, Any]:
        return json.loads(self.path.read_text(encoding="utf-8"))


def folder_of(page: Page) -> Path:
    """Where the records of a chapter lie, for each state of its code and of the package."""
    return RUNS / page.name / f"{page.code()}-{page.state(whole_package())}"


def runs_of(page: Page, offsets: Sequence[int]) -> list[Run]:
    """The chapter's own run and those with shifted seeds."""
    folder = folder_of(page)
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    drop_stale(folder.parent)
    return [Run(page, offset, folder / f"{offset}.json") for offset in (0, *offsets)]


def fresh_offsets(code: str) -> list[int]:
    """Five offsets that follow from a chapter's code, far from each other and from all others."""
    digits = [
        int(hashlib.sha256(f"{code}{k}".encode()).hexdigest(), 16) for k in range(counts.SETS)
    ]
    return [1_000_000 * (k + 1) + 1000 * (digit % 1000) for k, digit in enumerate(digits)]


async def execute_all(runs: Sequence[Run], count: int) -> list[BaseException | None]:
    """Executes `count` runs at a time in the order given; returns each one's error, or None."""
    free = asyncio.Semaphore(count)

    async def execute(run: Run) -> None:
        async with free:
            print(f"{run.page.name}, seeds + {run.offset}", flush=True)
            record = await executed(run)
            if folder_of(run.page) == run.path.parent:
                counts.write(run.path, record)
            else:
                print(f"{run.page.name}, seeds + {run.offset}: {CHANGED}")

    return await asyncio.gather(*map(execute, runs), return_exceptions=True)


async def executed(run: Run) -> dict[str, Any]:
    """Executes a copy of the chapter; returns its claims, and the errors of cells that failed."""
    notebook = nbformat.from_dict(copy.deepcopy(run.page.notebook))
    environment = f"__import__('os').environ['L2G_SEED_OFFSET'] = '{run.offset}'"
    shift = f"{environment}\nexec({SHIFT!r}, {{'__name__': 'shifted'}})"
    notebook.cells.insert(0, nbformat.v4.new_code_cell(shift))
    timeout = yaml.safe_load((ROOT / "book/_config.yml").read_text("utf-8"))["execute"]["timeout"]
    await client_of(notebook, run.page.path.parent, timeout, allow_errors=True).async_execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [(cell, output) for cell in cells for output in cell.outputs]
    claims = [c for _, out in outputs for c in records(out.get("data", {}).get("text/html", ""))]
    errors = [
        f"{output.ename}: {output.evalue}"
        for cell, output in outputs
        if output.output_type == "error" and "raises-exception" not in cell.metadata.get("tags", [])
    ]
    return {"claims": claims, "errors": errors}


def report(runs: Sequence[Run]) -> tuple[list[dict[str, Any]], bool]:
    """Prints what did not hold; returns the counts, and whether the chapter may stand."""
    page, found = runs[0].page, {run.offset: run.record() for run in runs}
    base = found.pop(0)
    result = counts.counted(base["claims"], {o: found[o]["claims"] for o in found})
    always = sum(not count["failed"] for count in result)
    fixed = sum(count["fixed"] for count in result)
    false = [claim["sentence"] for claim in base["claims"] if not claim.get("holds", True)]
    print(f"\n{page.name}: {always} of {len(result)} claims held in {len(found)} other seed sets")
    print(f"  {fixed} show the same numbers in each of them")
    for sentence in false:
        print(f"  false with the chapter's own seeds: {sentence}")
    for count in result:
        if count["failed"]:
            print(f"  {counts.said(count, len(found))}: {count['template']}")
        for offset in count["failed"]:
            print(f"    seeds + {offset}: {count['shown'][offset] or 'the run did not get to it'}")
    for offset, record in {0: base, **found}.items():
        for error, times in Counter(record["errors"]).items():
            print(f"  seeds + {offset}: cells failed ({times}): {error}")
    stands = not any(counts.too_few(count["held"], len(found)) for count in result)
    return result, stands and not false and not base["errors"]


def chosen(numbers: Sequence[str]) -> list[Page]:
    """The chapters of these numbers; all of them if there are none.

    Raises:
        ValueError: no chapter has that number.
    """
    pages = [page for path in chapter_sources() if (page := read_page(path))]
    known = {page.name[:2]: page for page in pages}
    if missing := [n for n in numbers if n[:2].zfill(2) not in known]:
        raise ValueError(f"chapter must be one of {', '.join(known)}; got {', '.join(missing)}")
    return [known[n[:2].zfill(2)] for n in numbers] or pages


def whole_numbers(offsets: Sequence[str]) -> list[int]:
    """Offsets as they were given in the command.

    Raises:
        ValueError: one is no whole number above 0, or stands twice.
    """
    if wrong := [text for text in offsets if not text.isdecimal()]:
        raise ValueError(f"offsets must be whole numbers, fresh or again; got {', '.join(wrong)}")
    numbers = [int(text) for text in offsets]
    if 0 in numbers or len(set(numbers)) < len(numbers):
        raise ValueError(f"offsets must be above 0 and differ, got {', '.join(offsets)}")
    return numbers


def due(pages: Sequence[Page], which: str) -> list[Page]:
    """Of these chapters those that are to be counted (fresh), or that were counted (again)."""
    package, found = whole_package(), []
    for page in pages:
        kept = counts.stored(page.name) or {}
        known = kept.get("code") == page.code()
        if which == "fresh" and known and kept["package"] == page.package(package):
            print(f"{page.name} is counted already, with this code and this package")
        elif which == "fresh" or known:
            found.append(page)
    return found


def keep(runs: Sequence[Run], result: list[dict[str, Any]]) -> None:
    page, offsets = runs[0].page, [run.offset for run in runs[1:]]
    if folder_of(page) != runs[0].path.parent:
        print(f"  {CHANGED}")
        return
    states = {"code": page.code(), "package": page.package(whole_package())}
    path = counts.path_of(page.name)
    counts.write(path, {**states, "offsets": offsets, "claims": result})
    print(f"  counted: {path.relative_to(ROOT)}")


def replicate(plans: Sequence[list[Run]]) -> None:
    """Executes the runs without a record; says why where one could not be executed."""
    missing = [run for runs in plans for run in runs if not run.path.exists()]
    os.environ.update(KERNEL_ENVIRONMENT)
    with asyncio.Runner(loop_factory=Loop) as runner:
        outcomes = runner.run(execute_all(missing, kernel_count()))
    for run, outcome in zip(missing, outcomes, strict=True):
        if isinstance(outcome, FAILURES):
            print(f"{run.page.name}, seeds + {run.offset}: {outcome}", file=sys.stderr)
        elif outcome:
            raise outcome


def main(arguments: list[str] | None = None) -> int:
    """Replicates chapters; the exit status is 1 if one of them cannot stand as it is."""
    parser = argparse.ArgumentParser(
        prog="replicate.py", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--chapter", nargs="*", default=[], metavar="NN", help="default: all")
    parser.add_argument("--offsets", nargs="*", default=[], metavar="N", help="N ..., fresh, again")
    given = parser.parse_args(arguments)
    [which] = given.offsets if given.offsets in (["fresh"], ["again"]) else [""]
    try:
        offsets = [] if which else whole_numbers(given.offsets) or TO_MEND_BY
        pages = chosen(given.chapter)
    except ValueError as error:
        parser.error(str(error))
    if which:
        pages = due(pages, which)
    plans = [runs_of(page, offsets or fresh_offsets(page.code())) for page in pages]
    replicate(plans)
    complete = [runs for runs in plans if all(run.path.exists() for run in runs)]
    stand = complete == plans
    for runs in complete:
        result, stands = report(runs)
        stand = stand and stands
        if which == "fresh":
            keep(runs, result)
    return int(not stand)


if __name__ == "__main__":
    sys.exit(main())
