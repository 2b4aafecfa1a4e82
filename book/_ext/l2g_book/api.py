"""The reference of the package, by Sphinx's autodoc: signatures and docstrings as they run.

```{api} losses
:only: softmax, cross_entropy
```

Docstrings have Google's sections, and single backticks around code. What a module shows is what is
public in it: classes and functions with a docstring of their own and without an underscore, or
those that `only` names.
"""

import importlib
import re
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.docutils import SphinxDirective

from .project import git_ref, repository_url

CODE = re.compile(r"(`+[^`]+`+)")
FIELD = "Alias for field number"  # what Python says of each field of a named tuple


class Api(SphinxDirective):
    """One module: what it says of itself, where its source is, and all that is public in it."""

    required_arguments = 1
    option_spec: ClassVar = {"only": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        module, only = self.arguments[0], self.options.get("only", "")
        self.refuse_unknown(module, [name.strip() for name in only.split(",") if name])
        members = f"   :members: {only}".rstrip()
        lines = ["```{eval-rst}", f".. automodule:: l2g.{module}", members, "```"]
        page = nodes.container(classes=["l2g-api"])
        self.state.nested_parse(StringList(lines, module), self.content_offset, page)
        return [page]

    def refuse_unknown(self, module: str, names: list[str]) -> None:
        """Stops at a module or a name that is not there; autodoc's own words are less clear."""
        try:
            found = importlib.import_module(f"l2g.{module}")
        except ModuleNotFoundError as error:
            raise self.error(f"the package l2g has no module {module!r}") from error
        if missing := [name for name in names if not hasattr(found, name)]:
            raise self.error(f"l2g.{module} documents no {', '.join(missing)}")


def complete_docstring(
    app: Sphinx, what: str, name: str, found: Any, options: Any, lines: list[str]
) -> None:
    """Absolute values are no substitutions of reStructuredText; a module leads to its source."""
    for number, line in enumerate(lines):
        parts = CODE.split(line)
        parts[::2] = [part.replace("|", r"\|") for part in parts[::2]]
        lines[number] = "".join(parts)
    if what == "module":
        path = name.replace(".", "/") + ("/__init__" if hasattr(found, "__path__") else "")
        address = f"{repository_url()}/blob/{git_ref()}/src/{path}.py"
        lines += ["", f"`Source <{address}>`__", ""]


def readable_signature(
    app: Sphinx, what: str, name: str, found: Any, options: Any, given: str, returns: str
) -> tuple[str, str]:
    """A dataclass makes some defaults anew each time; "<factory>" is not Python."""
    return given and given.replace("<factory>", "..."), returns


def skip_fields(
    app: Sphinx, what: str, name: str, found: Any, skip: bool, options: Any
) -> bool | None:
    """A named tuple's docstring has told of its fields."""
    return True if str(getattr(found, "__doc__", "")).startswith(FIELD) else None


def describe_python(app: Sphinx, config: Config) -> None:
    """Short names, long signatures on several lines; types of PyTorch need no page of their own."""
    config.add_module_names = False
    config.html_domain_indices = False
    config.python_maximum_signature_line_length = 68
    config.nitpick_ignore_regex = [*config.nitpick_ignore_regex, ("py:.*", ".*")]
    config.default_role = "code"
    config.autodoc_member_order = "bysource"
    config.autodoc_inherit_docstrings = False
    config.autodoc_preserve_defaults = True
    config.autodoc_typehints_format = "short"
    config.napoleon_use_param = config.napoleon_use_rtype = False
    config.napoleon_use_ivar = True


def setup(app: Sphinx) -> None:
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.napoleon")
    app.add_directive("api", Api)
    app.connect("config-inited", describe_python)
    app.connect("autodoc-process-docstring", complete_docstring, priority=600)  # after napoleon
    app.connect("autodoc-process-signature", readable_signature)
    app.connect("autodoc-skip-member", skip_fields)
