"""Tables: what a cell shows, and how the pages deal wide ones out as cards."""

import numpy as np
import pytest
import torch
from bs4 import BeautifulSoup

from l2g.tables import is_narrow, table

ROWS = [
    {"method": "none", "accuracy": 0.4313, "gap": "3.1 points"},
    {"method": "drop < out", "accuracy": torch.tensor(-2.5), "gap": "−1 points"},
]


def html(*args):
    return BeautifulSoup(table(*args)._repr_html_(), "html.parser")


def test_table_is_html_in_a_notebook():
    page = html(ROWS, "CIFAR-100 & more")
    assert page.caption.get_text() == "CIFAR-100 & more"
    assert [th.get_text() for th in page("th")] == ["method", "accuracy", "gap"]
    for label in page.select(".l2g-label"):
        label.decompose()
    cells = [[td.get_text() for td in row("td")] for row in page.tbody("tr")]
    assert cells == [["none", "0.4313", "3.1 points"], ["drop < out", "−2.5", "−1 points"]]


def test_numbers_stand_flush_right():
    page = html(ROWS)
    assert page.caption is None
    right = ["text-align:right" in td.get("style", "") for td in page.tbody.tr("td")]
    assert right == [False, True, True]


def test_table_is_aligned_text_elsewhere():
    assert str(table(ROWS, "Title")).splitlines() == [
        "Title",
        "method      accuracy         gap",
        "none          0.4313  3.1 points",
        "drop < out      −2.5   −1 points",
    ]


def test_wide_table_is_dealt_as_cards_whose_cells_name_their_column():
    wide = [row | {"remark": "the baseline, tuned as all others are"} for row in ROWS]
    page = html(wide)
    assert "l2g-cards" in page.table["class"]
    assert [td.span.get_text() if td.span else "" for td in page.tbody.tr("td")] == [
        "",
        "accuracy",
        "gap",
        "remark",
    ]
    assert all("display:none" in label["style"] for label in page.select(".l2g-label"))
    assert "l2g-cards" not in html(ROWS).table["class"]


@pytest.mark.parametrize(
    ("widths", "narrow"), [([90, 90], True), ([10, 10, 20], True), ([10, 10, 40], False)]
)
def test_two_columns_always_stand_side_by_side(widths, narrow):
    assert is_narrow(widths) is narrow


@pytest.mark.parametrize("value", [3, np.float32(3), np.int64(3), torch.tensor(3), "3"])
def test_cell_is_a_text_or_a_number(value):
    assert table([{"a": value}]).rows == (("3",),)


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ([], ValueError, "rows must hold at least one row, got none"),
        ([{}], ValueError, r"row 1 must have the columns \[\], got \[\]"),
        ([{"a": 1}, {"b": 1}], ValueError, r"row 2 must have the columns \['a'\], got \['b'\]"),
        ([["a"]], TypeError, "each of rows must be a mapping, got list"),
        ([{"a": None}], TypeError, "a cell must be a text or a number, got NoneType"),
        ([{"a": torch.ones(2)}], TypeError, "a cell must be a text or a number, got Tensor"),
    ],
)
def test_bad_rows_are_one_sentence(rows, error, message):
    with pytest.raises(error, match=message):
        table(rows)
