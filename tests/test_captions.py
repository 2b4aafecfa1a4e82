"""Captions are true in the dark, too: dark mode turns lightness over and keeps the hue."""

import re

import pytest
from l2g_book.project import ROOT
from l2g_book.source import parse, read_directive

PAGES = [*sorted((ROOT / "book").glob("[0-9]*.md")), ROOT / "book/index.md"]
TURNED = re.compile(
    r"\b(white|black|gr[ae]y|(dark|light|pale|bright)(er|est|ly)?)\b", re.IGNORECASE
)


def captions(text):
    """The captions of figures, with their lines."""
    for token in parse(text, 1):
        if not token.info.startswith("{code-cell}"):
            continue
        line = token.map[0] + 1
        figure = read_directive(token, line).options.get("mystnb", {}).get("figure", {})
        yield line, str(figure.get("caption", ""))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_no_caption_names_what_dark_mode_turns_over(path):
    found = [
        f"{path.name}:{line}: {word[0]!r} in: {caption}"
        for line, caption in captions(path.read_text(encoding="utf-8"))
        if (word := TURNED.search(caption))
    ]
    assert found == [], "say which line: thin, dashed, lowest, shaded, blank"


@pytest.mark.parametrize(
    "words", ["White: the run diverged.", "a pale band", "thin black\n  lines"]
)
def test_a_turned_colour_is_found(words):
    options = f'---\nmystnb:\n  figure: {{caption: "It is\n  {words}"}}\n---'
    cell = f"```{{code-cell}} ipython3\n{options}\n```"
    ((line, caption),) = captions(f"# A\n\n{cell}\n")
    assert line == 3
    assert TURNED.search(caption)
