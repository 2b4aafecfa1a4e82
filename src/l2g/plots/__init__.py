"""One visual language for every figure of the course.

Colours are those of Okabe and Ito (2008), safe for colour-blind readers; every series also has its
own dash and marker, so that a figure can be read without colour. White backgrounds; the site turns
figures over in dark mode, but those with a heat map. For phones the site has each figure drawn once
more, narrow, with its panels one below the other: a chapter need do nothing for it.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from l2g.history import History
from l2g.plots.labels import label_lines as label_lines
from l2g.plots.phone import as_svg

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
MUTED = "#6B7280"

_STYLE: Any = {
    "figure.figsize": (6.4, 3.4),
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E5E7EB",
    "grid.linewidth": 0.8,
    "lines.linewidth": 2.0,
    "lines.markersize": 5,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "legend.columnspacing": 1.0,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "svg.hashsalt": "l2g",
    "svg.fonttype": "path",
}


def use_style() -> None:
    """Set the course's Matplotlib style; in a notebook, figures become crisp SVG."""
    mpl.rcParams.update(_STYLE)
    ipython = sys.modules.get("IPython")
    if ipython is not None and ipython.get_ipython() is not None:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg")
        formatters = ipython.get_ipython().display_formatter.formatters
        formatters["image/svg+xml"].for_type(Figure, as_svg)


def series(i: int, *, marker: bool = False) -> dict[str, Any]:
    """What ``Axes.plot`` needs for the i-th series: colour, dash and, if asked, marker."""
    kwargs: dict[str, Any] = {
        "color": COLOURS[i % len(COLOURS)],
        "linestyle": DASHES[i % len(DASHES)],
    }
    if marker:
        kwargs["marker"] = MARKERS[i % len(MARKERS)]
    return kwargs


def band(
    ax: Axes,
    x: ArrayLike,
    runs: Sequence[ArrayLike] | ArrayLike,
    i: int,
    *,
    label: str,
    **kwargs: Any,
) -> None:
    """Draw the median over runs with a band from the lowest to the highest run.

    Args:
        ax: where to draw.
        x: shape (T,).
        runs: shape (R, T), one row for each run; NaN marks values that a run does not have.
        i: number of the series: its colour, dash and marker.
        label: what the legend says.

    Raises:
        ValueError: if ``runs`` is not (R, T) with T the length of ``x``.
    """
    values, x = np.asarray(runs, dtype=float), np.asarray(x, dtype=float)
    if values.ndim != 2 or x.shape != values.shape[1:]:
        raise ValueError(f"runs must have shape (R, {len(x)}), got {values.shape}")
    style = series(i, marker=len(x) < 12) | kwargs
    ax.plot(x, np.nanmedian(values, axis=0), label=label, **style)
    lowest, highest = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
    ax.fill_between(x, lowest, highest, color=style["color"], alpha=0.2, linewidth=0)


def curves(ax: Axes, histories: Mapping[str, History], column: str) -> None:
    """Draw a column of several histories over the epochs, each with a band over its runs.

    Args:
        ax: where to draw.
        histories: label → the history of one run or of many.
        column: such as ``"val_loss"``.
    """
    for i, (label, history) in enumerate(histories.items()):
        values = np.atleast_2d(history[column])
        band(ax, np.arange(1, values.shape[1] + 1), values, i, label=label)
    ax.set_xlabel("epoch")
