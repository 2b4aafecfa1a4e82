"""The shape of the package: its import arrows, its size, and what importing it costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "l2g"

# Exactly these arrows between the rooms of the package; lazy imports inside functions included.
ARROWS = {
    "checkpoint": {"history"},
    "checks": {"data", "history"},
    "data": set(),
    "ensembles": set(),
    "evidence": {"exercises"},
    "exercises": set(),
    "explore": set(),
    "history": set(),
    "layers": {"checks"},
    "losses": set(),
    "metrics": set(),
    "models": set(),
    "optim": set(),
    "pace": {"checkpoint", "checks", "data", "losses", "plots", "schedules"},
    "penalties": set(),
    "plots": {"history"},
    "population": {
        "checkpoint",
        "checks",
        "data",
        "history",
        "losses",
        "pace",
        "runs",
        "stack",
        "training",
    },
    "resampling": set(),
    "schedules": {"checks"},
    "runs": {"checkpoint", "checks", "data", "history", "training"},
    "stack": {"checkpoint", "data", "optim", "pace", "runs", "training"},
    "study": {
        "checkpoint",
        "data",
        "history",
        "metrics",
        "models",
        "training",
        "transforms",
    },
    "training": {"checkpoint", "checks", "data", "history", "losses", "metrics", "pace"},
    "transforms": {"losses"},
}


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    found = set()
    package = ("l2g", *path.relative_to(SOURCE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{prefix}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {parts[1] for n in names if (parts := n.split("."))[0] == "l2g" and parts[1:]}
    return {name for name in found if name in ARROWS} - {room(path)}


def test_import_arrows_are_exactly_these():
    found: dict[str, set[str]] = {}
    for path in SOURCE.rglob("*.py"):
        if path != SOURCE / "__init__.py":
            found.setdefault(room(path), set()).update(imported_rooms(path))
    assert found == ARROWS


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: p.stem)
def test_modules_and_functions_stay_short(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 320
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            assert node.end_lineno - first.lineno < 40, f"{node.name} is too long"


def test_heavy_libraries_load_when_first_used():
    code = (
        "import sys, l2g, l2g.data, l2g.models, l2g.training, l2g.evidence, l2g.explore;"
        "heavy = {'torchvision', 'sklearn', 'scipy', 'matplotlib', 'IPython', 'tqdm'};"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    # torch itself may bring tqdm along.
    allowed = subprocess.run(
        [sys.executable, "-c", "import sys, torch, numpy; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(result.stdout.split()) <= set(allowed.stdout.split())
