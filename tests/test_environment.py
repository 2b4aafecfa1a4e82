"""The declared environments agree, and setting one up survives whatever interrupts it."""

import ast
import fcntl
import importlib.util
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = "tests/ci-constraints.txt"
MAKE = shutil.which("make")

needs_make = pytest.mark.skipif(MAKE is None, reason="make is not installed")


class Machine:
    """A copy of the checkout in which setup_env.py runs, with subprocesses that only pretend."""

    def __init__(self, root, monkeypatch):
        self.monkeypatch, self.commands, self.during = monkeypatch, [], lambda command: None
        for name in ("pyproject.toml", "setup_env.py", LOCK, "tests/colab-constraints.txt"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
        (root / "src" / "l2g").mkdir(parents=True)
        (root / "src" / "l2g" / "__init__.py").write_text("")
        self.move(root)

    def move(self, root):
        self.root = root
        spec = importlib.util.spec_from_file_location("setup_env", root / "setup_env.py")
        self.module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.module)
        self.monkeypatch.setattr(self.module.subprocess, "run", self.run)
        self.monkeypatch.setattr(self.module.signal, "signal", lambda *_: None)

    def run(self, command, **_):
        command = [str(word) for word in command]
        if command[-1] == "import pip":
            if not Path(command[0]).exists():
                raise FileNotFoundError(command[0])
            return
        stamp = self.root / self.name / ".complete"
        assert not stamp.exists(), "finished before the work was done"
        self.commands.append(command)
        if "venv" in command:
            python = Path(command[-1], "bin", "python")
            python.parent.mkdir(parents=True)
            python.touch()
        self.during(command)

    def set_up(self, name=".venv"):
        """Run the script; return what it did, in one word per command."""
        self.name, self.commands = name, []
        self.monkeypatch.setattr(sys, "argv", ["setup_env.py", name])
        self.module.main()
        return [c[2] if c[1] == "-m" else c[-1].split()[0] for c in self.commands]

    def pip_arguments(self):
        return next(c[c.index("install") + 1 :] for c in self.commands if "install" in c)


CREATED = ["venv", "pip", "import"]
UPDATED = ["pip", "import"]


@pytest.fixture
def machine(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10e9))
    monkeypatch.delenv("L2G_LOCKED", raising=False)
    return Machine(tmp_path / "l2g", monkeypatch)


def fail(error):
    def during(command):
        if "install" in command:
            raise error

    return during


@pytest.mark.parametrize("name", [".venv", ".venv-colab"])
def test_a_finished_environment_is_left_alone(machine, name):
    assert machine.set_up(name) == CREATED
    assert machine.set_up(name) == []


def test_the_environments_hold_what_they_promise(machine):
    machine.set_up(".venv")
    assert machine.pip_arguments()[-2:] == ["-e", ".[book,labs,transfer,test,dev]"]
    assert {"book", "labs", "transfer", "test", "dev"} == set(PROJECT["optional-dependencies"])
    machine.set_up(".venv-colab")
    arguments = machine.pip_arguments()
    assert arguments[arguments.index("-c") + 1] == "tests/colab-constraints.txt"
    assert ".[labs]" in arguments
    assert "-e" not in arguments


@pytest.mark.parametrize(
    ("error", "word"),
    [(KeyboardInterrupt(), "interrupted"), (subprocess.CalledProcessError(1, "pip"), "failed")],
)
def test_an_unfinished_environment_is_made_afresh(machine, error, word):
    machine.during = fail(error)
    with pytest.raises(SystemExit, match=rf"{word}.*again"):
        machine.set_up()
    debris = machine.root / ".venv" / "half-installed"
    debris.touch()
    machine.during = lambda command: None
    assert machine.set_up() == CREATED
    assert not debris.exists()


def test_a_failed_update_is_not_taken_for_finished(machine):
    machine.set_up()
    pyproject = machine.root / "pyproject.toml"
    pyproject.write_text(pyproject.read_text() + "\n")
    machine.during = fail(KeyboardInterrupt())
    with pytest.raises(SystemExit):
        machine.set_up()
    machine.during = lambda command: None
    assert machine.set_up() == CREATED


def test_changed_requirements_are_installed_in_place(machine):
    machine.set_up()
    pyproject = machine.root / "pyproject.toml"
    pyproject.write_text(pyproject.read_text() + "\n")
    assert machine.set_up() == UPDATED
    assert machine.set_up() == []


def test_changed_source_reinstalls_the_package_alone_where_it_is_a_copy(machine):
    machine.set_up(".venv")
    machine.set_up(".venv-colab")
    (machine.root / "src" / "l2g" / "lab.html").write_text("<p>new</p>")
    assert machine.set_up(".venv") == []
    assert machine.set_up(".venv-colab") == UPDATED
    assert "--no-deps" in machine.pip_arguments()
    constraints = machine.root / "tests" / "colab-constraints.txt"
    constraints.write_text(constraints.read_text() + "idna==3.10\n")
    assert machine.set_up(".venv-colab") == UPDATED
    assert "-c" in machine.pip_arguments()


