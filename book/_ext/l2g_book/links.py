"""What a page refers to: its notebook, the repository, and nothing on any other host."""

import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError

from .project import ROOT, colab_url, git_ref, repository_url


def set_repository(app: Sphinx, config: Config) -> None:
    config.html_theme_options |= {
        "repository_url": repository_url(),
        "repository_branch": git_ref(),
        "use_repository_button": True,
        "use_issues_button": True,
    }


def lead_to_notebook(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Point Colab and the download at the generated notebook, where the page has one."""
    notebook = ROOT / "chapters" / f"{page}.ipynb"
    if not notebook.exists():
        context["header_buttons"] = [
            button for button in context.get("header_buttons", []) if not runs_notebook(button)
        ]
        return
    shutil.copyfile(notebook, Path(app.outdir) / "_sources" / notebook.name)
    for button in walk(context["header_buttons"]):
        if button.get("text") == "Colab":
            button["url"] = colab_url(page)
            button["icon"] = "fas fa-play"  # the logo weighs more than the menu it stands in
            button["tooltip"] = "Run this chapter in Colab"
    context["body"] = context["body"].replace('href="#in-colab"', f'href="{colab_url(page)}"')


def runs_notebook(button: dict[str, Any]) -> bool:
    return any(b.get("text") in ("Colab", ".ipynb") for b in walk([button]))


def drop_thebe(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Jupyter Book brings it, from another host, to pages that have no button for it."""
    for files in ("script_files", "css_files"):
        context[files] = [
            f for f in context[files] if "thebe" not in f"{f.filename} {f.attributes}"
        ]


def stay_on_this_host(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Stop at any file from another host."""
    for file in [*context["script_files"], *context["css_files"]]:
        if str(getattr(file, "filename", file)).startswith(("http:", "https:", "//")):
            raise ExtensionError(f"{page} would load {file.filename} from another host")


def walk(buttons: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [b for button in buttons for b in (button, *walk(button.get("buttons", [])))]


def setup(app: Sphinx) -> None:
    app.connect("config-inited", set_repository)
    app.connect("html-page-context", lead_to_notebook, priority=900)
    app.connect("html-page-context", drop_thebe, priority=850)
    app.connect("html-page-context", stay_on_this_host, priority=900)
