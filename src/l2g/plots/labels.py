"""Names of lines: at their right ends, or in rows below the panel where they have no room there."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.colors import to_rgb
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox, ScaledTranslation

WIDEST = 0.26  # of a panel's width that names may take
REACH = 0.85  # of a panel's width that a line must reach to be named at its end
LETTER = 0.07  # inches of a name's letter, on average
LEADING = 1.3  # from one name to the next, in heights of a letter
AROUND = 0.9  # inches of a panel's height for its title and the names and ticks of its axis
CONTRAST = 4.5  # of text on white


def label_lines(ax: Axes) -> None:
    """Name each line with a label at its right end; below the panel where that does not fit.

    Names keep apart, and each is joined to its line. They go below, as a legend, where they would
    take more than a quarter of the panel's width, where they would be higher than the panel, and
    where a line ends early. This is decided each time the figure is drawn, for its size.

    Args:
        ax: a panel with at least one labelled line; call this when all of them are drawn.

    Raises:
        ValueError: no line of ``ax`` has a label.
    """
    lines = [line for line in ax.lines if not str(line.get_label()).startswith("_")]
    if not lines:
        raise ValueError("ax must have a line with a label; got none, so there is nothing to name")
    LineLabels(ax, lines)


def hang(legend: Legend, renderer: RendererBase | None = None) -> None:
    """Put a legend below its panel, under the ticks and their label."""
    ax: Any = legend.axes
    axis = ax.xaxis.get_tightbbox(renderer) if ax.axison else None
    depth = max(0.0, ax.bbox.y0 - axis.y0) if axis else 0.0
    down = ScaledTranslation(0, -depth / ax.figure.dpi, ax.figure.dpi_scale_trans)
    legend.set_loc("upper left")
    legend.set_bbox_to_anchor((0, 0), ax.transAxes + down)


def columns(names: Sequence[str], width: float) -> int:
    """How many columns of a legend go below a panel for which the grid has ``width`` inches."""
    widest = 0.6 + 0.08 * max(map(len, names))  # a sample of the line, and letters
    return min(len(names), max(1, int((width - 0.8) / widest)))


def spread(wanted: Sequence[float], gap: float) -> np.ndarray:
    """Places in [0, 1] at least ``gap`` apart, in the same order, nearest to those ``wanted``.

    Least squares under these constraints: an isotonic regression, for places minus their gaps may
    not fall. ``wanted`` has shape (N,), and (N - 1) · ``gap`` must be at most 1.
    """
    from scipy.optimize import isotonic_regression

    order = np.argsort(wanted, kind="stable")
    room = gap * np.arange(len(order))
    free = isotonic_regression(np.asarray(wanted, dtype=float)[order] - room).x
    places = np.empty(len(order))
    places[order] = np.clip(free, 0, 1 - room[-1]) + room
    return places


def readable(colour: Any) -> tuple[float, ...]:
    """A colour for letters on white: darkened until its contrast is 4.5 to 1 (WCAG 2)."""
    rgb = np.array(to_rgb(colour))
    while 1.05 / (_luminance(rgb) + 0.05) < CONTRAST:
        rgb *= 0.97
    return tuple(rgb.tolist())


def _luminance(rgb: np.ndarray) -> float:
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


class LineLabels(Artist):
    """Places the names of lines whenever their figure is drawn, in whatever size.

    It has no picture of its own: it moves annotations, which are drawn after it, or shows a legend
    in their stead.
    """

    def __init__(self, ax: Axes, lines: Sequence[Line2D]) -> None:
        super().__init__()
        self.ax, self.lines = ax, lines
        self.set_zorder(-1)
        ax.add_artist(self)
        self.set_clip_on(False)  # what is clipped to a panel has no say in its room
        self.names = [_name(ax, line) for line in lines]
        self.make_legend()
        self._decide()

    def make_legend(self) -> None:
        """The names below the panel, in as many columns as the panel now has room for."""
        names = [str(line.get_label()) for line in self.lines]
        self.legend = self.ax.legend(handles=self.lines, ncols=columns(names, room(self.ax)[0]))

    def draw(self, renderer: RendererBase) -> None:
        """Moves names, but keeps them where they are: room has been made for them there."""
        self._arrange(renderer)

    def get_tightbbox(self, renderer: RendererBase | None = None) -> Bbox | None:
        """Nothing; but it is asked first when a panel is given room, so names choose their side."""
        self._decide()
        if renderer is not None:
            self._arrange(renderer)
        return None

    def _decide(self) -> None:
        fits = self._fits([self._end(line) for line in self.lines])
        for name in self.names:
            name.set_visible(fits)
        self.legend.set_visible(not fits)

    def _arrange(self, renderer: RendererBase) -> None:
        if self.legend.get_visible():
            return hang(self.legend, renderer)
        ends = [self._end(line) for line in self.lines]
        figure: Any = self.ax.get_figure()
        gap = self._leading * figure.dpi / self.ax.bbox.height
        heights = spread([y for _, y in ends], min(gap, 1 / len(ends)))
        for name, end, height in zip(self.names, ends, heights, strict=True):
            name.xy, name.xyann = end, (1, height)

    @property
    def _leading(self) -> float:
        return LEADING * float(self.names[0].get_fontsize()) / 72  # inches

    def _fits(self, ends: Sequence[tuple[float, float]]) -> bool:
        """Judged by letters and by the grid's room, so that all ways of drawing judge the same."""
        width, height = room(self.ax)
        widest = LETTER * max(len(name.get_text()) for name in self.names)
        early = min(x for x, _ in ends) < REACH
        tall = len(ends) * self._leading + AROUND
        return not early and widest <= WIDEST * width and tall <= height

    def _end(self, line: Line2D) -> tuple[float, float]:
        """The last point of a line, in shares of the panel's width and height."""
        self.ax.get_xlim(), self.ax.get_ylim()  # the limits are found when they are asked for
        points = line.get_transform().transform(line.get_xydata())
        points = points[np.isfinite(points).all(axis=1)]
        x, y = self.ax.transAxes.inverted().transform(points[-1]) if len(points) else (0, 0)
        return float(x), float(np.clip(y, 0, 1))


def room(ax: Axes) -> tuple[float, float]:
    """The width and height in inches that the grid of its figure has for a panel."""
    figure: Any = ax.get_figure()
    width, height = figure.get_size_inches()
    spec = ax.get_subplotspec()
    if spec is None:
        return float(width), float(height)
    box = spec.get_position(figure)
    whole = spec.get_gridspec()[:, :].get_position(figure)
    return float(width * box.width / whole.width), float(height * box.height / whole.height)


def _name(ax: Axes, line: Line2D) -> Annotation:
    figure: Any = ax.get_figure()
    beside = ax.transAxes + ScaledTranslation(8 / 72, 0, figure.dpi_scale_trans)
    return ax.annotate(
        str(line.get_label()),
        (1, 0),
        (1, 0),
        xycoords=ax.transAxes,
        textcoords=beside,
        color=readable(line.get_color()),
        fontsize="small",
        va="center",
        annotation_clip=False,
        arrowprops={"arrowstyle": "-", "color": line.get_color(), "shrinkA": 0, "shrinkB": 0},
    )
