"""A table as a cell's result: real HTML in notebooks and on the site, aligned text elsewhere."""

import html
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NUMBER = re.compile(r"[±+−-]?\d[\d.,]*(\s?[%×]|\s\w+)?|—|")
PHONE = 45  # characters side by side on a phone
LABEL = '<span class="l2g-label" style="display:none">{}</span>'  # the site shows it in cards


def is_narrow(widths: Sequence[int]) -> bool:
    """Whether columns of so many characters stand side by side on a phone."""
    return len(widths) < 3 or sum(widths) <= PHONE


@dataclass(frozen=True)
class Table:
    """Names of columns, rows of texts, and a caption; shown by the notebook."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""

    def widths(self) -> list[int]:
        return [max(map(len, texts)) for texts in zip(self.columns, *self.rows, strict=True)]

    def numeric(self) -> list[bool]:
        """Which columns hold nothing but numbers: they stand flush right."""
        return [
            all(NUMBER.fullmatch(text) for text in column)
            for column in zip(*self.rows, strict=True)
        ]

    def _repr_html_(self) -> str:
        styles = [
            ' style="text-align:right;white-space:nowrap"' if flag else ""
            for flag in self.numeric()
        ]
        names = [html.escape(name) for name in self.columns]
        head = "".join(f"<th{s}>{name}</th>" for name, s in zip(names, styles, strict=True))
        labels = ["", *(LABEL.format(name) for name in names[1:])]
        body = "".join(
            "<tr>"
            + "".join(
                f"<td{style}>{label}{html.escape(text)}</td>"
                for text, label, style in zip(row, labels, styles, strict=True)
            )
            + "</tr>"
            for row in self.rows
        )
        caption = f"<caption>{html.escape(self.caption)}</caption>" if self.caption else ""
        classes = "table l2g-table" + ("" if is_narrow(self.widths()) else " l2g-cards")
        return (
            f'<div class="l2g-table-place"><table class="{classes}">{caption}'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )

    def __str__(self) -> str:
        lines = [
            "  ".join(
                text.rjust(width) if right else text.ljust(width)
                for text, width, right in zip(row, self.widths(), self.numeric(), strict=True)
            ).rstrip()
            for row in (self.columns, *self.rows)
        ]
        return "\n".join([*([self.caption] if self.caption else []), *lines])

    __repr__ = __str__


def table(rows: Sequence[Mapping[str, Any]], caption: str = "") -> Table:
    """Lay out rows that share their columns; the last line of a cell shows them.

    Args:
        rows: one mapping a row, from the names of the columns to texts or numbers. A number is
            shown with four digits; to choose them, and for units, pass a text: ``f"{p:.1%}"``.
        caption: stands above the table.

    Raises:
        ValueError: there is no row or no column, or a row has other columns than the first one.
        TypeError: a row is no mapping, or a cell is neither a text nor a number.
    """
    if not rows:
        raise ValueError("rows must hold at least one row, got none")
    for row in rows:
        if not isinstance(row, Mapping):
            raise TypeError(f"each of rows must be a mapping, got {type(row).__name__}")
    columns = list(rows[0])
    for number, row in enumerate(rows, 1):
        if list(row) != columns or not columns:
            raise ValueError(f"row {number} must have the columns {columns}, got {list(row)}")
    texts = tuple(tuple(_text(value) for value in row.values()) for row in rows)
    return Table(tuple(map(str, columns)), texts, caption)


def _text(value: Any) -> str:
    if hasattr(value, "item") and math.prod(value.shape) == 1:
        value = value.item()
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return (f"{value:.4g}" if isinstance(value, float) else str(value)).replace("-", "−")
    raise TypeError(f"a cell must be a text or a number, got {type(value).__name__}")
