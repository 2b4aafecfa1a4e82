"""What a page depends on: the files of the package that its code imports, all the way down.

They are read off the syntax tree; nothing is executed. Three kinds of files are loaded by a name
that the page gives: a lazy name of the package itself, an exercise, and an explorable. Where the
tree cannot tell (`import *`, `importlib`, the bare name `l2g`), a page depends on everything.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

# What may import a module whose name the tree does not show.
UNSURE = {"import_module", "__import__", "run_module", "run_path", "reload", "exec", "eval"}
STARTERS = {"subprocess", "system", "popen", "get_ipython"}  # in a page: they start programs


class Unsure(Exception):
    """The syntax tree cannot tell what is imported."""


class Package:
    """The package in a folder, with the records that its study reads.

    Args:
        folder: where the package lies, such as src/l2g.
        records: the folder of the studies' JSON and NumPy files.
    """

    def __init__(self, folder: Path, records: Path) -> None:
        self.folder, self.records, self.name = folder, records, folder.name
        self.reads: dict[str, set[str]] = {}  # module to the modules that it imports

    @cached_property
    def everything(self) -> set[Path]:
        found = {path for path in self.folder.rglob("*") if path.is_file()}
        return {path for path in found if path.suffix != ".pyc"} | self.recorded

    @cached_property
    def recorded(self) -> set[Path]:
        return {p for p in self.records.rglob("*") if p.suffix in {".json", ".npz"}}

    def files(self, cells: Iterable[str]) -> set[Path]:
        """Returns every file that the results of these code cells depend on."""
        try:
            tree = ast.parse("\n".join(cells))
            names = self.imported(tree, "", UNSURE | STARTERS)
            modules = self.reached(names)
            if f"{self.name}.exercises" in modules:
                modules |= self.reached(self.exercises(tree))
        except (SyntaxError, Unsure):  # a magic of IPython is no Python
            return self.everything
        files = {path for name in modules if (path := self.file(name))}
        if f"{self.name}.explore" in modules:
            files |= self.explorables(tree)
        if any(name.startswith(f"{self.name}.study") for name in modules):
            files |= self.recorded
        return files

    def reached(self, names: set[str]) -> set[str]:
        """Returns these modules, the packages that they lie in, and all that those import."""
        found: set[str] = set()
        waiting = set(names)
        while waiting:
            name = waiting.pop()
            if name not in found and self.file(name):
                found.add(name)
                waiting |= {name.rpartition(".")[0]} | self.imports_of(name)
        return found

    def imports_of(self, module: str) -> set[str]:
        if module not in self.reads:
            # These two load by name what `files` finds by the names that the page gives.
            known = {self.name, f"{self.name}.exercises"}
            unsure = UNSURE - {"import_module"} if module in known else UNSURE
            path = self.file(module)
            assert path
            tree = ast.parse(path.read_bytes())
            self.reads[module] = self.imported(tree, self.parent(module, path), unsure)
        return self.reads[module]

    def file(self, module: str) -> Path | None:
        """Returns the file of a module, or None if that is no module of the package."""
        first, *rest = module.split(".")
        path = self.folder.joinpath(*rest)
        places = (path.with_name(f"{path.name}.py"), path / "__init__.py")
        return next((p for p in places if first == self.name and p.is_file()), None)

    def parent(self, module: str, path: Path) -> str:
        """Returns the package from which a module's relative imports start."""
        return module if path.name == "__init__.py" else module.rpartition(".")[0]

    def imported(self, tree: ast.AST, parent: str, unsure: set[str]) -> set[str]:
        """Returns the modules of the package that this code names in its imports.

        Raises:
            Unsure: it uses one of the names `unsure`, or the package's own name.
        """
        found: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and node.id in unsure:
                raise Unsure(node.id)
            if isinstance(node, ast.Attribute) and node.attr in unsure - {"exec", "eval"}:
                raise Unsure(node.attr)  # eval() of a network is another one
            if isinstance(node, ast.Import):
                found |= {name for name in map(self.plain, node.names) if name}
            elif isinstance(node, ast.ImportFrom):
                found |= set(self.chosen(node, parent, unsure))
            if isinstance(node, ast.alias) and node.name in unsure:
                raise Unsure(node.name)
        return found

    def plain(self, alias: ast.alias) -> str:
        """`import l2g.optim as o` names one module; `import l2g.optim` binds the whole package."""
        if alias.name.split(".")[0] != self.name:
            return ""
        if alias.name == self.name or not alias.asname:
            raise Unsure(alias.name)
        return alias.name

    def chosen(self, node: ast.ImportFrom, parent: str, unsure: set[str]) -> Iterator[str]:
        """The modules that `from l2g.layers import dropout, mask` names: mask is in l2g.layers."""
        above = parent.rsplit(".", node.level - 1)[0] if node.level else ""
        base = ".".join(filter(None, [above, node.module]))
        if base.split(".")[0] != self.name:
            return
        for alias in node.names:
            inside = f"{base}.{alias.name}"
            if alias.name == "*":
                raise Unsure(inside)
            if self.file(inside):
                yield inside
            elif base != self.name:
                yield base
            elif alias.name in self.homes:
                yield f"{base}.{self.homes[alias.name]}"
            else:
                raise Unsure(inside)

    @cached_property
    def homes(self) -> dict[str, str]:
        """The package's lazy names, each with its module, as its __init__ lists them."""
        tree = ast.parse((self.folder / "__init__.py").read_bytes())
        homes: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Dict) and {*map(type, node.keys)} == {ast.Constant}:
                homes |= ast.literal_eval(node)
        return homes

    def exercises(self, tree: ast.AST) -> set[str]:
        """Returns the modules of the exercises that the code checks, or of all."""
        names = literals(tree, "check")
        found = {stem for stem, known in self.exercise_names.items() if known & names}
        if not names or not names <= set().union(*(self.exercise_names[stem] for stem in found)):
            found = set(self.exercise_names)
        return {f"{self.name}.exercises.{stem}" for stem in found}

    @cached_property
    def exercise_names(self) -> dict[str, set[str]]:
        """The strings in each module of exercises; the exercises' names are among them."""
        paths = (self.folder / "exercises").glob("ch*.py")
        return {path.stem: strings(ast.parse(path.read_bytes())) for path in paths}

    def explorables(self, tree: ast.AST) -> set[Path]:
        """Returns the pages of the explorables that the code shows, or of all."""
        if not mentions(tree, "Explorable"):
            return set()  # a live lab alone
        folder = self.folder / "explorables"
        paths = [folder / f"{name}.html" for name in literals(tree, "Explorable")]
        if not paths or not all(path.is_file() for path in paths):
            return set(folder.glob("*.html"))
        return {*paths, folder / "_frame.html"}


