"""The house rule for evidence: no number that a run produces is typed into prose.

It looks for percentages, for decimals with a unit of results, and for decimals that follow a word
such as "accuracy" in their sentence. Code, formulas, tables, quizzes and exercises are left out:
their numbers are settings, or invented to be judged.
"""

import re

import pytest
from l2g_book.project import chapter_sources
from l2g_book.source import parse, read_directive

# Words before each number that no run of ours has produced, and where it comes from.
ALLOWED = {
    "01_generalization": {
        "200 images, 88 %": "the exercise above gives it",
        "how much of the 12 %": "what the exercise leaves",
    },
    "04_bagging_boosting": {
        "the middle 95 %": "the level of an interval",
        "the dotted line at 95 percent": "the same",
        "the model has seen only 63 %": "1 − 1/e",
        "how much a number varies, leaves 37 %": "1/e",
    },
    "06_cross_entropy": {
        "for a hundred classes is below 2.7 %": "e / (e + 99)",
        "Every class with more than about 2.7 %": "the same",
        "Less than 0.02 nats": "printed above, and claimed below",
    },
    "08_metrics": {
        "The middle 95 %": "a confidence, a setting",
        "Does “95 %": "the same",
    },
    "09_gradient_descent": {
        "at 98 percent": "a rate, a setting",
        "At 102 percent": "a rate, a setting",
        "below 0.05": "the goal of a race, a setting",
        "below a training loss of 0.05": "the same goal",
    },
    "12_schedules": {
        "then with 15 percent": "a setting",
        "Again 15 percent": "a setting",
        "accuracy with 15 percent": "the same",
    },
    "19_regularization_study": {
        "about 4.1": "the report that is examined, drawn",
        "from 9.5 %": "the report that is examined",
        "to 15.2 %": "the report",
        "some 2.3 %": "e / 117",
        "accuracy of 11.8 %": "the report",
        "a gain of 0.004 nats": "the report",
    },
}

WORDS = "accura|loss|error|risk|gap|gain|AUC|F1|perplexity|calibration|variance|interval|likelihood"
UNITS = r"\s?%|\s?per ?cent|\s(?:nats|bits|percentage points)"
NUMBER = re.compile(
    rf"(?<![\w.,])\d[\d,]*(?:\.\d+)?(?:{UNITS})(?! (?:[\w–-]+ )?interval)"
    rf"|(?i:\b(?:{WORDS})\w*)[^.!?:;]*?(?<![\w.,])\d+\.\d+(?:{UNITS})?(?!\.?\w)"
)
LITERAL = re.compile(r"[+-]?[\d.,]+(?:\\?\s?\\%)?")
SKIPPED = {"exercise", "objectives"}


def prose(text, first=1):
    """The text of paragraphs, headings and captions, with its line; of formulas, bare numbers."""
    depth = 0
    for token in parse(text, first):
        line = first + token.map[0] if token.map else first
        depth += {"table_open": 1, "table_close": -1}.get(token.type, 0)
        box = read_directive(token, line)
        if box and box.name == "code-cell":
            figure = box.options.get("mystnb", {})
            yield line, str(figure.get("image", {}).get("alt", ""))
            yield line, str(figure.get("figure", {}).get("caption", ""))
        elif box and box.name == "admonition":
            yield line, box.argument
            if not SKIPPED & set(str(box.options.get("class", "")).split()):
                yield from prose(box.body, box.line)
        elif token.type == "inline" and not depth:
            yield line, "".join(map(shown, token.children or []))


def shown(token):
    if token.type in {"softbreak", "hardbreak"}:
        return " "
    if token.type == "math_inline" and LITERAL.fullmatch(token.content):
        return token.content.replace("\\", "")
    return token.content if token.type == "text" else "…"


def results(text):
    """Whatever looks like the result of a run: line, the words before it and the number."""
    for line, paragraph in prose(text):
        for sentence in re.split(r"(?<=[.!?])\s+(?=[^\d\s])", paragraph):
            start = 0
            while found := NUMBER.search(sentence, start):
                start = found.end()
                yield line, sentence[max(0, start - 60) : start]


@pytest.mark.parametrize("path", chapter_sources(), ids=lambda path: path.stem)
def test_no_result_is_typed_into_prose(path):
    allowed = set(ALLOWED.get(path.stem, ()))
    found = list(results(path.read_text(encoding="utf-8")))
    typed = [
        f"{path.name}:{line}: {words}"
        for line, words in found
        if not any(words.endswith(end) for end in allowed)
    ]
    assert typed == [], "print it or claim it; if no run produces it, list it in ALLOWED"
    unused = {end for end in allowed if not any(words.endswith(end) for _, words in found)}
    assert unused == set(), "no longer in the chapter: take it off ALLOWED"


@pytest.mark.parametrize(
    "sentence",
    [
        "It reaches an accuracy of 0.93.",
        "The loss falls to $0.41$ in the end.",
        "About 93 % are right.",
        r"About $93.5\%$ are right.",
        "It wins by 0.02 nats.",
        "Errors rose, all in all and on every seed,\nfrom 1.5 to 2.5.",
        '```{code-cell}\n---\nmystnb:\n  image: {alt: "A loss of 0.4"}\n---\n1\n```',
        ":::{admonition} Solution\n:class: solution dropdown\n\nThe gap is 0.04.\n:::",
    ],
)
def test_a_typed_result_is_found(sentence):
    assert list(results(sentence + "\n"))


@pytest.mark.parametrize(
    "sentence",
    [
        "Take momentum 0.9 and a rate of 0.1.",
        "The loss is `0.41`, and $\\ell = 0.41$.",
        "Bars are 95 % intervals.",
        "See chapter 3 of PyTorch 2.6.1.",
        "The loss has five terms. Start at 0.5 and go on.",
        "```python\naccuracy = 0.93  # 93 %\n```",
        "| accuracy |\n|---|\n| 93 % |",
        ":::{admonition} Exercise\n:class: exercise\n\nA model has a loss of 0.5.\n:::",
        ":::{quiz}\nThe accuracy is 93 %?\n\n- [x] Yes\n\n  93 %.\n:::",
    ],
)
def test_a_setting_is_none(sentence):
    assert list(results(sentence + "\n")) == []
