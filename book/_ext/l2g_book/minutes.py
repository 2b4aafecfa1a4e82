"""How long a chapter takes, an estimate from its own text.

In the text, {minutes}`reading` becomes "40 minutes", and {minutes}`exercises` as well. Every 130
words, formula, figure and explorable before the exercises take a minute, and the exercises what
their titles say; both in steps of five minutes.
"""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole

from .form import measure

STEP = 5


def minutes(text: str, what: str) -> int:
    """Returns how long "reading" or the "exercises" of a chapter with this source take.

    Raises:
        ValueError: it is about something else.
    """
    form = measure(text)
    exact = {"reading": form.reading, "exercises": form.exercising}
    if what not in exact:
        raise ValueError(f"minutes of {what!r}; known are {' and '.join(exact)}")
    return max(STEP, STEP * round(exact[what] / STEP))


class Minutes(SphinxRole):
    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        with open(self.env.doc2path(self.env.docname), encoding="utf-8") as file:
            text = file.read()
        try:
            return [nodes.Text(f"{minutes(text, self.text)} minutes")], []
        except ValueError as error:
            return [], [self.inliner.reporter.error(str(error), line=self.lineno)]


def setup(app: Sphinx) -> None:
    app.add_role("minutes", Minutes())
