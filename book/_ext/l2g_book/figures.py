"""Figures as the screen needs them: on a phone the twin that `l2g.plots` has drawn for it.

`l2g.plots` puts the twin into a comment of the figure's SVG, and a class on those figures whose
colours must stay in dark mode.
"""

import re
import zlib
from base64 import b64decode
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.images import get_image_size

PHONE = "(max-width: 576px)"
TWIN = re.compile(r"<!--l2g-phone (\S+)-->")
CLASS = re.compile(r'<svg class="([^"]+)"')
IMAGE = re.compile(r'<img [^>]*src="([^"]*_images/([^"/]+)\.svg)"[^>]*/?>')


def take_out(app: Sphinx, doctree: nodes.document) -> None:
    """Writes each twin into a file beside its figure, and hands the figure's class on to the page.

    A page that is read again finds the files of the last time: then there is nothing to take out.
    """
    for image in doctree.findall(nodes.image):
        path = Path(app.srcdir) / image["uri"]
        if path.suffix != ".svg" or not path.is_file():
            continue
        svg = path.read_text(encoding="utf-8")
        if found := CLASS.search(svg):
            image["classes"].append(found[1])
        if twin := TWIN.search(svg):
            inside = zlib.decompress(b64decode(twin[1])).decode()
            twin_of(path).write_text(inside, encoding="utf-8")
            path.write_text(TWIN.sub("", svg), encoding="utf-8")


def twin_of(path: Path) -> Path:
    return path.with_name(f"{path.stem}-phone.svg")


def offer_twins(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Lets the browser choose the twin where the screen is narrow."""
    sources = {name: Path(app.srcdir, path) for path, (_, name) in app.env.images.items()}

    def picture(image: re.Match[str]) -> str:
        twin = twin_of(sources.get(unquote(f"{image[2]}.svg"), Path()))
        if not twin.is_file():
            return image[0]
        folder = Path(app.outdir) / "_images"
        folder.mkdir(exist_ok=True)
        (folder / twin.name).write_bytes(twin.read_bytes())
        width, height = get_image_size(str(twin)) or (0, 0)
        source = image[1].replace(f"{image[2]}.svg", twin.name)
        size = f'width="{width}" height="{height}"'
        return f'<picture><source media="{PHONE}" srcset="{source}" {size}>{image[0]}</picture>'

    if "body" in context:
        context["body"] = IMAGE.sub(picture, context["body"])


def setup(app: Sphinx) -> None:
    app.connect("doctree-read", take_out)  # before comments are cut from the figures, see lean
    app.connect("html-page-context", offer_twins, priority=600)  # after figures have their size
