"""How often each claim of a chapter held under other seeds: the counts that are kept in the book.

`make replicate` executes a chapter under other seeds and writes book/replication/NAME.json. A count
belongs to the code of the chapter: it is made once, and no other code has it. Where the package has
changed since, the page says so.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from .caches import Page, hashed, pages_with_code, read_page, whole_package
from .project import ROOT, chapter_sources

COUNTS = ROOT / "book/replication"
SETS = 5  # fresh sets of seeds, for each state of a chapter's code
ENOUGH = 0.8  # of the sets a claim has to hold in; below, its sentence is wrong
STAMP = "l2g_counts"  # in a page's metadata: the counts that it shows

Claim = Mapping[str, Any]  # the record that a claim's output carries
Key = tuple[str, str, int]  # kind and template, and which of those that share them


def keyed(claims: Iterable[Claim]) -> dict[Key, Claim]:
    """Names each claim so that it is found again in another run of the same code."""
    seen: Counter[tuple[str, str]] = Counter()
    found: dict[Key, Claim] = {}
    for claim in claims:
        name = claim["kind"], claim["template"]
        found[*name, seen[name]] = claim
        seen[name] += 1
    return found


def counted(base: Iterable[Claim], others: Mapping[int, Iterable[Claim]]) -> list[dict[str, Any]]:
    """Says of each claim of the chapter's own run in how many of the other runs it held.

    Args:
        base: the claims of the run with the seeds that the chapter gives.
        others: those of the runs with shifted seeds, by their offsets.

    Returns:
        For each claim its kind and template; `held`, the number of the others in which it held;
        `fixed`, whether it has numbers and every run shows the same; by offset what was `shown`,
        nothing where a run did not get to it; and the offsets at which it `failed`.
    """
    runs = {str(offset): keyed(claims) for offset, claims in others.items()}
    counts = []
    for key, claim in keyed(base).items():
        found = {offset: run.get(key) for offset, run in runs.items()}
        shown = {offset: other["sentence"] if other else "" for offset, other in found.items()}
        failed = [o for o, other in found.items() if not other or not other.get("holds", True)]
        fixed = bool(claim["values"]) and {*shown.values()} == {claim["sentence"]}
        count = {"kind": claim["kind"], "template": claim["template"]}
        count |= {"held": len(runs) - len(failed), "fixed": fixed and not failed}
        counts.append(count | {"failed": failed, "shown": shown})
    return counts


def too_few(held: int, sets: int) -> bool:
    return held < ENOUGH * sets


def path_of(name: str) -> Path:
    return COUNTS / f"{name}.json"


def stored(name: str) -> dict[str, Any] | None:
    path = path_of(name)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def write(path: Path, data: Any) -> None:
    """Writes beside and renames: there is never half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    os.replace(beside, path)


def words(page: Page) -> dict[Key, str]:
    """What the page says of each claim; nothing where its code was never counted."""
    counts = stored(page.name)
    if not counts or counts["code"] != page.code():
        return {}
    older = "" if counts["package"] == page.package(whole_package()) else "; older package"
    sets = len(counts["offsets"])
    return {key: f"{said(count, sets)}{older}" for key, count in keyed(counts["claims"]).items()}


def said(count: Claim, sets: int) -> str:
    how = "the same" if count["fixed"] else "held"
    return f"{how} in {count['held']} of {sets} other seed sets"


def faults(editions: Mapping[str, int]) -> Iterator[str]:
    """Says which chapters lack a count for their code, and which claims held too seldom.

    Args:
        editions: the form of each chapter; those of the first edition need no counts yet.
    """
    for path in chapter_sources():
        page = read_page(path)
        if page is None or editions.get(page.name) == 1:
            continue
        counts = stored(page.name)
        if not counts or counts["code"] != page.code():
            number = page.name[:2]
            yield f"{page.name} has no count: make replicate CHAPTER={number} OFFSETS=fresh"
            continue
        for count in counts["claims"]:
            if too_few(count["held"], len(counts["offsets"])):
                yield f"{page.name}: {said(count, len(counts['offsets']))}: {count['template']}"


def find_outdated(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """Names the pages whose counts are others than those that they show."""
    known = {name: env.metadata.get(name, {}).get(STAMP, "") for name in env.found_docs}
    return [name for name, stamp in known.items() if stamp != stamp_of(name)]


def stamp_of(name: str) -> str:
    path = path_of(name)
    return hashed(path.read_text(encoding="utf-8")) if path.exists() else ""


def of_page(app: Sphinx) -> dict[Key, str]:
    """What the page that is being read says of its claims."""
    env = app.env
    env.metadata[env.docname][STAMP] = stamp_of(env.docname)
    if not env.metadata[env.docname][STAMP]:
        return {}
    return next(map(words, pages_with_code(env, [env.docname])), {})
