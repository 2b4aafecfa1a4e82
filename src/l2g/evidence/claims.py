"""Claims, answers to predictions and verdicts on beliefs: sentences that a run must bear out."""

import html
import json
import math
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from l2g.evidence.comparisons import Comparison
from l2g.evidence.words import fill

# Font and colour of the text are inherited, so that the box is legible on light and dark pages.
BOX = "border-left:3px solid {colour};padding:.2em .8em;margin:.4em 0"
COLOURS = {"claim": "#2e9e6b", "answer": "#c77700", "verdict": "#3b82c4"}
JUDGEMENTS = ("right", "wrong", "half true", "depends", "could not tell")
RECORD_ALL = "L2G_RECORD_CLAIMS"  # an environment variable that is set where seeds are varied
MARKS = re.compile(
    r"`(?P<code>[^`]+)`|\$(?P<formula>[^$]+)\$|(?<![\w*])\*\*(?P<b>\S(?:[^*]*\S)?)\*\*(?!\w)"
    r"|(?<![\w*])\*(?P<em>\S(?:[^*]*\S)?)\*(?![\w*])"
)


class ClaimError(AssertionError):
    """A claim that the run did not bear out."""


def claim(sentence: str, holds: Any, value: Any = None, /, **values: Any) -> None:
    """State a sentence that this run has shown; raise when it has not.

    The sentence names its measurements as fields, with their units (see `l2g.evidence.words`)::

        claim("On new images, true labels end at {true:percent} (lowest {true:percent lowest}).",
              min(true) > 0.85, true=accuracies)

    A claim that holds is printed; in a notebook it is displayed, and carries the record from which
    the book collects its ledger (`data-claim`, as JSON). `*emphasis*`, `**bold**`, code in
    backticks and formulas between dollar signs are shown as such.

    Args:
        sentence: what is claimed, with fields such as `{loss:nats}`.
        holds: a bool, a NumPy bool or a 0-d bool tensor; nothing that merely counts as true.
        value: instead of fields, what to print in brackets after the sentence: a number, a string
            or a mapping from names to those.
        values: for each field a number, a string, a scalar tensor or array, one number per run
            (a list or a 1-d tensor or array), or what `compare` returns.

    Raises:
        ClaimError: the claim does not hold; nothing is displayed then.
        TypeError: an argument has another type.
        ValueError: the sentence is empty, or its fields and the values do not match.
    """
    _state({"kind": "claim"}, "", sentence, holds, value, values)


def answer(prediction: str, sentence: str, holds: Any, /, **values: Any) -> None:
    """Close a prediction of the page with what was measured: a claim with another look.

    Args:
        prediction: the name of the prediction, as in `:::{predict} name`.
        sentence, holds, values: as in `claim`.

    Raises:
        ClaimError, TypeError, ValueError: as `claim` does.
    """
    record = {"kind": "answer", "of": _name("prediction", prediction)}
    _state(record, "Answer: ", sentence, holds, None, values)


def verdict(belief: str, judgement: str, sentence: str, holds: Any, /, **values: Any) -> None:
    """Close a belief that the page has put to the test: a claim with a judgement before it.

    Args:
        belief: the name of the belief, as in `:::{belief} name`.
        judgement: right, wrong, half true, depends, or could not tell.
        sentence, holds, values: as in `claim`; the sentence says for what the judgement stands.

    Raises:
        ClaimError, TypeError, ValueError: as `claim` does; or the judgement is another one.
    """
    if judgement not in JUDGEMENTS:
        raise ValueError(f"judgement must be one of {', '.join(JUDGEMENTS)}; got {judgement!r}")
    record = {"kind": "verdict", "of": _name("belief", belief), "judgement": judgement}
    _state(record, f"Verdict: {judgement}. ", sentence, holds, None, values)


def _name(argument: str, name: Any) -> str:
    if not isinstance(name, str) or not name.strip():
        raise TypeError(f"{argument} must be the name of a {argument} of this page, got {name!r}")
    return name


