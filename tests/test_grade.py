"""Marking a folder of notebooks: every notebook is a row, whatever is in it."""

import csv
import io
import json
import subprocess
import sys
import time

import pytest

from l2g.grade import Row, cells_to_run, grade, table
from l2g.grade.__main__ import main

START = "import torch\nfrom l2g import check, solution"
RIGHT = """\
def cross_entropy_grad(logits, targets):
    p = torch.softmax(logits, dim=-1)
    return (p - torch.eye(p.shape[1], dtype=p.dtype)[targets]) / len(targets)
check("cross_entropy_grad", cross_entropy_grad)"""
WRONG = "def log_softmax(z):\n    return z.softmax(1)\ncheck('log_softmax', log_softmax)"
STUB = "def cross_entropy(z, y):\n    ...\n\ncheck('cross_entropy', cross_entropy)"
SOLVED_BY_THE_CHAPTER = """\
@solution("cross_entropy")
def cross_entropy(logits, targets):
    shifted = logits - logits.max(dim=1, keepdim=True).values
    true = shifted[torch.arange(len(targets)), targets]
    return (shifted.exp().sum(dim=1).log() - true).mean()"""


def code(source, *tags):
    lines = source.splitlines(keepends=True)
    return {"cell_type": "code", "metadata": {"tags": list(tags)}, "source": lines}


def notebook(*cells):
    cells = [code(cell) if isinstance(cell, str) else cell for cell in cells]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


TEXT = {"cell_type": "markdown", "metadata": {}, "source": "check('log_softmax', f)"}
NOTEBOOKS = {
    "anna.ipynb": notebook(START, TEXT, RIGHT, WRONG, STUB, code(SOLVED_BY_THE_CHAPTER)),
    "bora 보라.ipynb": notebook(
        "%matplotlib inline\n!pip list",
        START,
        "raise_this()",
        "1 / 0",
        "import sys; sys.exit(3)",
        "input()",
        code(RIGHT.replace("check(", "# check("), "solution"),
        STUB,
        RIGHT,
        "this is no Python, and after the last check",
    ),
    "deeper/carl.ipynb": notebook(START, RIGHT, "import os\nos._exit(7)", WRONG),
    "deeper/copy.ipynb": notebook(
        START + "\nimport helper",
        "check('log_softmax', None)\nprint('x' * 10**6)",
        WRONG.replace("z.softmax(1)", "[]"),
    ),
    "empty.ipynb": notebook("x = 1"),
    "gone.ipynb": "{",
    "list.ipynb": "[1, 2]",
    "no_cells.ipynb": "{}",
    "odd.ipynb": notebook({"cell_type": "code"}),
    "twice.ipynb": notebook(START, WRONG.replace("softmax(1)", "half()"), WRONG, RIGHT),
    "deeper/helper.py": "",
    "deeper/random.py": "raise OSError('not the one of Python')",
    ".ipynb_checkpoints/anna-checkpoint.ipynb": notebook(START, RIGHT),
}
EXPECTED = {
    "anna.ipynb": ({"log_softmax": "wrong", "cross_entropy_grad": "solved"}, ""),
    "bora 보라.ipynb": (
        {"cross_entropy_grad": "solved"},
        "cell 3 raised NameError: name 'raise_this' is not defined (and 3 more)",
    ),
    "deeper/carl.ipynb": (
        {"cross_entropy_grad": "solved", "log_softmax": "not reached"},
        "the process ended early, with status 7",
    ),
    "deeper/copy.ipynb": ({"log_softmax": "wrong"}, ""),
    "empty.ipynb": ({}, "it checks no exercise"),
    "gone.ipynb": ({}, "it is no notebook, or a damaged one"),
    "list.ipynb": ({}, "it is no notebook, or a damaged one"),
    "no_cells.ipynb": ({}, "it is no notebook, or a damaged one"),
    "odd.ipynb": ({}, "it is no notebook, or a damaged one"),
    "twice.ipynb": ({"log_softmax": "wrong", "cross_entropy_grad": "solved"}, ""),
}
EXPECTED["anna.ipynb"][0]["cross_entropy"] = "not started"
EXPECTED["bora 보라.ipynb"][0]["cross_entropy"] = "not started"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("class")
    for name, text in NOTEBOOKS.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def marked(folder):
    """The table as a spreadsheet reads it, and what the command printed."""
    done = subprocess.run(
        [sys.executable, "-m", "l2g.grade", str(folder)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    text = (folder / "grades.csv").read_text(encoding="utf-8-sig")
    return list(csv.DictReader(io.StringIO(text))), done.stdout


def test_every_notebook_is_a_row(marked):
    rows, printed = marked
    names = ["cross_entropy", "cross_entropy_grad", "log_softmax"]
    assert list(rows[0]) == ["notebook", *names, "solved", "of", "problem"]
    found = {
        row["notebook"]: ({name: row[name] for name in names if row[name]}, row["problem"])
        for row in rows
    }
    assert found == EXPECTED
    assert [row["notebook"] for row in rows] == sorted(EXPECTED)
    assert (rows[0]["solved"], rows[0]["of"]) == ("1", "3")
    assert "anna.ipynb: 1 of 3 solved\n" in printed
    assert "gone.ipynb: 0 of 0 solved; it is no notebook, or a damaged one\n" in printed


def test_notebooks_stay_as_they_are(marked, folder):
    for name, text in NOTEBOOKS.items():
        assert (folder / name).read_text(encoding="utf-8") == text
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {*NOTEBOOKS, "grades.csv"}


def test_a_notebook_that_never_ends_is_stopped_with_all_that_it_started(tmp_path):
    beats = tmp_path / "beats"
    beat = (
        f"import time\nwhile True:\n    time.sleep(0.1)\n    open({str(beats)!r}, 'a').write('.')"
    )
    child = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {beat!r}])"
    cells = START, RIGHT, child, "while True:\n    pass", WRONG
    (tmp_path / "loop.ipynb").write_text(notebook(*cells))
    (row,) = grade(tmp_path, seconds=30)
    assert row == Row(
        "loop.ipynb",
        {"cross_entropy_grad": "solved", "log_softmax": "not reached"},
        "stopped after 30 s",
    )
    heard = beats.stat().st_size
    assert heard > 0
    time.sleep(1)
    assert beats.stat().st_size == heard


