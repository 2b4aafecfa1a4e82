"""The reference of the package: signatures and docstrings, read from the source, nothing executed.

```{api} losses
:only: softmax, cross_entropy
```

Docstrings are Markdown with Google's sections. What a module shows is what is public in it: classes
and functions with a docstring and without an underscore, or those that `only` names.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.docutils import SphinxDirective

from .project import ROOT, git_ref, repository_url

PACKAGE = ROOT / "src/l2g"
SECTIONS = {"Args": "Arguments", "Attributes": "Attributes", "Returns": "Returns"}
SECTIONS |= {"Yields": "Yields", "Raises": "Raises"}
Public = ast.FunctionDef | ast.ClassDef


def source(module: str) -> Path:
    """Returns the file of a module such as `losses` or `layers.dropout`.

    Raises:
        ValueError: the package has no such module.
    """
    path = PACKAGE / module.replace(".", "/")
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return file
    raise ValueError(f"the package l2g has no module {module!r}")


def public(tree: ast.Module | ast.ClassDef) -> list[Public]:
    """Returns what is documented and has no underscore, in the order of the source."""
    found = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    return [n for n in found if not n.name.startswith("_") and docstring(n, tree)]


def docstring(node: Public, home: ast.Module | ast.ClassDef) -> str:
    """The docstring; a class without one takes that of its base in the same module."""
    if text := ast.get_docstring(node):
        return text
    bases = [base.id for base in getattr(node, "bases", []) if isinstance(base, ast.Name)]
    near = [n for n in home.body if isinstance(n, ast.ClassDef) and n.name in bases]
    return ast.get_docstring(near[0]) or "" if near else ""


class Api(SphinxDirective):
    """One module: where its source is, what it says of itself, and all that is public in it."""

    required_arguments = 1
    option_spec: ClassVar = {"only": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        module = self.arguments[0]
        try:
            path = source(module)
        except ValueError as error:
            raise self.error(str(error)) from error
        self.env.note_dependency(str(path))
        tree = ast.parse(path.read_text(encoding="utf-8"))
        shown = {node.name: node for node in public(tree)}
        if only := self.options.get("only"):
            names = [name.strip() for name in only.split(",")]
            if missing := set(names) - shown.keys():
                raise self.error(f"l2g.{module} documents no {', '.join(sorted(missing))}")
            shown = {name: shown[name] for name in names}
        address = f"{repository_url()}/blob/{git_ref()}/{path.relative_to(ROOT)}"
        lines = [f"{prose(ast.get_docstring(tree) or '')} [Source]({address})", ""]
        lines += [f"```{{py:currentmodule}} l2g.{module}", "```", ""]
        for node in shown.values():
            lines += [*described(node, tree, "`" * 5), ""]
        page = nodes.container(classes=["l2g-api"])
        self.state.nested_parse(StringList("\n".join(lines).split("\n"), module), 0, page)
        return [page]


def described(node: Public, home: ast.Module | ast.ClassDef, fence: str) -> Iterator[str]:
    """The directive that documents a function or a class, with the methods inside."""
    inside = isinstance(home, ast.ClassDef)
    kind = "class" if isinstance(node, ast.ClassDef) else "method" if inside else "function"
    decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
    if inside and "property" in decorators:
        kind = "property"
    yield f"{fence}{{py:{kind}}} {signature(node, kind)}"
    if "classmethod" in decorators:
        yield ":classmethod:"
    yield from ["", markdown(docstring(node, home))]
    if isinstance(node, ast.ClassDef):
        for method in public(node):
            yield from ["", *described(method, node, fence[:-1])]
    yield fence


def signature(node: Public, kind: str) -> str:
    """The name with its arguments, as the source has them."""
    if kind == "property":
        return node.name
    if isinstance(node, ast.FunctionDef):
        returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
        return f"{node.name}({arguments(node, bound=kind == 'method')}){returns}"
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and method.name == "__init__":
            return f"{node.name}({arguments(method, bound=True)})"
    shown = [field(n) for n in node.body if isinstance(n, ast.AnnAssign)]
    return f"{node.name}({', '.join(filter(None, shown))})" if any(shown) else node.name


def field(node: ast.AnnAssign) -> str:
    """A field of a dataclass or a named tuple as an argument; nothing if it is none."""
    options = {k.arg: k.value for k in getattr(node.value, "keywords", [])}
    if "init" in options:
        return ""
    if made := options.get("default_factory"):
        return f"{ast.unparse(node.target)}: {ast.unparse(node.annotation)} = {ast.unparse(made)}()"
    return ast.unparse(node)


def arguments(function: ast.FunctionDef, bound: bool) -> str:
    given = ast.unparse(function.args)
    return re.sub(r"^(self|cls)(, )?(/, )?", "", given) if bound else given


def prose(docstring: str) -> str:
    """The docstring of a module, in which double backticks are code, too."""
    return docstring.replace("``", "`")


def markdown(docstring: str) -> str:
    """Turns Google's sections into a bold word with a list of names below."""
    done: list[str] = []
    for block in re.split(r"\n\s*\n", prose(docstring)):
        head, _, body = block.partition("\n")
        title = SECTIONS.get(head.removesuffix(":")) if head.endswith(":") else None
        if title is None:
            done.append(block)
        elif title in {"Returns", "Yields"}:
            done.append(f"**{title}** {' '.join(body.split())}")
        else:
            done += [f"**{title}**", "\n".join(map(listed, items(body)))]
    return "\n\n".join(done)


def items(body: str) -> list[str]:
    """Joins the lines of each name of a section: those that are indented further go on."""
    lines = body.split("\n")
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    found: list[str] = []
    for line in lines:
        if line[indent : indent + 1].isspace() and found:
            found[-1] += f" {line.strip()}"
        elif line.strip():
            found.append(line.strip())
    return found


def listed(item: str) -> str:
    names, colon, text = item.partition(": ")
    if not colon:
        return f"- {item}"
    return f"- {', '.join(f'`{name.strip()}`' for name in names.split(','))}: {text}"


def describe_python(app: Sphinx, config: Config) -> None:
    """Short names, long signatures on several lines; types of PyTorch need no page of their own."""
    config.add_module_names = False
    config.python_maximum_signature_line_length = 68
    config.nitpick_ignore_regex = [*config.nitpick_ignore_regex, ("py:.*", ".*")]


def setup(app: Sphinx) -> None:
    app.add_directive("api", Api)
    app.connect("config-inited", describe_python)
