"""Mends what the HTML of MyST-NB, Sphinx and docutils tells assistive technology."""

import re
from typing import Any

from sphinx.application import Sphinx

# A list of parameters in a signature: definitions without terms.
PARAMETERS = re.compile(r"<dl>(\s*(?:<dd><em class=\"sig-param\">.*?</dd>\s*)+)</dl>", re.DOTALL)
MENDED = {
    # All folds are labelled alike, which hides "Show the solution".
    ' aria-label="Toggle hidden content"': "",
    # The works in it have roles that no list may hold.
    '<div role="list" class="citation-list">': '<div class="citation-list">',
}


def mend(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    if "body" in context:
        for wrong, right in MENDED.items():
            context["body"] = context["body"].replace(wrong, right)
        context["body"] = PARAMETERS.sub(parameters, context["body"])


def parameters(found: re.Match[str]) -> str:
    lines = found[1].replace("<dd>", '<span class="l2g-parameter">').replace("</dd>", "</span>")
    return f"<span>{lines}</span>"


def setup(app: Sphinx) -> None:
    app.connect("html-page-context", mend)
