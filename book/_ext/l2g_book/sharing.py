"""How the site appears elsewhere: its address, previews of pages, what is not found, and paper."""

import html
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

from .project import chapters, site_url

HERE = Path(__file__).parent
PREVIEW = "_static/preview.png"


def announce(app: Sphinx, config: Config) -> None:
    config.html_baseurl = site_url()  # each page names its canonical address
    config.templates_path = [*config.templates_path, str(HERE / "templates")]
    config.html_static_path = [*config.html_static_path, str(HERE / "static")]
    config.html_additional_pages = {**config.html_additional_pages, "404": "404.html"}
    config.html_context = {**config.html_context, "site": site_url()}


def describe(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Adds what search engines and messengers show of a page (ogp.me)."""
    if doctree is None:
        return
    title, site = context["title"], "Learning to Generalize"
    properties = {
        "og:type": "article",
        "og:site_name": site,
        "og:title": title if title == site else f"{title} · {site}",
        "og:description": description(page, doctree),
        "og:url": f"{site_url()}{page}.html",
        "og:image": f"{site_url()}{PREVIEW}",
    }
    tags = [f'<meta property="{k}" content="{html.escape(v)}">' for k, v in properties.items()]
    tags.append(f'<meta name="description" content="{html.escape(properties["og:description"])}">')
    tags.append('<meta name="twitter:card" content="summary_large_image">')
    context["metatags"] = context.get("metatags", "") + "\n".join(tags)


def description(page: str, doctree: nodes.document) -> str:
    """The question of a chapter; of any other page, how it begins."""
    questions = {chapter["name"]: chapter["question"] for chapter in chapters()}
    if page in questions:
        return questions[page]
    first = next(iter(doctree.findall(nodes.paragraph)), nodes.paragraph())
    return " ".join(first.astext().split())[:300]


def draw_preview(app: Sphinx, error: Exception | None) -> None:
    """1200×630 pixels: a polynomial through every point, and the curve behind the points."""
    path = Path(app.outdir) / PREVIEW
    drawn = path.exists() and path.stat().st_mtime > Path(__file__).stat().st_mtime
    if error or app.builder.name != "html" or drawn:
        return
    import numpy as np
    from matplotlib.figure import Figure

    from l2g.plots import COLOURS

    figure = Figure(figsize=(12, 6.3), dpi=100, facecolor="white")
    ax = figure.add_axes((0.05, 0.08, 0.9, 0.52))
    x, fine = np.linspace(-1, 1, 12), np.linspace(-1, 1, 500)
    y = np.sin(np.pi * x) + 0.3 * np.random.default_rng(4).standard_normal(len(x))
    through_all = np.polynomial.Polynomial.fit(x, y, len(x) - 1)
    ax.plot(fine, through_all(fine), color=COLOURS[1], linewidth=3, linestyle="--")
    ax.plot(fine, np.sin(np.pi * fine), color=COLOURS[0], linewidth=4)
    ax.plot(x, y, "o", color="black", markersize=11)
    ax.set(ylim=(-2, 2))
    ax.axis("off")
    figure.text(0.05, 0.82, "Learning to Generalize", fontsize=52, weight="bold")
    line = "An executable course: predict, run, judge. Every claim is checked by the build."
    figure.text(0.05, 0.72, line, fontsize=21, color="#374151")
    figure.savefig(path, metadata={"Software": None}, pil_kwargs={"optimize": True})


def setup(app: Sphinx) -> None:
    app.add_js_file("print.js", loading_method="defer")
    app.add_js_file("scroll.js", loading_method="defer")
    app.connect("config-inited", announce)
    app.connect("html-page-context", describe)
    app.connect("build-finished", draw_preview)
