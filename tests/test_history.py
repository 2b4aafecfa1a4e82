import json
import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from l2g.history import EarlyStopping, History

NAN, INF = math.nan, math.inf


def history_of(val_loss, **options):
    columns = {"running_loss": [1.0] * len(val_loss), "val_loss": list(val_loss)}
    return History(3, columns, [0.1] * len(val_loss), **options)


def test_columns_are_read_as_arrays():
    history = history_of([2.0, 1.0])
    assert isinstance(history["val_loss"], np.ndarray)
    assert history["val_loss"].tolist() == [2.0, 1.0]
    assert history.epochs == 2
    with pytest.raises(KeyError, match="no column 'val'; there are running_loss, val_loss"):
        history["val"]


@pytest.mark.parametrize(
    ("losses", "best"),
    [([3, 1, 2], 1), ([3, 1, 1], 1), ([NAN, 2, NAN], 1), ([NAN, NAN], None), ([], None)],
)
def test_best_epoch_is_the_first_lowest_and_never_nan(losses, best):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert history_of(losses).best_epoch == best


def test_the_best_epoch_goes_by_the_column_that_is_watched(tmp_path):
    columns = {"val_loss": [1.0, 2.0, 3.0, 0.5], "val_accuracy": [0.1, NAN, 0.7, 0.7]}
    history = History(0, columns, [0.1] * 4, monitor="val_accuracy", mode="max")
    assert (history.best_epoch, history.best("val_loss").tolist()) == (2, [3.0])
    many = History.stack([history, history])
    assert (many.best_epoch, many.best("val_accuracy").tolist()) == ([2, 2], [0.7, 0.7])
    many.save(tmp_path / "history.json")
    assert History.load(tmp_path / "history.json").best_epoch == [2, 2]


def test_a_history_that_was_saved_without_a_monitor_goes_by_the_loss():
    older = {
        k: v for k, v in history_of([3.0, 1.0]).to_dict().items() if k[:4] not in ("moni", "mode")
    }
    assert History.from_dict(older) == history_of([3.0, 1.0])


@pytest.mark.parametrize("losses", [[2.0, 1.25], [NAN, NAN], []])
def test_repr_is_one_readable_line(losses):
    text = repr(history_of(losses))
    assert "\n" not in text
    assert text.startswith(f"History(seed=3, epochs={len(losses)}, best_epoch=")
    assert ("val_loss=1.25" in text) == (1.25 in losses)


def test_equality_ignores_time_and_knows_nan():
    history, other = history_of([NAN, 1.0]), history_of([float("nan"), 1.0])
    other.seconds = [7.0, 8.0]
    assert history == other
    assert history != history_of([NAN, 1.1])
    assert history != history_of([NAN, 1.0], stopped_early=True)
    assert history != "a string"


def test_a_saved_history_comes_back_exactly(tmp_path):
    history = history_of([0.1 + 0.2, NAN, INF, -INF, 1e-300], stopped_early=True)
    path = tmp_path / "history.json"
    history.save(path)
    assert History.load(path) == history
    assert History.load(str(path)).seconds == history.seconds
    # Strict JSON, which other programs can read: no NaN or Infinity outside strings.
    json.loads(path.read_text(), parse_constant=pytest.fail)
    assert [file.name for file in tmp_path.iterdir()] == ["history.json"]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"seed": 0, "columns": {"a": [1]}, "seconds": []}']
)
def test_a_file_without_history_is_named(tmp_path, content):
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"other\.json does not hold a History"):
        History.load(path)
    with pytest.raises(FileNotFoundError):
        History.load(tmp_path / "missing.json")


# --- Early stopping -------------------------------------------------------------------------------


def watch(stopping, losses):
    """Feed one value per epoch; return the number of epochs until the stop, and the model."""
    model = nn.Linear(1, 1)
    history = History(0, {stopping.monitor: []})
    for epoch, value in enumerate(losses):
        nn.init.constant_(model.weight, epoch)
        history.append({stopping.monitor: value}, seconds=0.0)
        if stopping(history, model):
            break
    return history.epochs, model


