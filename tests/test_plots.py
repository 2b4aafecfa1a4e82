"""Plots: what is drawn is what was measured."""

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from l2g import plots
from l2g.history import History


def test_band_draws_median_and_range():
    runs = np.array([[1.0, 5.0, 3.0], [2.0, 4.0, np.nan], [9.0, 6.0, 4.0]])
    _, ax = plt.subplots()
    plots.band(ax, [10, 20, 30], runs, 1, label="runs")
    (line,) = ax.lines
    assert line.get_xdata().tolist() == [10, 20, 30]
    assert line.get_ydata().tolist() == [2.0, 5.0, 3.5]
    assert line.get_label() == "runs"
    (band,) = ax.collections
    corners = {tuple(v) for v in band.get_paths()[0].vertices}
    assert {(10, 1), (10, 9), (20, 4), (20, 6), (30, 3), (30, 4)} <= corners
    plt.close()


def test_curves_draw_one_band_for_each_history():
    one = History(0, {"val_loss": [3.0, 2.0]}, [1.0, 1.0])
    many = History.stack([one, History(1, {"val_loss": [5.0, 4.0]}, [1.0, 1.0])])
    _, ax = plt.subplots()
    plots.curves(ax, {"one": one, "many": many}, "val_loss")
    assert [line.get_label() for line in ax.lines] == ["one", "many"]
    assert [line.get_xdata().tolist() for line in ax.lines] == [[1, 2], [1, 2]]
    assert [line.get_ydata().tolist() for line in ax.lines] == [[3, 2], [4, 3]]
    assert ax.get_xlabel() == "epoch"
    plt.close()


def test_series_differ_without_colour():
    looks = [plots.series(i, marker=True) for i in range(7)]
    assert len({str(s["linestyle"]) for s in looks}) == 7
    assert len({s["marker"] for s in looks}) == 7


def test_the_style_gives_the_same_bytes_twice(tmp_path):
    plots.use_style()
    files = []
    for name in ("a.svg", "b.svg"):
        fig, ax = plt.subplots()
        plots.band(ax, [0, 1], [[0, 1], [1, 2]], 0, label="x")
        fig.savefig(tmp_path / name, metadata={"Date": None})
        plt.close(fig)
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1]


def test_wrong_shape_is_named():
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match=r"runs must have shape \(R, 3\), got \(3,\)"):
        plots.band(ax, [1, 2, 3], [1, 2, 3], 0, label="x")
    plt.close()
