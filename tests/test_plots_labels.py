"""Names of lines and figures for phones: nothing overlaps, nothing is lost, nothing is changed."""

import re
import zlib
from base64 import b64decode
from itertools import combinations, pairwise

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.text import Text

from l2g import plots
from l2g.plots import labels, phone

EPOCHS = np.arange(1, 41)


@pytest.fixture(autouse=True)
def style():
    with mpl.rc_context():
        plots.use_style()
        yield
    plt.close("all")


def falling(ends, **kwargs):
    """A panel with one line for each end that is given."""
    fig, ax = plt.subplots(**kwargs)
    for i, end in enumerate(ends):
        curve = end + np.exp(-EPOCHS / 4)
        ax.plot(EPOCHS, curve, label=f"method {i}", **plots.series(i))
    ax.set(xlabel="epoch", ylabel="loss (nats)")
    return fig, ax


def named(ax):
    """The names that stand at the ends of lines, with their boxes in pixels."""
    for _ in range(2):  # what has been hidden once is measured again
        ax.figure.draw_without_rendering()
    shown = [text for text in ax.texts if text.get_visible()]
    return {text.get_text(): Text.get_window_extent(text) for text in shown}


# ---- names at the ends of lines


def test_names_stand_at_the_ends_of_their_lines():
    _, ax = falling([0.1, 0.5, 0.9])
    plots.label_lines(ax)
    boxes = named(ax)
    assert list(boxes) == ["method 0", "method 1", "method 2"]
    for box, end in zip(boxes.values(), [0.1, 0.5, 0.9], strict=True):
        _, y = ax.transData.transform((40, end + np.exp(-10)))
        assert (box.y0 + box.y1) / 2 == pytest.approx(y, abs=0.5)
        assert box.x0 > ax.bbox.x1
        assert box.x1 <= ax.figure.bbox.x1
    assert not ax.get_legend().get_visible()


@pytest.mark.parametrize("scale", ["linear", "log"])
@pytest.mark.parametrize("ends", [[0.3] * 5, [0.1, 0.101, 0.102, 0.9, 0.91], [1e-3, 1, 1.01]])
def test_names_keep_apart_and_in_order(ends, scale):
    _, ax = falling(ends)
    plots.label_lines(ax)
    ax.set_yscale(scale)  # later than the names: they are placed when the figure is drawn
    boxes = list(named(ax).values())
    assert len(boxes) == len(ends)
    for one, other in combinations(boxes, 2):
        assert not one.overlaps(other)
    by_end = [boxes[i] for i in np.argsort(ends, kind="stable")]
    assert all(low.y0 < high.y0 for low, high in pairwise(by_end))


@pytest.mark.parametrize(
    "change",
    [
        lambda ax: ax.lines[0].set_label("a name that is far too long to stand beside a panel"),
        lambda ax: ax.lines[0].set_data([1, 2, 3], [0, 1, 0]),  # stops early
        lambda ax: ax.figure.set_size_inches(6, 1.5),
    ],
    ids=["long", "early", "low"],
)
def test_names_go_below_where_they_do_not_fit(change):
    _, ax = falling([0.1, 0.4, 0.7, 0.9])
    change(ax)
    plots.label_lines(ax)
    assert named(ax) == {}
    legend = ax.get_legend()
    assert legend.get_visible()
    assert len(legend.get_texts()) == 4
    assert legend.get_window_extent().y1 <= ax.xaxis.get_tightbbox().y0
    assert legend.get_window_extent().y0 >= -1  # room was made


@pytest.mark.parametrize("letters", range(8, 20))
def test_the_svg_shows_what_room_was_made_for(letters):
    """Also where names all but fit, and though the edges of an SVG are cut to what it shows."""
    fig, ax = falling([0.1, 0.5, 0.9], figsize=(3.4, 3.2))
    ax.lines[1].set_label("m" + "o" * (letters - 1))
    plots.label_lines(ax)
    outside = not named(ax)
    svg = phone.as_svg(fig)
    assert bool(named(ax)) != outside
    assert (svg.count('id="legend_') == 1) == outside