def test_a_moved_checkout_gets_a_new_environment(machine):
    machine.set_up()
    machine.move(machine.root.rename(machine.root.with_name("elsewhere")))
    assert machine.set_up() == CREATED


def test_an_environment_whose_python_is_gone_is_made_afresh(machine):
    machine.set_up()
    (machine.root / ".venv" / "bin" / "python").unlink()
    assert machine.set_up() == CREATED


@pytest.mark.parametrize(
    ("name", "version", "bounds"),
    [(".venv", (3, 10, 13), "3.11 or newer"), (".venv-colab", (3, 14, 0), "3.11 to 3.13")],
)
def test_a_python_that_does_not_fit_is_named(machine, monkeypatch, name, version, bounds):
    monkeypatch.setattr(sys, "version_info", version)
    with pytest.raises(SystemExit, match=rf"Python {bounds} .*Python 3\.{version[1]}\."):
        machine.set_up(name)
    assert not (machine.root / name).exists()


def test_an_old_python_can_read_the_script():
    ast.parse((ROOT / "setup_env.py").read_text(), feature_version=(3, 6))


def test_a_python_without_ensurepip_is_told_the_package(machine, monkeypatch):
    monkeypatch.setattr(machine.module.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SystemExit, match=rf"apt install python3\.{sys.version_info[1]}-venv"):
        machine.set_up()


def test_a_full_disk_is_told_with_both_numbers(machine, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=4.21e9))
    with pytest.raises(SystemExit, match=r"needs 9 GB.* 4\.2 GB free"):
        machine.set_up()
    assert not (machine.root / ".venv").exists()
    monkeypatch.setenv("L2G_DISK_GB", "3")
    assert machine.set_up() == CREATED


def test_one_set_up_waits_for_the_other(machine):
    def hold_the_lock():
        with machine.module.alone():
            pass

    with (machine.root / "pyproject.toml").open("r+") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        waiting = threading.Thread(target=hold_the_lock, daemon=True)
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
    waiting.join(30)
    assert not waiting.is_alive()


def test_the_lock_is_used_where_it_is_asked_for(machine, monkeypatch):
    assert machine.set_up() == CREATED
    assert "-c" not in machine.pip_arguments()
    monkeypatch.setenv("L2G_LOCKED", "1")
    assert machine.set_up() == UPDATED
    arguments = machine.pip_arguments()
    assert arguments[arguments.index("-c") + 1] == LOCK
    assert machine.set_up() == []
    lock = machine.root / LOCK
    lock.write_text(lock.read_text().replace("idna==", "idna==1."))
    assert machine.set_up() == UPDATED
    machine.set_up(".venv-colab")
    assert LOCK not in machine.pip_arguments()  # Colab has releases of its own


