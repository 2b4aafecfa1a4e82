"""Keeps from the reader's line what no page shows: unused rules and glyphs, invisible digits.

The theme brings all of Bootstrap, all icons of Font Awesome and the search index to every page,
a megabyte of it. What the pages use is a twentieth. All this relies on how the theme is made: with
`l2g_lean: false` in _config.yml, the pages are as the theme makes them, only heavier.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from docutils import nodes
from fontTools import subset  # type: ignore[import-untyped]
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.images import get_image_size

from .figures import twin_of

HERE = Path(__file__).parent
UNUSED = ["sphinx-design", "design-tabs", "DOCUMENTATION_OPTIONS."]
UNUSED += ["togglebutton", "toggleHint", "toggleOpenOnPrint"]  # all folds are <details>

TOKEN = re.compile(r"""/\*.*?\*/|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[{};]""", re.DOTALL)
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
LICENCE = re.compile(r"/\*!.*?\*/", re.DOTALL)
ARGUMENT = re.compile(r"\([^()]*\)|\[[^\]]*\]")
CLASS = re.compile(r"[.#]((?:[\w-]|\\.)+)")
GROUPS = ("@media", "@supports", "@layer", "@container")
WEBFONT = re.compile(r'/([\w-]+)\.woff2\) format\("woff2"\)(?:,url\([^)]*\) format\("truetype"\))?')
UNSEEN = re.compile(r"<metadata>.*?</metadata>|<!--.*?-->", re.DOTALL)
NUMBER = re.compile(r"(?:scale|matrix|rotate)\([^)]*\)|(\d+\.\d{3,}(?:e-?\d+)?)")
UNCOLOURED = re.compile(r'<span class="[npw]">([^<]*)</span>')
SCRIPT = re.compile(r'<script[^>]* src="([^"?]+)')
FIGURE = re.compile(r'src="(_images/[^"]+)"')


# ---- scripts and style sheets


def load_what_is_needed(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Drops files that the page has no use for, and lets no script hold up its first picture.

    Names and punctuation in code have the colour of all text: they need no element each.
    """
    if "body" in context:
        context["body"] = UNCOLOURED.sub(r"\1", context["body"])
    unused = UNUSED if 'class="tex"' in context.get("body", "") else [*UNUSED, "katex"]
    for files in ("script_files", "css_files"):
        context[files] = [
            file
            for file in context[files]
            if not any(name in f"{file.filename} {file.attributes}" for name in unused)
        ]
    if page != "search":  # whose own scripts need the others at once
        context["script_files"] = [deferred(script) for script in context["script_files"]]


def deferred(script: Any) -> Any:
    """Returns a copy, for all pages share their scripts; one without a file cannot be deferred."""
    if not script.filename:
        return script
    attributes = {"defer": "defer", **script.attributes}
    return type(script)(script.filename, priority=script.priority, **attributes)


def words(folder: Path) -> set[str]:
    """Returns every word of all pages and their scripts; any other class is not used."""
    texts: dict[Path, str] = {}
    for path in set(folder.rglob("*.html")) - set((folder / "_static").rglob("*.html")):
        texts[path] = path.read_text(encoding="utf-8")
        for src in SCRIPT.findall(texts[path]):
            script = (path.parent / src).resolve()
            texts.setdefault(script, script.read_text(encoding="utf-8"))
    return set().union(*(re.findall(r"[\w-]+", text) for text in texts.values()))


def prune(css: str, used: set[str]) -> str:
    """Returns the rules of a style sheet that can apply where only the classes `used` occur."""
    return "".join(
        rule if body is None else pruned_rule(rule, body, used) for rule, body in rules(css)
    )


def rules(css: str) -> Iterator[tuple[str, str | None]]:
    """Splits a style sheet into (selector, body) and, without a body, what ends in a semicolon."""
    start = depth = opened = 0
    for token in TOKEN.finditer(css):
        if token[0] == "{":
            opened = opened if depth else token.start()
            depth += 1
        elif token[0] == "}":
            depth -= 1
            if not depth:
                yield css[start:opened], css[opened + 1 : token.start()]
                start = token.end()
        elif token[0] == ";" and not depth:
            yield css[start : token.end()], None
            start = token.end()