@pytest.mark.parametrize(
    ("losses", "options", "epochs", "best"),
    [
        ([3, 2, 2.5, 2.6, 1, 1], {"patience": 2}, 4, 1),
        ([3, 2, 2.5, 1.9, 2, 2], {"patience": 2}, 6, 3),
        ([3, 2, 2, 2, 2], {"patience": 2}, 4, 1),  # ties are no improvement
        ([3, 2, 1.95, 1.91, 1.85, 3], {"patience": 3, "min_delta": 0.1}, 6, 4),  # from the best
        ([2, 1, 0], {"patience": 1, "min_delta": 1.0}, 2, 0),  # more than min_delta
        ([NAN, NAN, 5, NAN, NAN, NAN, 0], {"patience": 3}, 6, 2),
        ([NAN, NAN, 1], {"patience": 2}, 2, None),
        ([INF, 4, INF, INF], {"patience": 2}, 4, 1),
        ([INF, INF, 1], {"patience": 2}, 2, None),
        ([0.1, 0.5, 0.4, 0.5], {"patience": 2, "mode": "max"}, 4, 1),
        ([-INF, 0.5, NAN, 0.4], {"patience": 2, "mode": "max"}, 4, 1),
        ([3, 2, 1], {"patience": 1}, 3, 2),
    ],
)
def test_early_stopping_rule(losses, options, epochs, best):
    stopping = EarlyStopping(monitor="watched", **{"mode": "min"} | options)
    stopped_at, model = watch(stopping, losses)
    assert (stopped_at, stopping.best_epoch) == (epochs, best)
    if best is not None:
        stopping.restore(model)
        assert model.weight.item() == best


def test_best_weights_are_a_copy():
    stopping = EarlyStopping(patience=5)
    _, model = watch(stopping, [1.0, 2.0])
    assert model.weight.item() == 1
    assert stopping.best_weights["weight"].item() == 0
    assert stopping.best_weights["weight"].data_ptr() != model.weight.data_ptr()


def test_without_restore_best_weights_stay():
    stopping = EarlyStopping(patience=5, restore_best=False)
    _, model = watch(stopping, [1.0, 2.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stopping.restore(model)
    assert model.weight.item() == 1
    assert stopping.best_weights is None


def test_nothing_ever_improved_is_a_warning():
    stopping = EarlyStopping(patience=2)
    _, model = watch(stopping, [NAN, NAN])
    with pytest.warns(RuntimeWarning, match="val_loss never improved"):
        stopping.restore(model)
    assert model.weight.item() == 1


def test_a_second_run_forgets_the_first():
    stopping = EarlyStopping(patience=2)
    watch(stopping, [0.3, 0.2, 0.1])
    epochs, model = watch(stopping, [4.0, 5.0, 6.0])
    assert (epochs, stopping.best_epoch) == (3, 0)
    stopping.restore(model)
    assert model.weight.item() == 0


def test_state_goes_through_a_dict():
    stopping, copy = EarlyStopping(patience=4), EarlyStopping(patience=4)
    watch(stopping, [3.0, 1.0, 2.0])
    copy.load_state_dict(stopping.state_dict())
    assert copy == stopping
    assert torch.equal(copy.best_weights["weight"], stopping.best_weights["weight"])


@pytest.mark.parametrize(
    ("monitor", "mode"),
    [
        ("val_loss", "min"),
        ("train_loss", "min"),
        ("running_loss", "min"),
        ("val_log_loss", "min"),
        ("val_error_rate", "min"),
        ("val_brier_score", "min"),
        ("val_mse", "min"),
        ("val_accuracy", "max"),
        ("train_accuracy", "max"),
        ("val_top5_accuracy", "max"),
        ("val_macro_f1", "max"),
        ("val_average_precision", "max"),
        ("val_roc_auc", "max"),
        ("val_ndcg", "max"),
    ],
)
def test_the_name_of_the_column_tells_which_values_are_better(monitor, mode):
    values = [2.0, 3.0, 1.0, 2.0]
    stopping = EarlyStopping(patience=4, monitor=monitor)
    watch(stopping, values)
    assert stopping.mode == mode
    assert values[stopping.best_epoch] == {"min": min, "max": max}[mode](values)
    other = {"min": "max", "max": "min"}[mode]
    assert EarlyStopping(monitor=monitor, mode=other).mode == other  # what is said counts


@pytest.mark.parametrize("monitor", ["watched", "val_score", "val_gap", "val_accuracy_loss", ""])
def test_a_name_that_does_not_tell_is_asked_about(monitor):
    with pytest.raises(ValueError, match=rf"mode must be 'min' or 'max' for monitor='{monitor}'"):
        EarlyStopping(monitor=monitor)
    assert EarlyStopping(monitor=monitor, mode="max").mode == "max"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"patience": 0}, ValueError, "patience must be at least 1, got 0"),
        ({"patience": 1.5}, TypeError, "patience must be an integer, got 1.5"),
        ({"patience": True}, TypeError, "patience must be an integer, got True"),
        ({"min_delta": -0.1}, ValueError, "min_delta must be at least 0 and finite, got -0.1"),
        ({"min_delta": NAN}, ValueError, "min_delta must be at least 0 and finite, got nan"),
        ({"min_delta": "0"}, TypeError, "min_delta must be a number, got '0'"),
        ({"mode": "lowest"}, ValueError, "mode must be 'min' or 'max', got 'lowest'"),
        ({"monitor": None}, TypeError, "monitor must be the name of a column, got None"),
    ],
)
def test_impossible_early_stopping(options, error, message):
    with pytest.raises(error, match=message):
        EarlyStopping(**options)
