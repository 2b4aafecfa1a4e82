"""Chapters under other seeds: what is shifted, what is counted, what is kept, what CI refuses."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from l2g_book import caches, counts, replicate
from l2g_book.project import ROOT, chapter_sources, chapters

from l2g import data

SHIFTED = ROOT / "book/_ext/l2g_book/shifted.py"
EDITIONS = {chapter["name"]: chapter.get("edition", 2) for chapter in chapters()}


def main(arguments: Sequence[str]) -> int:
    """The command, in a thread of its own: browser tests leave a running event loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(replicate.main, arguments).result()


# ---- the book itself


def test_every_chapter_of_the_second_edition_has_counts_and_its_claims_hold():
    assert list(counts.faults(EDITIONS)) == []


def test_a_chapter_that_is_counted_is_no_longer_of_the_first_edition():
    assert [
        name for name, edition in EDITIONS.items() if edition == 1 and counts.stored(name)
    ] == []


def test_every_count_is_that_of_a_chapter():
    names = {path.stem for path in chapter_sources()}
    assert {path.stem for path in counts.COUNTS.glob("*")} <= names


# ---- counting


def claim(template, value=None, *, holds=True, kind="claim"):
    values = {} if value is None else {"x": value}
    record = {"kind": kind, "template": template, "sentence": template.format(**values)}
    return record | {"values": values} | ({} if holds else {"holds": False})


def test_claims_are_counted_over_the_other_runs():
    base = [claim("it is {x}", 1), claim("so it is")]
    others = {
        1000: [claim("it is {x}", 2), claim("so it is")],
        2000: [claim("it is {x}", 3, holds=False), claim("so it is")],
        3000: [claim("so it is")],
    }
    first, second = counts.counted(base, others)
    assert (first["held"], first["failed"], first["fixed"]) == (1, ["2000", "3000"], False)
    assert first["shown"] == {"1000": "it is 2", "2000": "it is 3", "3000": ""}
    assert (second["held"], second["failed"], second["fixed"]) == (3, [], False)


def test_what_no_seed_changes_is_marked():
    runs = {offset: [claim("off by {x}", 1), claim("{x}", offset)] for offset in (0, 1, 2)}
    fixed, drawn = counts.counted(runs.pop(0), runs)
    assert (fixed["fixed"], drawn["fixed"]) == (True, False)
    assert counts.said(fixed, 2) == "the same in 2 of 2 other seed sets"
    assert counts.said(drawn, 2) == "held in 2 of 2 other seed sets"
    (lost,) = counts.counted([claim("{x}", 1)], {1: [claim("{x}", 1, holds=False)]})
    assert lost["fixed"] is False


def test_sentences_that_repeat_are_matched_in_order_and_by_kind():
    base = [claim("{x}", 1), claim("{x}", 2), claim("{x}", 3, kind="answer")]
    other = [claim("{x}", 9, kind="answer"), claim("{x}", 7), claim("{x}", 8, holds=False)]
    first, second, third = counts.counted(base, {5: other})
    assert [c["shown"]["5"] for c in (first, second, third)] == ["7", "8", "9"]
    assert [c["held"] for c in (first, second, third)] == [1, 0, 1]


@pytest.mark.parametrize(
    ("held", "sets", "few"),
    [(5, 5, False), (4, 5, False), (3, 5, True), (2, 2, False), (1, 2, True)],
)
def test_three_of_five_are_too_few(held, sets, few):
    assert counts.too_few(held, sets) == few


# ---- what is kept


HEAD = """\
---
jupytext:
  text_representation: {extension: .md, format_name: myst}
kernelspec: {name: python3, display_name: Python 3, language: python}
---
"""


