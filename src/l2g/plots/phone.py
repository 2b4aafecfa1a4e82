"""A figure drawn twice: for a page, and for a phone, where its panels stand one below the other."""

import os
import textwrap
import zlib
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import StringIO
from typing import Any, cast

from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.image import AxesImage
from matplotlib.legend import Legend
from matplotlib.text import Text

from l2g.plots.labels import LineLabels, columns, hang

WIDTH = 3.4  # inches, 326 CSS pixels: what a phone of 360 pixels has between its margins
KEEP = "l2g-keep-colours"  # the class of a figure that dark mode must not turn over

Rows = list[tuple[float, list[Axes]]]  # of the stack: height in inches, axes in this place


def as_svg(fig: Figure) -> str | None:
    """A figure as SVG, with its twin for phones inside if ``L2G_PHONE`` is set; None if empty.

    The twin stands in a comment, compressed: notebooks and browsers pass over it, the book's build
    takes it out. A figure with a heat map carries the class ``l2g-keep-colours``: colours that mean
    numbers must stay what they are in dark mode.
    """
    if not fig.axes and not fig.lines:
        return None
    svg = _drawn(fig)
    if fig.findobj(_is_map):
        svg = svg.replace("<svg ", f'<svg class="{KEEP}" ', 1)
    if os.environ.get("L2G_PHONE"):
        with stacked(fig):
            packed = b64encode(zlib.compress(_drawn(fig).encode(), 9)).decode()
        svg += f"<!--l2g-phone {packed}-->\n"
    return svg


def _drawn(fig: Figure) -> str:
    text = StringIO()
    fig.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None})
    return text.getvalue()


def _is_map(artist: Any) -> bool:
    filled = isinstance(artist, AxesImage | QuadMesh) or getattr(artist, "filled", False)
    return bool(filled) and artist.get_array() is not None


@contextmanager
def stacked(fig: Figure) -> Iterator[None]:
    """As wide as a phone, one panel a row, each with ticks of its own and its legend below it.

    A panel keeps its height. Names of axes that it shared with its neighbours are repeated, and
    text that is too wide is broken. Panels that do not lie in one grid are only made narrow.
    Afterwards all is as before.
    """
    with ExitStack() as undo:
        undo.callback(fig.set_size_inches, *fig.get_size_inches())
        rows = _rows(fig)
        heights = [height for height, _ in rows]
        grid = fig.add_gridspec(max(1, len(rows)), 1, height_ratios=heights or None)
        for i, (_, panels) in enumerate(rows):
            for ax in panels:
                undo.callback(ax.set_subplotspec, cast(SubplotSpec, ax.get_subplotspec()))
                ax.set_subplotspec(grid[i])
                _repeat_names(ax, undo)
        total = sum(heights) or fig.get_figheight()
        fig.set_size_inches(WIDTH, total)
        _lower_legends(fig, undo)
        fig.draw_without_rendering()
        _break_texts(fig, undo)
        below = [max((_below(ax) for ax in panels), default=0.0) for _, panels in rows]
        if rows:
            grid.set_height_ratios([h + b for h, b in zip(heights, below, strict=True)])
        fig.set_size_inches(WIDTH, total + sum(below))
        yield


def _rows(fig: Figure) -> Rows:
    """The panels in reading order; none if they do not all lie in one grid of the figure."""
    specs = {ax: spec for ax in fig.axes if (spec := ax.get_subplotspec())}
    if len({id(spec.get_topmost_subplotspec().get_gridspec()) for spec in specs.values()}) != 1:
        return []
    rows: dict[tuple[int, int], tuple[float, list[Axes]]] = {}
    for ax, spec in specs.items():
        if spec != spec.get_topmost_subplotspec():
            return []
        ratios: Any = spec.get_gridspec().get_height_ratios()
        share = sum(ratios[spec.rowspan.start : spec.rowspan.stop]) / sum(ratios)
        place = spec.rowspan.start, spec.colspan.start
        rows.setdefault(place, (share * fig.get_figheight(), []))[1].append(ax)
    return [rows[place] for place in sorted(rows)]


def _repeat_names(ax: Axes, undo: ExitStack) -> None:
    """Ticks and name of an axis that only the first panel of a row or the last of a column had."""
    for axis, group, side in (
        (ax.xaxis, ax.get_shared_x_axes(), "labelbottom"),
        (ax.yaxis, ax.get_shared_y_axes(), "labelleft"),
    ):
        family = group.get_siblings(ax)
        if len(family) == 1:
            continue
        which = f"{axis.axis_name}axis"
        names = [getattr(other, which).get_label_text() for other in family]
        ticks: Any = axis.set_tick_params
        undo.callback(ticks, **{side: axis.get_tick_params().get(side, True)})
        ticks(**{side: True})
        undo.callback(axis.set_label_text, axis.get_label_text())
        axis.set_label_text(axis.get_label_text() or next(filter(None, names), ""))


def _lower_legends(fig: Figure, undo: ExitStack) -> None:
    """Legends stand below their panels: a narrow one has no corner without a curve."""
    labels: Any = fig.findobj(LineLabels)
    for own in labels:
        undo.callback(own.make_legend)
        own.make_legend()
    for ax in {*fig.axes} - {own.ax for own in labels}:
        legend = ax.get_legend()
        if legend is None or not legend.get_visible():
            continue
        names = [text.get_text() for text in legend.get_texts()]
        title = legend.get_title().get_text() or None
        ncols = columns(names, WIDTH)
        handles = [handle for handle in legend.legend_handles if handle]
        copy = Legend(ax, handles, names, title=title, ncols=ncols)
        undo.callback(legend.set_visible, True)
        undo.callback(ax.add_artist(copy).remove)
        legend.set_visible(False)
        copy.set_clip_on(False)
        hang(copy)


def _below(ax: Axes) -> float:
    """The height in inches of what hangs below a panel."""
    legends = [child for child in ax.get_children() if isinstance(child, Legend)]
    heights = [legend.get_window_extent().height for legend in legends if legend.get_visible()]
    return max(heights, default=0.0) / ax.figure.dpi


def _break_texts(fig: Figure, undo: ExitStack) -> None:
    """Breaks lines that would reach over the edge of the figure."""
    for text in fig.findobj(Text):
        words, box = text.get_text(), text.get_window_extent()
        over = box.width / (fig.bbox.width - max(0, box.x0))
        if " " in words and text.get_visible() and over > 1:
            undo.callback(text.set_text, words)
            text.set_text(textwrap.fill(words, max(12, int(len(words) / over) - 1)))