def pruned_rule(selector: str, body: str, used: set[str]) -> str:
    licence = "".join(LICENCE.findall(selector))
    selector = COMMENT.sub("", selector).strip()
    if selector.startswith(GROUPS):
        body = prune(body, used)
        return f"{licence}{selector}{{{body}}}" if body else licence
    applies = selector.startswith("@") or any(
        names(part) <= used for part in ARGUMENT.sub("", ARGUMENT.sub("", selector)).split(",")
    )
    return f"{licence}{selector}{{{body}}}" if applies else licence


def names(selector: str) -> set[str]:
    """Returns the classes and ids that an element needs, but for those in :is() and :not()."""
    return {re.sub(r"\\(.)", r"\1", name) for name in CLASS.findall(selector)}


def cut_glyphs(fonts: Path, used: set[int]) -> None:
    """Writes NAME.woff with the characters `used` for each NAME.ttf in a folder."""
    for path in fonts.glob("*.ttf"):
        options = subset.Options(flavor="woff", layout_features=[], notdef_outline=True)
        font = subset.load_font(str(path), options)
        subsetter = subset.Subsetter(options)
        subsetter.populate(unicodes=used)
        subsetter.subset(font)
        subset.save_font(font, str(path.with_suffix(".woff")), options)


def make_lean(app: Sphinx, error: Exception | None) -> None:
    """Cuts the theme's style sheets and icons down to what the finished pages use."""
    if error or app.builder.name != "html":
        return
    static = Path(app.outdir) / "_static"
    used, glyphs = words(Path(app.outdir)), set[int]()
    for path in set(static.rglob("*.css")) - set(static.glob("katex/*")):  # it composes its names
        css = prune(path.read_text(encoding="utf-8"), used)
        glyphs |= {int(code, 16) for code in re.findall(r"\\([0-9a-f]{2,4})\b", css)}
        glyphs |= {ord(character) for character in css if not character.isascii()}
        path.write_text(WEBFONT.sub(r'/\1.woff) format("woff")', css), encoding="utf-8")
    cut_glyphs(static / "vendor/fontawesome/webfonts", glyphs)


# ---- figures


def slim_figures(app: Sphinx, doctree: nodes.document) -> None:
    """Figures load when the reader comes near; an SVG keeps two digits, 0.01 points."""
    for image in doctree.findall(nodes.image):
        image["loading"] = "lazy"
        path = Path(app.srcdir) / image["uri"]
        for file in (path, twin_of(path)):
            if file.suffix == ".svg" and file.is_file():
                svg = UNSEEN.sub("", file.read_text(encoding="utf-8"))
                svg = NUMBER.sub(rounded, re.sub(r"\s*\n\s*", " ", svg))
                file.write_text(svg, encoding="utf-8")


def rounded(number: re.Match[str]) -> str:
    if not number[1]:
        return number[0]
    return f"{float(number[1]):.2f}".rstrip("0").rstrip(".")


def reserve_room(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """A figure that loads late must not push the text that is being read."""
    sources = {f"_images/{name}": path for path, (_, name) in app.env.images.items()}

    def sized(src: re.Match[str]) -> str:
        path = sources.get(unquote(src[1]))
        size = get_image_size(str(Path(app.srcdir) / path)) if path else None
        return f'{src[0]} width="{size[0]}" height="{size[1]}"' if size else src[0]

    if "body" in context:
        context["body"] = FIGURE.sub(sized, context["body"])


def start(app: Sphinx, config: Config) -> None:
    if not config.l2g_lean:
        return
    config.templates_path = [*config.templates_path, str(HERE / "templates/lean")]
    app.add_js_file("menus.js", loading_method="defer")
    app.connect("doctree-read", slim_figures)
    app.connect("html-page-context", reserve_room)
    app.connect("html-page-context", load_what_is_needed, priority=850)
    app.connect("build-finished", make_lean, priority=800)  # when all others have written theirs


def setup(app: Sphinx) -> None:
    app.add_config_value("l2g_lean", True, "env", bool)
    app.connect("config-inited", start)