@pytest.fixture
def course(tmp_path, monkeypatch):
    """One chapter, whose runs are made up: `course.run(offset, claims)` writes a record."""
    book = tmp_path / "book"
    book.mkdir()
    path = book / "08_metrics.md"
    path.write_text(f"{HEAD}# Metrics\n\n```{{code-cell}} ipython3\nx = 1\n```\n")
    monkeypatch.setattr(counts, "COUNTS", tmp_path / "counts")
    monkeypatch.setattr(replicate, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(replicate, "ROOT", tmp_path)
    for module in (counts, replicate):
        monkeypatch.setattr(module, "chapter_sources", lambda: [path])

    def page():
        return caches.read_page(path)

    def offsets():
        return replicate.fresh_offsets(page().code())

    def run(offset, *claims, errors=()):
        [record] = [r for r in replicate.runs_of(page(), [offset]) if r.offset == offset][:1]
        counts.write(record.path, {"claims": claims, "errors": list(errors)})

    return SimpleNamespace(path=path, page=page, offsets=offsets, run=run)


def edit(path, old, new):
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_fresh_sets_are_counted_once_and_kept(course, capsys):
    for offset in (0, *course.offsets()):
        course.run(offset, claim("it is {x}", offset, holds=offset != course.offsets()[2]))
    assert main(["--offsets", "fresh"]) == 0
    assert "held in 4 of 5 other seed sets: it is {x}" in capsys.readouterr().out
    kept = counts.stored("08_metrics")
    assert kept["offsets"] == course.offsets()
    assert kept["claims"][0]["failed"] == [str(course.offsets()[2])]
    assert counts.words(course.page()) == {
        ("claim", "it is {x}", 0): "held in 4 of 5 other seed sets"
    }
    assert list(counts.faults({})) == []
    assert main(["--offsets", "fresh"]) == 0
    assert "is counted already" in capsys.readouterr().out


def test_a_count_belongs_to_the_code(course):
    for offset in (0, *course.offsets()):
        course.run(offset, claim("so it is"))
    main(["--offsets", "fresh"])
    before = course.offsets()
    edit(course.path, "# Metrics", "# Other words")
    assert counts.words(course.page())
    edit(course.path, "x = 1", "x = 2")
    assert counts.words(course.page()) == {}
    assert not set(course.offsets()) & set(before)
    assert [*counts.faults({"08_metrics": 2})] == [
        "08_metrics has no count: make replicate CHAPTER=08 OFFSETS=fresh"
    ]
    assert [*counts.faults({"08_metrics": 1})] == []


def test_a_package_that_has_changed_is_named(course, monkeypatch):
    for offset in (0, *course.offsets()):
        course.run(offset, claim("so it is"))
    main(["--offsets", "fresh"])
    monkeypatch.setattr(caches.Page, "package", lambda *_: "another")
    assert set(counts.words(course.page()).values()) == {
        "held in 5 of 5 other seed sets; older package"
    }
    assert list(counts.faults({})) == []
    assert [page.name for page in replicate.due([course.page()], "fresh")] == ["08_metrics"]


def test_a_package_that_changes_meanwhile_is_not_counted(course, monkeypatch, capsys):
    for offset in (0, *course.offsets()):
        course.run(offset, claim("so it is"))
    report = replicate.report

    def change_and_report(runs):
        monkeypatch.setattr(caches.Page, "state", lambda *_: "another")
        return report(runs)

    monkeypatch.setattr(replicate, "report", change_and_report)
    main(["--offsets", "fresh"])
    assert "not kept, for the package has changed meanwhile" in capsys.readouterr().out
    assert counts.stored("08_metrics") is None


def test_a_run_during_which_the_package_changes_leaves_no_record(course, monkeypatch, capsys):
    async def executed(run):
        if run.offset == 2000:
            monkeypatch.setattr(caches.Page, "state", lambda *_: "another")
        return {"claims": [claim("so it is")], "errors": []}

    monkeypatch.setattr(replicate, "executed", executed)
    monkeypatch.setattr(replicate, "kernel_count", lambda: 1)
    assert main(["--offsets", "1000", "2000"]) == 1
    assert "seeds + 2000: not kept" in capsys.readouterr().out
    assert sorted(path.stem for path in replicate.RUNS.rglob("*.json")) == ["0", "1000"]


def test_a_kernel_that_dies_fails_the_command_and_keeps_the_other_runs(course, monkeypatch, capsys):
    async def executed(run):
        if run.offset == 1000:
            raise replicate.FAILURES[-1]("Kernel died")
        return {"claims": [claim("so it is")], "errors": []}

    monkeypatch.setattr(replicate, "executed", executed)
    assert main(["--offsets", "1000", "2000"]) == 1
    assert "08_metrics, seeds + 1000: Kernel died" in capsys.readouterr().err
    assert sorted(path.stem for path in replicate.RUNS.rglob("*.json")) == ["0", "2000"]


def test_a_claim_that_held_in_three_of_five_fails(course, capsys):
    offsets = course.offsets()
    for offset in (0, *offsets):
        course.run(offset, claim("it is {x}", offset, holds=offset not in offsets[:2]))
    assert main(["--offsets", "fresh"]) == 1
    assert f"    seeds + {offsets[0]}: it is {offsets[0]}" in capsys.readouterr().out
    assert [*counts.faults({})] == ["08_metrics: held in 3 of 5 other seed sets: it is {x}"]


def test_what_the_chapter_itself_does_not_show_is_said(course, capsys):
    course.run(0, claim("it is {x}", 0, holds=False), errors=["NameError: y"])
    for offset in (1000, 2000):
        course.run(offset, claim("it is {x}", offset))
    assert main(["--offsets", "1000", "2000", "--chapter", "8"]) == 1
    told = capsys.readouterr().out
    assert "false with the chapter's own seeds: it is 0" in told
    assert "seeds + 0: cells failed (1): NameError: y" in told
    assert counts.stored("08_metrics") is None


def test_only_what_was_counted_is_executed_again(course):
    assert replicate.due([course.page()], "again") == []
    for offset in (0, *course.offsets()):
        course.run(offset, claim("so it is"))
    main(["--offsets", "fresh"])
    assert [page.name for page in replicate.due([course.page()], "again")] == ["08_metrics"]
    edit(course.path, "x = 1", "x = 2")
    assert replicate.due([course.page()], "again") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--chapter", "7"], "chapter must be one of 08; got 7"),
        (["--offsets", "many"], "offsets must be whole numbers, fresh or again; got many"),
        (
            ["--offsets", "fresh", "1000"],
            "offsets must be whole numbers, fresh or again; got fresh",
        ),
        (["--offsets", "0"], "offsets must be above 0 and differ"),
        (["--offsets", "5", "5"], "offsets must be above 0 and differ"),
    ],
)
def test_bad_arguments_are_refused(course, arguments, message, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert message in capsys.readouterr().err


def test_fresh_offsets_differ_from_all_others():
    taken = set(replicate.TO_MEND_BY)
    for code in ("a", "b", "c"):
        offsets = replicate.fresh_offsets(code)
        assert len(set(offsets)) == counts.SETS
        assert not taken & set(offsets)
        assert all(offset % 1000 == 0 for offset in offsets)  # no two sets share a seed below 1000
        assert offsets == replicate.fresh_offsets(code)
        taken |= set(offsets)


# ---- seeds


PROBE = """
import json, os, random
import numpy as np
import torch
from l2g import data, models

def drawn():
    torch.manual_seed(3)
    random.seed(4)
    np.random.seed(5)
    return [
        torch.rand(1).item(),
        random.random(),
        random.Random(4).random(),
        np.random.rand(),
        np.random.RandomState(5).rand(),
        np.random.default_rng(6).random(),
        np.random.default_rng([6, 1]).random(),
        torch.rand(1, generator=torch.Generator().manual_seed(7)).item(),
        data.load("moons", seed=8).train.x.sum().item(),
        data.load("blobs", seed=8).train.x.sum().item(),
        data.blob_centres(seed=8).sum().item(),
        models.mlp((2, 2), seed=9)[-1].weight.sum().item(),
    ]

read, write = os.pipe()
if os.fork() == 0:
    os.write(write, json.dumps(drawn()).encode())
    os._exit(0)
print(json.dumps([drawn(), json.loads(os.read(read, 10_000))]))
"""


def drawn_at(offset):
    code = f"exec({SHIFTED.read_text()!r}, {{'__name__': 'shifted'}})\n{PROBE}"
    env = os.environ | {"L2G_SEED_OFFSET": str(offset)}
    run = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    return json.loads(run.stdout)


def test_every_seed_is_shifted_in_forked_processes_too():
    own, forked = drawn_at(0)
    shifted, shifted_too = drawn_at(1000)
    assert (own, shifted) == (forked, shifted_too)
    assert all(a != b for a, b in zip(own, shifted, strict=True))
    torch.manual_seed(3)
    blobs = data.load("blobs", seed=8)
    assert own[0] == torch.rand(1).item()
    assert own[9] == blobs.train.x.sum().item()
    assert shifted[1] == random.Random(1004).random()
    assert shifted[5] == np.random.default_rng(1006).random()
    assert shifted[7] == torch.rand(1, generator=torch.Generator().manual_seed(1007)).item()
    assert shifted[8] == data.load("moons", seed=1008).train.x.sum().item()
    assert shifted[9] == data.load("blobs", seed=1008).train.x.sum().item()
    assert shifted[10] == data.blob_centres(seed=1008).sum().item()


# ---- a small book, executed


CHAPTER = """
# The loop

```{code-cell} ipython3
import os
import time
import torch
from l2g import claim

time.sleep(float(os.environ.get("PAUSE", 0)))
draws = torch.rand(5, generator=torch.Generator().manual_seed(0))
seed = torch.Generator().manual_seed(0).initial_seed()
```

```{code-cell} ipython3
:tags: [claims]
claim("the seed is {seed:count}", seed < 1000, seed=seed)
claim("an identity is off by {off:below}", True, off=0.0)
for k in range(2):
    claim("the draws end at {draws:percent highest}", draws.max() < 1, draws=draws)
```

```{code-cell} ipython3
:tags: [raises-exception]
1 / 0
```

```{code-cell} ipython3
assert seed < 2000, "too far"
```
"""


@pytest.fixture
def small(tmp_path):
    root = tmp_path / "course"
    for path in ("pyproject.toml", "src", "book/_ext", "book/_config.yml", "book/course.yml"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / path).is_dir() else shutil.copy
        copy(ROOT / path, root / path)
    (root / "book/05_training_loop.md").write_text(HEAD + CHAPTER)
    return root


def start(root, *offsets, pause=0):
    env = os.environ | {"PYTHONPATH": str(root / "src"), "PAUSE": str(pause)}
    command = [sys.executable, "book/_ext/l2g_book/replicate.py", "--offsets", *offsets]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=root, env=env, start_new_session=True, **pipes)