def _state(
    record: dict[str, Any], label: str, template: str, holds: Any, value: Any, values: Any
) -> None:
    if not isinstance(template, str):
        raise TypeError(f"sentence must be a string, got {type(template).__name__}")
    if not template.strip():
        raise ValueError("sentence must say what is claimed, got an empty string")
    truth = _truth(holds)
    plain = {name: _plain(name, given) for name, given in values.items()}
    sentence = fill(template, plain)
    if value is not None:
        plain = _old(value)
        sentence += f"  ({_listed(plain)})"
    record |= {"template": template, "sentence": sentence}
    record["values"] = {name: _as_json(given) for name, given in plain.items()}
    if not truth:
        if not os.environ.get(RECORD_ALL):
            raise ClaimError(f"this does not hold: {unmarked(sentence)}")
        record["holds"] = False
    _display(record, label)


def _truth(holds: Any) -> bool:
    is_bool = isinstance(holds, bool | np.bool_)
    if is_bool or (isinstance(holds, Tensor) and holds.dtype is torch.bool and holds.ndim == 0):
        return bool(holds)
    got = type(holds).__name__
    if hasattr(holds, "shape"):
        got = f"{got} of shape {(*holds.shape,)} and dtype {holds.dtype}"
    raise TypeError(f"holds must be one bool (use .all() or .any() on an array), got {got}")


def _plain(name: str, value: Any) -> Any:
    """`value` as a string, a number, a list of numbers, or the comparison that it is."""
    if isinstance(value, str | Comparison):
        return value
    plain: Any = value
    if isinstance(value, list | tuple):
        plain = [_plain(name, entry) for entry in value]
    elif isinstance(value, Tensor | np.ndarray | np.generic):
        plain = value.item() if math.prod(value.shape) == 1 else value.tolist()
    numbers = plain if isinstance(plain, list) else [plain]
    if numbers and all(isinstance(x, bool | int | float) for x in numbers):
        return plain
    got = type(value).__name__
    if hasattr(value, "shape"):
        got = f"{got} of shape {(*value.shape,)}"
    raise TypeError(
        f"{name} must be a number, a string, one number per run or a comparison, got {got}"
    )


def _old(value: Any) -> dict[str, Any]:
    """What stands in brackets after a sentence without fields, by name."""
    named = value if isinstance(value, Mapping) else {"value": value}
    plain = {str(name): _plain("value", given) for name, given in named.items()}
    if any(isinstance(given, list | Comparison) for given in plain.values()):
        raise TypeError("value must be a number, a string or a mapping of names to those")
    return plain


def _listed(values: Mapping[str, Any]) -> str:
    shown = {k: f"{v:.4g}" if isinstance(v, float) else str(v) for k, v in values.items()}
    if shown.keys() == {"value"}:
        return shown["value"]
    return ", ".join(f"{name} = {text}" for name, text in shown.items())


def _as_json(value: Any) -> Any:
    """JSON has no NaN and no infinity; a comparison becomes its parts."""
    if isinstance(value, Comparison):
        return {name: _as_json(part) for name, part in asdict(value).items()}
    if isinstance(value, list):
        return [_as_json(entry) for entry in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def unmarked(sentence: str) -> str:
    """The sentence without the marks for emphasis, bold, code and formulas."""
    return MARKS.sub(lambda match: match[str(match.lastgroup)], sentence)


def marked(sentence: str) -> str:
    """The sentence as HTML, its marks turned to elements; formulas stay, for Jupyter sets them."""

    def element(match: re.Match[str]) -> str:
        tag = str(match.lastgroup)
        return match[0] if tag == "formula" else f"<{tag}>{match[tag]}</{tag}>"

    return MARKS.sub(element, html.escape(sentence))


def _display(record: dict[str, Any], label: str) -> None:
    tick = "✓" if record.get("holds", True) else "✗"
    text = f"{tick} {label}{unmarked(record['sentence'])}"
    ipython = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None:
        print(text)
        return
    from IPython.display import display

    kind = record["kind"]
    classes = "l2g-claim" if kind == "claim" else f"l2g-claim l2g-{kind}"
    data = html.escape(json.dumps(record, ensure_ascii=False))
    bold = f"<b>{label.strip()}</b> " if label else ""
    box = (
        f'<div class="{classes}" data-claim="{data}" style="{BOX.format(colour=COLOURS[kind])}">'
        f"{tick} {bold}{marked(record['sentence'])}</div>"
    )
    display({"text/plain": text, "text/html": box}, raw=True)