def test_the_lock_pins_all_that_the_project_asks_for():
    lines = (ROOT / LOCK).read_text().splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    versions = {canonicalize_name(pin.name): str(pin.specifier) for pin in pins}
    assert all(re.fullmatch(r"==[\w.]+", version) for version in versions.values())  # no "+cpu"
    declared = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    for requirement in map(Requirement, itertools.chain(*declared)):
        pin = versions[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(pin.removeprefix("=="))


def test_the_wheel_holds_all_of_the_package_and_its_records():
    """What is typed, shown and read from files must be there after an installation, too."""
    from hatchling.builders.wheel import WheelBuilder

    wheel = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    package = [p for p in (ROOT / "src" / "l2g").rglob("*") if "__pycache__" not in p.parts]
    wanted = {p.relative_to(ROOT / "src").as_posix() for p in package if p.is_file()}
    records = [p for p in (ROOT / "results").rglob("*") if p.is_file()]
    wanted |= {f"l2g/study/results/{p.relative_to(ROOT / 'results').as_posix()}" for p in records}
    assert {"l2g/py.typed", "l2g/explorables/_frame.html"} <= wanted
    assert wanted == wheel


def test_conda_gets_the_same_requirements():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(entry["pip"] for entry in conda if isinstance(entry, dict))
    lines = [entry for entry in conda if isinstance(entry, str) and entry != "pip"]
    lines += [entry for entry in pip if entry != "-e ."]
    listed = {(r.name, r.specifier) for r in map(Requirement, lines)}
    declared = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    wanted = {(r.name, r.specifier) for r in map(Requirement, itertools.chain(*declared))}
    wanted.add(("python", Requirement("python" + PROJECT["requires-python"]).specifier))
    assert {("torch" if name == "pytorch" else name, bounds) for name, bounds in listed} == wanted


def source_files():
    for folder, below, names in os.walk(ROOT):
        built = {"_build", "dist", "__pycache__", "chapters"}
        below[:] = [d for d in below if d in {".ci", ".github"} or (d[0] != "." and d not in built)]
        yield from (Path(folder, name) for name in names if name != ".git")


def test_the_address_of_the_repository_stands_in_one_place():
    owner, name = PROJECT["urls"]["Repository"].removeprefix("https://github.com/").split("/")
    holders = [
        file.relative_to(ROOT).as_posix()
        for file in source_files()
        for text in [file.read_text(encoding="utf-8", errors="ignore").lower()]
        if f"{owner}/{name}".lower() in text or f"{owner}.github.io".lower() in text
    ]
    assert holders == ["pyproject.toml"]


def make(*arguments, path=None):
    environ = {k: v for k, v in os.environ.items() if k not in {"PYTHON", "MAKEFLAGS", "MAKELEVEL"}}
    environ["PATH"] = str(path or environ["PATH"])
    return subprocess.run([MAKE, *arguments], cwd=ROOT, capture_output=True, text=True, env=environ)


@needs_make
def test_every_command_that_make_lists_exists():
    listed = [line.split()[1] for line in make().stdout.splitlines()]
    assert {"book", "notebooks", "test", "test-colab", "check", "clean"} <= set(listed)
    for target in listed:
        assert make("-n", target).returncode == 0, target


def executable(file, script):
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


@needs_make
@pytest.mark.parametrize(
    ("target", "minors", "chosen"),
    [
        (".venv", {"python3": 10, "python3.12": 12, "python3.11": 11}, "python3.12"),
        (".venv", {"python3": 14, "python3.12": 12}, "python3"),
        (".venv-colab", {"python3": 14, "python3.12": 12}, "python3.12"),
        (".venv", {"python3": 9}, "python3"),  # it will say that it is too old
    ],
)
def test_make_chooses_a_python_that_fits(tmp_path, target, minors, chosen):
    for name, minor in minors.items():
        # Answers the question that the Makefile asks, as that Python would.
        fake = f"import sys; sys.version_info = (3, {minor}); "
        executable(tmp_path / name, f"exec '{sys.executable}' -c \"{fake}$2\"")
    plan = make("-n", target, path=tmp_path).stdout
    assert f"\n{chosen} setup_env.py {target}\n" in plan


@needs_make
def test_make_says_that_there_is_no_python(tmp_path):
    answer = make("book", path=tmp_path)
    assert answer.returncode != 0
    assert "install Python 3.11 or newer" in answer.stderr


@pytest.mark.parametrize("failing", [None, "test"])
def test_ci_runs_both_environments_and_stops_at_a_failure(tmp_path, failing):
    executable(tmp_path / "make", f'echo "$1" >>"$0.log"; [ "$1" != "{failing}" ]')
    executable(tmp_path / "chromium", "")
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    run = subprocess.run(["bash", ROOT / ".ci" / "run"], env={**os.environ, "PATH": path})
    assert (run.returncode == 0) == (failing is None)
    called = (tmp_path / "make.log").read_text().split()
    assert called == (["test"] if failing else ["test", "test-colab"])


def test_the_citation_is_complete_and_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors", "license"} <= set(citation)
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])
    assert [author["name"] for author in citation["authors"]] == [
        author["name"] for author in PROJECT["authors"]
    ]


@pytest.mark.parametrize("name", ["ci.yml", "pages.yml"])
def test_a_workflow_asks_for_no_more_than_it_needs(name):
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())
    assert workflow["permissions"] == {"contents": "read"}
    commands = [
        step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step
    ]
    assert commands == {"ci.yml": ["bash .ci/run"], "pages.yml": ["make book"]}[name]


def test_ci_uses_the_lock_but_for_mondays_and_waits_long_enough():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert "schedule" in workflow[True]  # "on" is YAML for true
    (job,) = workflow["jobs"].values()
    assert job["env"]["L2G_LOCKED"] == "${{ github.event_name != 'schedule' && '1' || '' }}"
    assert job["timeout-minutes"] > 60


def test_the_development_container_builds_the_book():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    name, version = container["image"].split(":")
    assert name == "python"
    assert Requirement("python" + PROJECT["requires-python"]).specifier.contains(version)
    assert container["postCreateCommand"] == "make book"


def test_the_changelog_knows_this_version_and_what_comes_next():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", text, re.MULTILINE)
    assert len(headings) == text.count("\n## ")
    names, dates = zip(*headings, strict=True)
    assert names[:2] == ("Unreleased", PROJECT["version"])
    assert dates[0] == ""
    assert all(dates[1:])
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert dates[1] == str(citation["date-released"])


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "STYLE.md"])
def test_links_between_files_lead_somewhere(name):
    text = re.sub(r"```.*?```|`[^`\n]+`", "", (ROOT / name).read_text(), flags=re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
