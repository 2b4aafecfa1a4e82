"""The quiz: questions whose every answer explains itself, in plain <details>, no script needed.

:::{quiz}
What does the loss become when every score grows by 5?

- [ ] It grows by 5.

  Softmax sees differences only.
- [x] It stays.

  Right: …
:::
"""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.writers.html5 import HTML5Translator

MARKS = {"[ ] ": False, "[x] ": True}


class answer(nodes.General, nodes.Element):
    """One possible answer: the first child is the answer, the others explain it."""


class Quiz(SphinxDirective):
    has_content = True

    def run(self) -> list[nodes.Node]:
        question = nodes.container(classes=["l2g-quiz"])
        self.state.nested_parse(self.content, self.content_offset, question)
        answers = next(iter(question.findall(nodes.bullet_list)), None)
        if answers is None:
            raise self.error("a quiz needs a list of answers: '- [ ] wrong' and '- [x] right'")
        found = [self.parse_answer(item) for item in answers.children]
        if sum(a["right"] for a in found) != 1:
            raise self.error("a quiz needs exactly one right answer, marked '- [x]'")
        answers.replace_self(found)
        return [question]

    def parse_answer(self, item: nodes.Element) -> answer:
        first = item.children[0] if item.children else nodes.paragraph()
        text = next(iter(first.findall(nodes.Text)), nodes.Text(""))
        mark = next((m for m in MARKS if text.astext().startswith(m)), None)
        if mark is None or len(item.children) < 2:
            raise self.error(
                f"an answer starts with '[ ] ' or '[x] ' and an indented paragraph explains it: "
                f"{first.astext()!r}"
            )
        text.parent.replace(text, nodes.Text(text.astext().removeprefix(mark)))
        return answer("", *item.children, right=MARKS[mark])


def visit_answer(self: HTML5Translator, node: answer) -> None:
    verdict = "right" if node["right"] else "wrong"
    label = '<span class="visually-hidden">Answer: </span>'  # a formula alone would be no name
    self.body.append(f'<details class="l2g-choice {verdict}"><summary>{label}')
    first, *explanation = node.children
    for child in first.children:
        child.walkabout(self)
    mark = "✓ Right." if node["right"] else "✗ Not quite."
    self.body.append(f'</summary><p class="l2g-reply">{mark}</p>')
    for child in explanation:
        child.walkabout(self)
    self.body.append("</details>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    app.add_directive("quiz", Quiz)
    app.add_node(answer, html=(visit_answer, None))
