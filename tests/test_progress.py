"""The record of solved exercises: kept whole, never in the way, never where it is not wanted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from l2g import check, progress
from l2g.exercises import chapters, find, registry
from l2g.exercises.record import add, read, record_path


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("L2G_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def solve(name):
    check(name, find(name).reference)


def test_a_line_under_each_check_counts(home, capsys):
    number, part = 6, chapters()[6]
    check("log_softmax", None)
    check("log_softmax", lambda z: z)
    solve("log_softmax")
    solve("log_softmax")
    solve("cross_entropy")
    check("log_softmax", lambda z: z)  # what was solved once stays solved
    lines = [line for line in capsys.readouterr().out.splitlines() if "solved so far" in line]
    counts = [0, 0, 1, 1, 2, 2]
    assert lines == [f"  solved so far: {n} of {len(part)} in chapter {number}" for n in counts]
    assert json.loads((home / "solved.json").read_text()) == {
        "solved": ["cross_entropy", "log_softmax"]
    }
    assert [path.name for path in home.iterdir()] == ["solved.json"]


def test_overview_shows_every_chapter(home, capsys):
    solve("log_softmax")
    capsys.readouterr()
    assert progress.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "Chapter  6  1 of 3  ○ cross_entropy  ○ cross_entropy_grad  ✓ log_softmax" in lines
    assert len(lines) == len(chapters()) + 2
    assert lines[-2:] == [
        f"solved so far: 1 of {len(registry())}",
        f"kept in {home / 'solved.json'}",
    ]


def test_runs_as_a_module(home):
    command = [sys.executable, "-W", "error", "-m", "l2g.progress"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"solved so far: 0 of {len(registry())}\n" in done.stdout
    assert not home.exists()  # looking writes nothing
    wrong = subprocess.run([*command, "all"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "unrecognized arguments: all" in wrong.stderr


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"solved": 3}',
        '{"solved": [3]}',
        '{"done": []}',
        b"\xff\xfe",
        '{"solved": null}',
    ],
)
def test_a_broken_record_is_one_sentence_and_stays(home, content, capsys):
    home.mkdir()
    path = home / "solved.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = path.read_bytes()
    solve("log_softmax")
    passed, line = capsys.readouterr().out.splitlines()
    assert passed.startswith("✓ log_softmax")
    assert line == (
        f"your progress cannot be kept in {path}: it holds something else; delete it to begin anew"
    )
    assert path.read_bytes() == before
    assert progress.main([]) == 1
    assert "delete it to begin anew" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("L2G_HOME", str(tmp_path / "file"))
    solve("log_softmax")
    passed, line = capsys.readouterr().out.splitlines()
    assert passed.startswith("✓")
    assert line.startswith("your progress cannot be kept in")
    assert line.endswith(("Not a directory", "File exists"))


def test_a_folder_in_its_place_is_one_sentence(home, capsys):
    (home / "solved.json").mkdir(parents=True)
    check("log_softmax", None)
    assert "your progress cannot be kept in" in capsys.readouterr().out


def test_a_kill_leaves_the_old_record_whole(home, monkeypatch):
    add(home / "solved.json", "one")

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        add(home / "solved.json", "two")
    assert read(home / "solved.json") == {"one"}


def test_nothing_is_kept_where_it_is_not_wanted(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("L2G_HOME", "")
    solve("log_softmax")
    monkeypatch.delenv("L2G_HOME")
    monkeypatch.setenv("CI", "true")
    solve("log_softmax")
    assert "solved so far" not in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    assert progress.main([]) == 0
    assert "no record of solved exercises is kept here" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("platform", "variables", "place"),
    [
        ("linux", {}, ".local/share/l2g/solved.json"),
        ("linux", {"XDG_DATA_HOME": "{home}/data"}, "data/l2g/solved.json"),
        ("darwin", {}, "Library/Application Support/l2g/solved.json"),
        ("win32", {}, "AppData/Local/l2g/solved.json"),
        ("win32", {"LOCALAPPDATA": "{home}/local"}, "local/l2g/solved.json"),
    ],
)
def test_default_place(platform, variables, place, monkeypatch, tmp_path):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for name in ("L2G_HOME", "CI", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(home=tmp_path))
    monkeypatch.setattr(sys, "platform", platform)
    assert record_path() == tmp_path / place


def test_names_of_exercises_are_all_different():
    assert len(registry()) == sum(map(len, chapters().values()))
