"""Measurements in words and units: what the fields of a claim's sentence become.

A field is `{name}` or `{name:unit ...}`. Units are `percent` (of a share), `points` (a difference
of two shares, with its sign), `nats`, `count`, `times`, `number`, and `below`, which rounds up to a
power of ten. Of several runs a field shows the mean, or what it asks for: `{acc:percent lowest}`,
`highest`, `median`, `range` or `each`; of a comparison the difference and its interval. `signed`
and `size` show a number with its sign or without it, `.2` with two decimals. Any other text after
the colon is a format of Python's.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any, NamedTuple

from l2g.evidence.comparisons import Comparison

Number = int | float
Value = str | Number | list[Number] | Comparison

SPACE = "\N{NO-BREAK SPACE}"  # a number and its unit share a line
ONE_OF: dict[str, Callable[[Sequence[Number]], Number]] = {
    "mean": statistics.fmean,
    "median": statistics.median,
    "lowest": min,
    "highest": max,
}
SEVERAL = ("range", "each")
SIGNS = ("signed", "size")


def fill(template: str, values: Mapping[str, Value]) -> str:
    """The sentence: the template with its fields filled in.

    Raises:
        ValueError: a field without a value, a value without a field, or a field that cannot be
            read or does not fit its value.
    """
    pieces, used = [], set()
    for text, name, spec in _parts(template):
        pieces.append(text)
        if name is None:
            continue
        if name not in values:
            known = f"values are given for {', '.join(values)}" if values else "no value is given"
            raise ValueError(f"the sentence names {{{name}}}, but {known}: {template!r}")
        used.add(name)
        try:
            pieces.append(shown(values[name], spec))
        except (ValueError, TypeError) as error:
            field = f"{name}:{spec}" if spec else name
            raise ValueError(f"the field {{{field}}}: {error}") from None
    if unused := [name for name in values if name not in used]:
        raise ValueError(f"the sentence has no field for {', '.join(unused)}: {template!r}")
    return "".join(pieces)


def _parts(template: str) -> list[tuple[str, str | None, str]]:
    """Text, and the name and the spec of the field that follows it."""
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(
            f"a field is {{name}} or {{name:unit}}, a brace in the text is {{{{ or }}}}; "
            f"{str(error).lower()}: {template!r}"
        ) from None
    for _, name, _, conversion in parts:
        if name is not None and (conversion or not name.isidentifier()):
            raise ValueError(f"a field is {{name}} or {{name:unit}}, got {{{name}}}: {template!r}")
    return [(text, name, spec or "") for text, name, spec, _ in parts]


def shown(value: Value, spec: str) -> str:
    """One value in the words of its field.

    Raises:
        ValueError: the spec is unknown or does not fit the value.
    """
    if isinstance(value, str):
        if spec:
            raise ValueError(f"a string has neither unit nor format, got {value!r}")
        return value
    unit, *words = spec.split() or ["number"]
    if unit not in UNITS:
        return _by_python(value, spec)
    wish = _wish(unit, words)
    if isinstance(value, Comparison):
        return _compared(value, wish)
    runs = value if isinstance(value, list) else [value]
    if wish.which == "range":
        return wish.unit.text([min(runs), max(runs)], wish, " to ")
    if wish.which == "each":
        return wish.unit.text(runs, wish)
    return wish.unit.text([ONE_OF[wish.which or "mean"](runs)], wish)


def _by_python(value: Any, spec: str) -> str:
    """By Python's own format, with a minus that is one; of runs the mean."""
    if isinstance(value, Comparison):
        value = value.difference
    elif isinstance(value, list):
        value = statistics.fmean(value)
    try:
        return format(value, spec).replace("-", "−")
    except ValueError:
        raise ValueError(
            f"{spec!r} is neither a unit ({', '.join(UNITS)}) nor a format of Python's"
        ) from None


class Wish(NamedTuple):
    """What a field asks for: `{name:percent lowest .2}`."""

    unit: "Unit"
    which: str = ""
    sign: str = ""
    decimals: int | None = None


def _wish(unit: str, words: Sequence[str]) -> Wish:
    wish = Wish(UNITS[unit])
    for word in words:
        if word in ONE_OF or word in SEVERAL:
            wish = wish._replace(which=word)
        elif word in SIGNS:
            wish = wish._replace(sign=word)
        elif word[0] == "." and word[1:].isdecimal():
            wish = wish._replace(decimals=int(word[1:]))
        else:
            known = ", ".join([*ONE_OF, *SEVERAL, *SIGNS])
            raise ValueError(f"after a unit stand {known} or decimals such as .2, got {word!r}")
    return wish


