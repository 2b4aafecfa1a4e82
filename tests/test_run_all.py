"""Stubs and solutions in one kernel: "Run all" keeps what the learner wrote, and says so."""

import ast
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from l2g import check, solution
from l2g.exercises import ANSWERS, chapters, find

BOOK = Path(__file__).parents[1] / "book"
PAGES = [path for number in chapters() for path in BOOK.glob(f"{number:02}_*.md")]
OPTIONS = re.compile(r"(?::.*\n|---\n(?:.*\n)*?---\n)*")

START = "import torch\nfrom l2g import check, solution"
STUB = """\
def cross_entropy(logits, targets):
    ...

check("cross_entropy", cross_entropy)"""
SOLUTION = """\
@solution("cross_entropy")
def cross_entropy(logits, targets):
    shifted = logits - logits.max(dim=1, keepdim=True).values
    true = shifted[torch.arange(len(targets)), targets]
    return (shifted.exp().sum(dim=1).log() - true).mean()"""
MINE = STUB.replace("...", "return -logits[torch.arange(len(targets)), targets].mean()")
LOOK = "print(round(float(cross_entropy(torch.ones(1, 2).double(), torch.tensor([0]))), 2))"


def ran(*cells):
    """The printed text of each cell, run in a real kernel from top to bottom."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    NotebookClient(notebook, timeout=120).execute()
    return ["".join(out.get("text", "") for out in cell.outputs) for cell in notebook.cells]


def test_run_all_keeps_the_learners_function_and_shows_no_foreign_tick():
    printed = ran(START, MINE, SOLUTION, LOOK)
    assert printed[1].startswith("✗ cross_entropy: wrong in ")
    assert "only the true scores are there" in printed[1]
    assert printed[2] == ""
    assert printed[3] == "-1.0\n"  # wrong, but theirs


def test_an_untouched_stub_lends_its_name_to_the_solution():
    printed = ran(START, STUB, SOLUTION, LOOK, MINE, SOLUTION, LOOK, STUB, SOLUTION, LOOK)
    assert printed[1] == printed[7] == "○ cross_entropy: not started yet\n"
    assert printed[2] == printed[5] == printed[8] == ""
    assert printed[3] == printed[9] == "0.69\n"
    assert printed[6] == "-1.0\n"


def test_check_names_the_line_of_a_cell_that_failed():
    cell = "def answer(logits):\n    shifted = logits\n    return shifted[9]\n"
    (text,) = ran("from l2g import check\n" + cell + "check('log_softmax', answer)")
    assert "✗ log_softmax: your code raised IndexError" in text
    assert "line 4: return shifted[9]" in text


def test_what_is_forbidden_is_seen_in_a_kernel():
    chapter = (
        "import torch\ndef stable(z):\n    z = z - z.amax(-1, keepdim=True)\n"
        "    return z - z.exp().sum(-1, keepdim=True).log()"
    )
    loop = "import numpy as np\ndef mine(z):\n    return np.log(np.exp(z) / np.exp(z).sum(1))"
    printed = ran(
        "from l2g import check",
        chapter,
        "check('log_softmax', lambda z: stable(z))",
        loop,
        "check('log_softmax', mine)",
    )
    assert printed[2].startswith("✗ log_softmax: the values are right, but it uses `amax`")
    assert "✗ log_softmax" in printed[4]
    assert "it uses `exp`" in printed[4]


def test_a_solution_that_does_not_pass_stops_the_build():
    with pytest.raises(AssertionError, match="✗ log_softmax: wrong in"):
        solution("log_softmax")(lambda z: z)
    with pytest.raises(AssertionError, match="the values are right, but it uses `log_softmax`"):
        solution("log_softmax")(lambda z: z.log_softmax(1))
    with pytest.raises(ValueError, match="there is no exercise 'log_sofmax'; did you mean"):
        solution("log_sofmax")


def test_an_exercise_may_start_from_an_empty_cell(monkeypatch, capsys):
    monkeypatch.delitem(ANSWERS, "log_softmax", raising=False)
    check("log_softmax", ...)
    assert capsys.readouterr().out == "○ log_softmax: not started yet\n"
    right = find("log_softmax").reference
    assert solution("log_softmax")(right) is right


def test_check_says_which_exercises_there_are():
    with pytest.raises(ValueError, match="did you mean log_softmax"):
        check("log_sofmax", None)
    with pytest.raises(ValueError, match="known are gap_and_error, reported_accuracy"):
        check("xyz", None)


def cells_of(path):
    """The tags and the code of each cell of a chapter."""
    text = path.read_text(encoding="utf-8")
    for cell in re.findall(r"^```\{code-cell\} ipython3\n(.*?)^```$", text, re.S | re.M):
        options = OPTIONS.match(cell).group()
        tags = re.search(r"tags: \[(.*)\]", options)
        yield {*(tags[1].split(", ") if tags else ())}, cell[len(options) :]


def test_every_chapter_with_exercises_stands():
    assert len(PAGES) == len(chapters())


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_each_stub_has_its_solution_right_after_it(path):
    cells = list(cells_of(path))
    checked, solved = [], []
    for (tags, code), (after_tags, after) in zip(cells, [*cells[1:], (set(), "")], strict=True):
        names = re.findall(r'^check\("(\w+)"', code, re.MULTILINE)
        assert bool(names) == ("stub" in tags), code
        checked += names
        if names:
            assert "solution" in after_tags
            solved += re.findall(r'^@solution\("(\w+)"\)$', after, re.MULTILINE)
    assert checked == solved == [exercise.name for exercise in chapters()[int(path.stem[:2])]]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_no_other_cell_needs_what_a_stub_defines(path):
    """It may be the learner's, and wrong."""
    mine, started = set(), False
    for tags, code in cells_of(path):
        tree = ast.parse(code)
        if "stub" in tags:
            started = True
            mine |= {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        elif started:
            used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
            assert not used & mine
