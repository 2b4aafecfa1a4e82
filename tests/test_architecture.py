"""The shape of the package: its layers, its size, and what importing it costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "l2g"

# The layers of the package, from the ground up: a room may import rooms of lower layers only, and
# within a layer none imports another. So there is no circle. Lazy imports in functions count, too.
LAYERS = [
    {"describe", "files", "numbers", "tables"},
    {"losses", "metrics", "optim", "penalties"},
    {"cache", "evidence", "exercises", "history", "labs", "layers", "models"}
    | {"photographs", "resampling", "transforms"},
    {"checkpoint", "data", "ensembles", "explore", "grade", "plots", "progress"},
    {"checks"},
    {"evaluation", "range_test", "schedules"},
    {"training"},
    {"population", "study"},
]
ROOMS = set().union(*LAYERS)


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
    return (found & ROOMS) - {room(path)}


@pytest.mark.parametrize("height", range(len(LAYERS)))
def test_a_room_imports_lower_layers_only(height):
    below = set().union(*LAYERS[:height])
    for path in SOURCE.rglob("*.py"):
        if path != SOURCE / "__init__.py" and room(path) in LAYERS[height]:
            assert imported_rooms(path) <= below, path


def test_every_room_has_its_layer():
    assert {room(path) for path in SOURCE.rglob("*.py")} - {"__init__"} == ROOMS
    assert sum(map(len, LAYERS)) == len(ROOMS)


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: p.stem)
def test_modules_and_functions_stay_short(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
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