def test_only_what_has_a_label_is_named():
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match=r"^ax must have a line with a label; got none"):
        plots.label_lines(ax)
    ax.plot([0, 1])
    ax.plot([0, 2], label="two")
    plots.label_lines(ax)
    assert list(named(ax)) == ["two"]


@pytest.mark.parametrize("colour", plots.COLOURS)
def test_names_can_be_read_on_white(colour):
    letters = np.array(labels.readable(colour))
    linear = np.where(letters <= 0.04045, letters / 12.92, ((letters + 0.055) / 1.055) ** 2.4)
    assert 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05) >= 4.5


def test_spread_is_the_nearest_that_keeps_apart():
    assert labels.spread([0.9, 0.1, 0.5], 0.1) == pytest.approx([0.9, 0.1, 0.5])
    assert labels.spread([0.5, 0.5], 0.2) == pytest.approx([0.4, 0.6])
    assert labels.spread([1.0, 0.99], 0.2) == pytest.approx([1.0, 0.8])
    rng = np.random.default_rng(0)
    for n in range(1, 8):
        wanted = rng.random(n)
        places = labels.spread(wanted, 0.1)
        order = np.argsort(wanted)
        assert np.diff(places[order]).min(initial=1) >= 0.1 - 1e-12
        assert 0 <= places.min() <= places.max() <= 1 + 1e-12
        cost = ((places - wanted) ** 2).sum()
        for _ in range(200):  # no other allowed arrangement is nearer
            other = np.sort(places + rng.normal(0, 0.05, n))
            if np.diff(other).min(initial=1) >= 0.1 and other[0] >= 0 and other[-1] <= 1:
                assert ((other - wanted[order]) ** 2).sum() >= cost - 1e-12


# ---- figures for phones


def grid(rows, columns, **kwargs):
    fig, axes = plt.subplots(rows, columns, figsize=(7.6, 3.2 * rows), squeeze=False, **kwargs)
    for i, ax in enumerate(axes.flat):
        ax.plot(EPOCHS, np.exp(-EPOCHS / (i + 2)), label="loss", **plots.series(i))
        ax.set_title(f"panel {i}")
    return fig, axes


def boxes(fig):
    fig.draw_without_rendering()
    return [ax.get_tightbbox() for ax in fig.axes]


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 2), (1, 3), (2, 2)])
def test_on_a_phone_panels_stack_in_reading_order(rows, columns):
    fig, _ = grid(rows, columns)
    heights = [box.height for box in boxes(fig)]
    with phone.stacked(fig):
        assert fig.get_figwidth() == phone.WIDTH
        panels = boxes(fig)
        for above, below in pairwise(panels):
            assert above.y0 >= below.y1
        for box, height in zip(panels, heights, strict=True):
            assert box.width > 0.9 * fig.bbox.width
            assert box.height == pytest.approx(height, rel=0.15)


def test_shared_axes_are_named_in_each_panel_of_a_stack():
    fig, axes = grid(2, 2, sharex=True, sharey=True)
    for ax in axes[:, 0]:
        ax.set_ylabel("loss (nats)")
    for ax in axes[-1]:
        ax.set_xlabel("epoch")
    with phone.stacked(fig):
        fig.draw_without_rendering()
        for ax in axes.flat:
            assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "loss (nats)")
            for axis in (ax.xaxis, ax.yaxis):
                assert axis.get_ticklabels()[0].get_visible()
                assert any(label.get_text() for label in axis.get_ticklabels())


def test_on_a_phone_a_legend_stands_below_its_panel():
    fig, axes = grid(1, 2)
    axes[0, 0].legend(title="which")
    axes[0, 1].set_xlabel("epoch")
    plots.label_lines(axes[0, 1])
    axes[0, 1].lines[0].set_label("x")
    with phone.stacked(fig):
        fig.draw_without_rendering()
        legends = [a for a in axes[0, 0].get_children() if isinstance(a, phone.Legend)]
        (shown,) = [legend for legend in legends if legend.get_visible()]
        box = shown.get_window_extent()
        assert shown.get_title().get_text() == "which"
        assert box.y1 <= axes[0, 0].xaxis.get_tightbbox().y0
        assert box.y0 >= axes[0, 1].get_tightbbox().y1