def test_solutions_are_left_out_whatever_marks_them(tmp_path):
    path = tmp_path / "n.ipynb"
    path.write_text(
        notebook(
            START,
            code("tagged = 1", "solution", "hide-input"),
            "# @title Solution\ntitled = 1",
            SOLVED_BY_THE_CHAPTER,
            "# @title Code\nkept = 1",
            STUB,
            "after = 1",
        )
    )
    assert cells_to_run(path) == [(1, START), (5, "# @title Code\nkept = 1"), (6, STUB)]


def test_a_notebook_of_the_course_is_marked(tmp_path):
    """The generated notebook itself, cut to what the exercises need."""
    from l2g_book.project import ROOT

    whole = json.loads((ROOT / "chapters/06_cross_entropy.ipynb").read_text(encoding="utf-8"))
    path = tmp_path / "06.ipynb"
    path.write_text(json.dumps(whole))
    sources = [source for _, source in cells_to_run(path)]
    assert sum("check(" in source for source in sources) == 3
    assert "check(" in sources[-1]
    assert not any("@solution" in source for source in sources)


def test_a_folder_that_does_not_exist_is_named(tmp_path, capsys):
    with pytest.raises(NotADirectoryError, match="folder must be a folder of notebooks, got"):
        grade(tmp_path / "none")
    with pytest.raises(ValueError, match=r"folder must hold notebooks \(\*.ipynb\), there is none"):
        grade(tmp_path)
    (tmp_path / "a.ipynb").touch()
    with pytest.raises(ValueError, match="seconds must be above 0 and finite, got 0"):
        grade(tmp_path, seconds=0)
    with pytest.raises(TypeError, match="seconds must be a number, got 'long'"):
        grade(tmp_path, seconds="long")
    assert main([str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err.startswith("folder must be a folder of notebooks, got")
    assert not (tmp_path / "grades.csv").exists()


def test_a_table_that_cannot_be_written_is_one_sentence(tmp_path, capsys):
    (tmp_path / "a.ipynb").touch()
    assert main([str(tmp_path), "--out", str(tmp_path / "none/grades.csv")]) == 1
    assert "No such file or directory" in capsys.readouterr().err


def test_columns_follow_the_chapters():
    rows = [
        Row("b", {"cross_entropy_grad": "solved"}),
        Row("a", {"log_softmax": "wrong", "gap_and_error": "solved"}, 'odd, "quoted"'),
    ]
    assert table(rows).splitlines() == [
        "notebook,gap_and_error,cross_entropy_grad,log_softmax,solved,of,problem",
        "b,,solved,,1,1,",
        'a,solved,,wrong,1,2,"odd, ""quoted"""',
    ]