def records(root):
    return {p.stem: p.read_bytes() for p in root.glob("book/_build/replication/*/*/*.json")}


def test_a_chapter_is_executed_under_other_seeds_and_goes_on_after_a_kill(small):
    first = start(small, "1000", "2000", pause=3)
    while not records(small):
        assert first.poll() is None, first.communicate()[0]
        time.sleep(0.1)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    before = records(small)
    assert len(before) < 3
    second = start(small, "1000", "2000")
    told, _ = second.communicate()
    assert second.returncode == 1
    started = set(re.findall(r"05_training_loop, seeds \+ (\d+)", told))
    assert started == {"0", "1000", "2000"} - before.keys()
    assert "1 of 4" not in told
    assert "05_training_loop: 3 of 4 claims held in 2 other seed sets\n  1 show" in told
    assert "held in 0 of 2 other seed sets: the seed is {seed:count}" in told
    assert "    seeds + 1000: the seed is 1,000" in told
    assert "seeds + 2000: cells failed (1): AssertionError: too far" in told
    assert "division" not in told
    after = records(small)
    assert len(after) == 3
    assert all(after[name] == content for name, content in before.items())
    base, other = (json.loads(after[name])["claims"] for name in ("0", "1000"))
    assert [c["template"] for c in base] == [c["template"] for c in other]
    assert base[2]["values"] != other[2]["values"]
    assert base[2]["values"]["draws"] == pytest.approx(
        torch.rand(5, generator=torch.Generator().manual_seed(0)).tolist()
    )