def test_a_legend_never_takes_the_room_of_its_panel():
    fig, axes = grid(1, 2)
    for i in range(4):
        axes[0, 0].plot(EPOCHS, label=f"a rather long name {i}")
    axes[0, 0].legend()
    with phone.stacked(fig):
        fig.draw_without_rendering()
        one, other = (ax.bbox.width for ax in axes.flat)
        assert one == pytest.approx(other, rel=0.05)


def test_long_words_are_broken_on_a_phone():
    fig, axes = grid(1, 2)
    axes[0, 0].set_title("a title that is somewhat longer than what a telephone can show in a line")
    with phone.stacked(fig):
        fig.draw_without_rendering()
        assert "\n" in axes[0, 0].get_title(loc="left")
        assert max(box.x1 for box in boxes(fig)) <= fig.bbox.x1 + 1


def figures():
    fig, axes = grid(2, 2, sharex=True, sharey=True)
    axes[0, 0].legend(loc="lower left")
    plots.label_lines(axes[1, 1])
    yield fig
    fig, axes = grid(1, 2)
    axes[0, 0].twinx().plot(EPOCHS)
    yield fig
    fig, axes = plt.subplots(1, 2)
    axes[0].imshow(np.eye(3), aspect="auto")
    yield fig
    fig = plt.figure()
    fig.subfigures(1, 2)[0].subplots().plot([0, 1])
    yield fig
    fig = plt.figure(layout="none")
    fig.add_axes((0.1, 0.1, 0.8, 0.8)).plot([0, 1])
    yield fig


def without_twin(svg):
    """Nor the last digits, which a second drawing may change, and the names that come of them."""
    svg = re.sub('<!--l2g-phone .*-->\n|#p[0-9a-f]{10}|id="p[0-9a-f]{10}', "", svg)
    return re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", svg)


def test_the_figure_is_afterwards_as_before(monkeypatch):
    for fig in figures():
        monkeypatch.delenv("L2G_PHONE", raising=False)
        before = phone.as_svg(fig)
        monkeypatch.setenv("L2G_PHONE", "1")
        for _ in range(2):
            assert without_twin(phone.as_svg(fig)) == without_twin(before)


def test_the_twin_travels_in_the_svg_only_when_asked(monkeypatch):
    fig, _ = grid(1, 2)
    monkeypatch.delenv("L2G_PHONE", raising=False)
    assert "l2g-phone" not in phone.as_svg(fig)
    monkeypatch.setenv("L2G_PHONE", "1")
    (packed,) = re.findall("<!--l2g-phone (.*)-->", phone.as_svg(fig))
    twin = zlib.decompress(b64decode(packed)).decode()
    width, height = map(float, re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', twin).groups())
    assert width < 72 * 3.6
    assert height > 1.5 * width
    assert phone.as_svg(plt.figure()) is None


def draw_image(ax):
    ax.imshow(np.eye(3))


def draw_mesh(ax):
    ax.pcolormesh(np.eye(3))


def fill_contours(ax):
    ax.contourf(np.eye(3))


def draw_contours(ax):
    ax.contour(np.eye(3))


@pytest.mark.parametrize(
    ("draw", "kept"),
    [
        (draw_image, True),
        (draw_mesh, True),
        (fill_contours, True),
        (draw_contours, False),
        (lambda ax: ax.plot([0, 1]), False),
        (lambda ax: ax.scatter([0, 1], [0, 1], c=[0, 1]), False),
        (lambda ax: ax.fill_between([0, 1], [0, 1]), False),
    ],
    ids=["image", "mesh", "filled", "contours", "line", "points", "band"],
)
def test_colours_that_mean_numbers_are_kept(draw, kept):
    fig, ax = plt.subplots()
    draw(ax)
    assert ('<svg class="l2g-keep-colours"' in phone.as_svg(fig)) is kept
