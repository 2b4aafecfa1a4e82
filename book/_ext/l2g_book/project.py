"""Where things are: the repository on disk, on GitHub, on the site and in Colab."""

import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
PLAN = ROOT / "book/course.yml"


def repository_url(root: Path = ROOT) -> str:
    """Returns the address in pyproject.toml's [project.urls], without a slash at its end.

    Raises:
        ValueError: the address is not of the form https://github.com/OWNER/REPO.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    url = str(project["urls"]["Repository"]).removesuffix("/")
    if not url.startswith("https://github.com/") or url.count("/") != 4:
        raise ValueError(
            f"pyproject.toml: Repository must be https://github.com/OWNER/REPO, got {url!r}"
        )
    return url


def repository_slug(root: Path = ROOT) -> str:
    """Returns "OWNER/REPO"."""
    return repository_url(root).removeprefix("https://github.com/")


def git_ref(root: Path = ROOT) -> str:
    """Returns what notebooks lead to and install: "main", or in a release its tag.

    A release says so in pyproject.toml, beside its version: [tool.l2g] ref = "v1.2.0".

    Raises:
        ValueError: the tag is not that of the version.
    """
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    ref = str(settings.get("tool", {}).get("l2g", {}).get("ref", "main"))
    tag = f"v{settings['project'].get('version')}"
    if ref not in ("main", tag):
        raise ValueError(f"pyproject.toml: ref must be 'main' or {tag!r}, got {ref!r}")
    return ref


def site_url(root: Path = ROOT) -> str:
    """Returns the address of the site on GitHub Pages, with a slash at its end."""
    owner, repo = repository_slug(root).split("/")
    return f"https://{owner}.github.io/{repo}/"


def colab_url(name: str, root: Path = ROOT) -> str:
    """Returns the address that opens chapters/{name}.ipynb in Colab."""
    place = f"{repository_slug(root)}/blob/{git_ref(root)}/chapters/{name}.ipynb"
    return f"https://colab.research.google.com/github/{place}"


def chapter_sources(root: Path = ROOT) -> list[Path]:
    """Returns the chapters' sources, book/NN_name.md, in the order of their numbers."""
    return sorted((root / "book").glob("[0-9][0-9]_*.md"))


def course(root: Path = ROOT) -> list[dict[str, Any]]:
    """Returns the parts of the plan, each with its chapters."""
    return yaml.safe_load((root / PLAN.relative_to(ROOT)).read_text(encoding="utf-8"))


def chapters(root: Path = ROOT) -> list[dict[str, Any]]:
    """Returns the chapters of the plan in their order, also those that do not stand yet."""
    return [chapter for part in course(root) for chapter in part["chapters"]]