def _compared(found: Comparison, wish: Wish) -> str:
    """The difference with its sign and its interval, or the one of them that is asked for."""
    sign = -1 if wish.sign == "size" and found.difference < 0 else 1
    low, high = sorted([sign * found.low, sign * found.high])
    signed = wish if wish.sign else wish._replace(sign="signed")
    if wish.which in ("lowest", "highest"):
        return wish.unit.text([low if wish.which == "lowest" else high], signed)
    if wish.which == "range":
        return wish.unit.text([low, high], signed, " to ")
    if wish.which in ("median", "each") or wish.unit.name == "below":
        raise ValueError("a comparison shows its mean, lowest, highest or range, in any unit")
    ends = [wish.unit.figures(x, wish.decimals) for x in (low, high)]
    if wish.decimals is None and abs(found.difference) < (high - low) / 50:
        # Far smaller than its interval, it needs no more decimals than the ends have.
        signed = signed._replace(decimals=max(len(end.partition(".")[2]) for end in ends))
    difference = wish.unit.text([sign * found.difference], signed)
    return difference if wish.which == "mean" else f"{difference} [{', '.join(ends)}]"


@dataclass(frozen=True)
class Unit:
    """How numbers of one kind are written: their figures, and the word that follows them."""

    name: str
    figures: Callable[[Number, int | None], str]
    word: str = ""
    signed: bool = False

    def text(self, numbers: Sequence[Number], wish: Wish, between: str = "") -> str:
        """Numbers joined by "to", or else by commas and "and", with the unit named once."""
        signed = (self.signed or wish.sign == "signed") and wish.sign != "size"
        texts = [self.one(abs(x) if wish.sign == "size" else x, wish, signed) for x in numbers]
        if between and texts[0] == texts[-1]:
            texts = texts[:1]
        *others, last = texts
        joined = (between or ", ").join(others)
        joined += f"{between or ' and '}{last}" if others else last
        return joined + (SPACE + self.word if self.word else "")

    def one(self, x: Number, wish: Wish, signed: bool) -> str:
        figures = self.figures(x, wish.decimals)
        return f"+{figures}" if signed and x > 0 and not _is_zero(figures) else figures


def _tenth(x: Number) -> str:
    """A number with one decimal, and more where it would read as 0 or 100 but is not."""
    if x in (0, 100):
        return str(int(x))
    if abs(x) < 0.1:
        return _significant(x, 2)
    decimals = next((d for d in range(1, 9) if round(x, d) != 100), 9)
    return f"{x:,.{decimals}f}"


def _significant(x: Number, digits: int) -> str:
    """A number with so many digits that count: 0.0312, 2.30, 1,234 or 4.2e-7."""
    if x == 0:
        return "0"
    mantissa, exponent = f"{x:.{digits - 1}e}".split("e")
    if not -4 <= int(exponent) < 6:
        return f"{mantissa}e{int(exponent)}"
    return f"{x:,.{max(0, digits - 1 - int(exponent))}f}"


def _plain_number(x: Number) -> str:
    """Three digits that count and no zeros that do not: 0.1, 0.0312, 44,548 or 1e-8."""
    if x == int(x) or 100 <= abs(x) < 1e6:
        return f"{x:,.0f}" if abs(x) < 1e15 else _significant(x, 3)
    return f"{x:,.3g}" if 1e-4 <= abs(x) < 1e6 else _significant(x, 3)


def _is_zero(figures: str) -> bool:
    return not figures.strip("-0.")


def _figures(write: Callable[[Number], str]) -> Callable[[Number, int | None], str]:
    """Adds to a way of writing numbers: decimals on request, what is not finite, a true minus."""

    def figures(x: Number, decimals: int | None) -> str:
        if not math.isfinite(x):
            return "NaN" if math.isnan(x) else "−∞" if x < 0 else "∞"
        text = write(x) if decimals is None else f"{x:,.{decimals}f}"
        if _is_zero(text):
            return text.lstrip("-")
        return f"−{text[1:]}" if text.startswith("-") else text

    return figures


def _hundredfold(figures: Callable[[Number, int | None], str]) -> Callable[..., str]:
    return lambda x, decimals: figures(100 * x, decimals)


def _below(x: Number) -> str:
    """The next power of ten above the size of a number: below 0.01, below 1e-12."""
    if x == 0:
        return "0"
    exponent = math.floor(math.log10(abs(x))) + 1
    if not -4 < exponent < 7:
        return f"below 1e{exponent}"
    return f"below {10.0**exponent:,.{max(0, -exponent)}f}"


_tenths = _hundredfold(_figures(_tenth))
UNITS = {
    unit.name: unit
    for unit in (
        Unit("percent", _tenths, "%"),
        Unit("points", _tenths, "points", signed=True),
        Unit("nats", _figures(lambda x: _significant(x, 3 if abs(x) >= 0.1 else 2)), "nats"),
        Unit("count", _figures(lambda x: f"{x:,.0f}" if x == int(x) else _tenth(x))),
        Unit("times", _figures(lambda x: _significant(x, 2)), "times"),
        Unit("number", _figures(_plain_number)),
        Unit("below", _figures(_below)),
    )
}