def literals(tree: ast.AST, function: str) -> set[str]:
    """Returns the first arguments of all calls of a function; nothing if one is no plain string."""
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and called(n) == function]
    firsts = [call.args[0] if call.args else None for call in calls]
    texts = {n.value for n in firsts if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    plain = len(calls) == mentions(tree, function)
    return texts if plain and all(isinstance(n, ast.Constant) for n in firsts) else set()


def called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def mentions(tree: ast.AST, name: str) -> int:
    """Counts the uses of a name, also as an attribute, and the imports that rename it."""
    nodes = list(ast.walk(tree))
    renamed = [n for n in nodes if isinstance(n, ast.alias) and n.name == name and n.asname]
    uses = [n for n in nodes if getattr(n, "id", getattr(n, "attr", None)) == name]
    return len(uses) + len(renamed)


def strings(tree: ast.AST) -> set[str]:
    nodes = (n for n in ast.walk(tree) if isinstance(n, ast.Constant))
    return {node.value for node in nodes if isinstance(node.value, str)}


def digest(files: Iterable[Path], root: Path) -> str:
    """Returns one hash of the paths below `root` and the bytes of these files."""
    whole = hashlib.sha256()
    for path in sorted(files):
        whole.update(f"{path.relative_to(root)}\0".encode())
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()
