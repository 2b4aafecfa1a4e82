"""Predictions and beliefs: asked in the text, closed by what the page's cells print.

:::{predict} start-loss
How large is the loss before training, with 100 classes?

- about 0
- about 5
- about 100
:::

A cell closes it by `answer("start-loss", ...)`. A belief stands in quotation marks, followed by a
question; `verdict("sigmoid", ...)` closes it:

:::{belief} sigmoid
“A sigmoid before cross-entropy makes the outputs proper.”

How low can the loss then go?

- as low as before
- not below 3 nats
:::

A reader taps an option; the browser remembers it, and repeats it beside the answer (questions.js).
"""

import html
import re
from collections import Counter
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective
from sphinx.writers.html5 import HTML5Translator

from .ledger import records
from .source import NAME

QUOTED = re.compile(r"“.+”", re.DOTALL)
CLOSED_BY = {"predict": "answer", "belief": "verdict"}


class choices(nodes.General, nodes.Element):
    """What the reader may choose from."""


class choice(nodes.General, nodes.Element):
    """One of them; its children are its text."""


class Question(SphinxDirective):
    """A box with a question and, if the list of options is there, one choice for each."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        if not NAME.fullmatch(name):
            raise self.error(f"a name is made of a-z, 0-9 and single hyphens, got {name!r}")
        box = nodes.admonition("", nodes.title("", self.name.capitalize()), question=name)
        box["classes"] += [self.name, "l2g-question"]
        box["ids"].append(f"{self.name}-{name}")
        self.set_source_info(box)
        self.state.nested_parse(self.content, self.content_offset, box)
        if isinstance(box.children[-1], nodes.bullet_list):
            box.children[-1].replace_self(self.parse_options(box.children[-1], name))
        elif len(box.children) == 1:
            raise self.error(f"{{{self.name}}} {name} asks nothing")
        if self.name == "belief":
            self.mark_belief(box.children[1])
        return [box]

    def parse_options(self, listed: nodes.bullet_list, name: str) -> choices:
        paragraphs = [item.children for item in listed.children]
        if len(paragraphs) < 2 or any(len(parts) != 1 for parts in paragraphs):
            raise self.error(f"{{{self.name}}} {name} has two options or more, a paragraph each")
        return choices("", *[choice("", *parts[0].children, question=name) for parts in paragraphs])

    def mark_belief(self, first: nodes.Element) -> None:
        if not isinstance(first, nodes.paragraph) or not QUOTED.fullmatch(first.astext()):
            raise self.error("a belief starts with a paragraph in quotation marks: “...”")
        first["classes"].append("l2g-belief")


def visit_choices(self: HTML5Translator, node: choices) -> None:
    group = '<div role="radiogroup" aria-label="What do you say?">'
    self.body.append(f'{group}<ul class="l2g-options">\n')


def depart_choices(self: HTML5Translator, node: choices) -> None:
    first, then = "Choose before you read on.", "Noted. The answer comes further down."
    self.body.append(f'</ul></div>\n<p class="l2g-hint">{first}</p>')
    self.body.append(f'<p class="l2g-hint l2g-noted">{then}</p>\n')


def visit_choice(self: HTML5Translator, node: choice) -> None:
    text = html.escape(" ".join(node.astext().split()))
    radio = f'<input type="radio" name="{node["question"]}" value="{text}" autocomplete="off">'
    self.body.append(f"<li><label>{radio}<span>")


def depart_choice(self: HTML5Translator, node: choice) -> None:
    self.body.append("</span></label></li>\n")


def asked(doctree: nodes.document) -> list[nodes.admonition]:
    return [box for box in doctree.findall(nodes.admonition) if "question" in box]


def closing(doctree: nodes.document) -> list[dict[str, Any]]:
    """The records of `answer` and `verdict` in the outputs of a page."""
    outputs = [raw.astext() for raw in doctree.findall(nodes.raw)]
    found = [record for output in outputs for record in records(output)]
    return [record for record in found if record.get("kind") in CLOSED_BY.values()]


def hold_together(app: Sphinx, doctree: nodes.document) -> None:
    """Sees to it that each question of a page is closed once, and nothing else is.

    Raises:
        ExtensionError: a question has no answer, or an answer has no question.
    """
    questions = Counter((CLOSED_BY[box["classes"][0]], box["question"]) for box in asked(doctree))
    answers = Counter((record["kind"], record["of"]) for record in closing(doctree))
    problems = [f"{of} is asked twice" for (_, of), count in questions.items() if count > 1]
    problems += [f"no {kind}({of!r}, ...) closes it" for kind, of in questions - answers]
    problems += [f"{kind}({of!r}, ...) closes nothing" for kind, of in answers - questions]
    if problems:
        raise ExtensionError(f"{app.env.docname}: {'; '.join(problems)}")


def setup(app: Sphinx) -> None:
    for name in CLOSED_BY:
        app.add_directive(name, Question)
    app.add_node(choices, html=(visit_choices, depart_choices))
    app.add_node(choice, html=(visit_choice, depart_choice))
    app.add_js_file("questions.js", loading_method="defer")
    app.connect("doctree-read", hold_together, priority=400)  # before beliefs are collected
