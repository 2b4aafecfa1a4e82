import math
import sys
from functools import partial
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from l2g.data import Split, load
from l2g.evaluation import choose_device, evaluate
from l2g.losses import cross_entropy
from l2g.metrics import accuracy
from l2g.models import mlp
from l2g.training import EarlyStopping, fit

SGD = partial(torch.optim.SGD, lr=0.1, momentum=0.9)
N_TRAIN, N_FEATURES, N_CLASSES = 203, 5, 3


def make_splits(seed=0, *, regression=False):
    """Three noisy classes; without a test split, so that touching it is an AttributeError."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(N_TRAIN + 50, N_FEATURES, generator=generator)
    scores = x[:, :N_CLASSES] + 0.5 * torch.randn(len(x), N_CLASSES, generator=generator)
    y = scores.sum(1, keepdim=True) if regression else scores.argmax(1)
    return SimpleNamespace(
        train=Split(x[:N_TRAIN], y[:N_TRAIN]), val=Split(x[N_TRAIN:], y[N_TRAIN:])
    )


def make_net(seed=0, *, noisy=True, outputs=N_CLASSES):
    extra = [nn.BatchNorm1d(16), nn.Dropout(0.3)] if noisy else []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(N_FEATURES, 16), *extra, nn.ReLU(), nn.Linear(16, outputs))


def run(model, splits=None, **options):
    defaults = {"epochs": 3, "seed": 0, "batch_size": 32, "device": "cpu", "progress": False}
    return fit(model, splits or make_splits(), **(defaults | options))


def assert_same_state(model, other):
    state, other_state = model.state_dict(), other.state_dict()
    assert state.keys() == other_state.keys()
    for name in state:
        assert torch.equal(state[name], other_state[name]), name


# --- The loop -------------------------------------------------------------------------------------


@pytest.mark.parametrize("noisy", [False, True], ids=["plain", "batchnorm_dropout"])
@pytest.mark.parametrize("optimizer", [SGD, torch.optim.Adam], ids=["sgd", "adam"])
@pytest.mark.parametrize("loss", [cross_entropy, F.cross_entropy], ids=["l2g", "torch"])
def test_fit_is_the_loop_written_by_hand(noisy, optimizer, loss):
    splits, seed, epochs = make_splits(), 5, 3
    model = make_net(noisy=noisy)
    history = run(model, splits, optimizer=optimizer, loss=loss, epochs=epochs, seed=seed)

    by_hand = make_net(noisy=noisy)
    optim = optimizer(by_hand.parameters())
    order = torch.Generator().manual_seed(seed)
    running, val = [], []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for _ in range(epochs):
            by_hand.train()
            total = 0.0
            for index in torch.randperm(N_TRAIN, generator=order).split(32):
                x, y = splits.train.x[index], splits.train.y[index]
                optim.zero_grad()
                batch_loss = loss(by_hand(x), y)
                batch_loss.backward()
                optim.step()
                total += batch_loss.item() * len(x)
            running.append(total / N_TRAIN)
            by_hand.eval()
            with torch.no_grad():
                val.append(loss(by_hand(splits.val.x), splits.val.y).item())

    assert_same_state(model, by_hand)
    assert history["running_loss"] == pytest.approx(running, rel=1e-6)
    assert history["val_loss"] == pytest.approx(val, rel=1e-6)


def test_the_same_seed_gives_the_same_weights_and_another_does_not():
    models = [make_net() for _ in range(3)]
    histories = []
    for model, seed, outer_seed in zip(models, [1, 1, 2], [10, 11, 12], strict=True):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(outer_seed)  # the caller's random state must not matter
            histories.append(run(model, seed=seed))
    assert_same_state(models[0], models[1])
    assert histories[0] == histories[1]
    assert histories[0] != histories[2]
    assert not torch.equal(models[0][0].weight, models[2][0].weight)


DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")),
]


def random_states(device):
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if device == "cuda" else [])]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("failing", [False, True])
def test_the_callers_random_state_is_left_alone(device, failing):
    def hook(history, model):
        torch.rand(3), torch.rand(3, device=device)
        if failing:
            raise RuntimeError("stop")

    torch.rand(7)  # a state that no seed leads to at once
    before = random_states(device)
    if failing:
        with pytest.raises(RuntimeError, match="stop"):
            run(make_net(), after_epoch=[hook], device=device)
    else:
        run(make_net(), after_epoch=[hook], device=device)
    evaluate(make_net(), make_splits().val)
    assert all(map(torch.equal, before, random_states(device)))


def test_batches_are_weighted_by_their_size():
    splits = make_splits()
    splits.train.x[-1] *= 1000  # one example dominates, and sits in the short last batch or not
    model = make_net(noisy=False)
    expected = cross_entropy(model(splits.train.x), splits.train.y).item()
    frozen = partial(torch.optim.SGD, lr=0.0)
    for batch_size in (1, 7, 100, 202, 203, 1000):
        history = run(model, splits, optimizer=frozen, epochs=1, batch_size=batch_size)
        assert history["running_loss"] == pytest.approx([expected], rel=1e-5)
        assert history["train_loss"] == pytest.approx([expected], rel=1e-5)


def test_running_loss_is_taken_in_training_mode_and_the_others_in_evaluation_mode():
    splits, model = make_splits(), make_net()
    history = run(model, splits, epochs=4)
    assert history["train_loss"][-1] == pytest.approx(evaluate(model, splits.train)["loss"])
    assert history["val_loss"][-1] == pytest.approx(evaluate(model, splits.val)["loss"])
    assert history["val_accuracy"][-1] == pytest.approx(evaluate(model, splits.val)["accuracy"])
    dropped = run(nn.Sequential(nn.Dropout(0.9), model), splits, optimizer=partial(SGD, lr=0.0))
    assert (dropped["running_loss"] > dropped["train_loss"] + 0.03).all()


def test_only_training_batches_move_the_running_statistics():
    model = make_net()
    run(model, epochs=3)
    assert model[1].num_batches_tracked == 3 * math.ceil(N_TRAIN / 32)
    assert not any(module.training for module in model.modules())


def test_frozen_parameters_stay_and_keep_no_gradient():
    model = make_net()
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    run(model, optimizer=partial(torch.optim.AdamW, weight_decay=0.5))
    assert torch.equal(model[0].weight, before)
    assert model[0].weight.grad is None


def test_the_loop_does_not_wait_for_the_device_in_every_batch(monkeypatch):
    calls = []
    original = torch.Tensor.item
    monkeypatch.setattr(torch.Tensor, "item", lambda t: calls.append(1) or original(t))
    counts = []
    for batch_size in (8, 64):
        calls.clear()
        run(make_net(), loss=F.cross_entropy, optimizer=SGD, batch_size=batch_size)
        counts.append(len(calls))
    assert counts[0] == counts[1]


def test_uint8_images_are_trained_as_numbers_between_0_and_1():
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(256, (60, 1, 4, 4), generator=generator, dtype=torch.uint8)
    y = (x.float().mean((1, 2, 3)) > 127).to(torch.uint8)
    bytes_, floats = Split(x, y), Split(x.float() / 255, y.long())
    models = [mlp((16, 8, 2), seed=0) for _ in range(2)]
    histories = [
        run(model, SimpleNamespace(train=split, val=split))
        for model, split in zip(models, (bytes_, floats), strict=True)
    ]
    assert histories[0] == histories[1]
    assert_same_state(*models)


def test_digits_are_learned():
    model = mlp((64, 64, 10), seed=0)
    digits = load("digits")
    history = run(model, digits, epochs=15)
    assert history["val_accuracy"][-1] > 0.9
    assert evaluate(model, digits.val)["accuracy"] == history["val_accuracy"][-1]


# --- History, metrics, hooks ----------------------------------------------------------------------


def test_columns():
    history = run(make_net())
    names = ["running_loss", "train_loss", "train_accuracy", "val_loss", "val_accuracy"]
    assert [*history.columns] == names
    assert all(len(column) == 3 for column in history.columns.values())
    assert (history.seed, history.epochs, history.stopped_early) == (0, 3, False)
    assert len(history.seconds) == 3
    assert min(history.seconds) > 0


def test_without_train_curves_the_weights_are_the_same():
    model, other = make_net(), make_net()
    history = run(model, eval_train=False)
    full = run(other)
    assert [*history.columns] == ["running_loss", "val_loss", "val_accuracy"]
    assert history.columns.items() <= full.columns.items()
    assert_same_state(model, other)


def test_metrics_are_named_by_the_caller():
    def error_rate(logits, targets):
        return 1 - accuracy(logits, targets)

    history = run(make_net(), metrics={"error": error_rate, "hits": accuracy})
    assert history["val_error"] == pytest.approx(1 - history["val_hits"])
    assert [*run(make_net(), metrics={}).columns] == ["running_loss", "train_loss", "val_loss"]
    assert evaluate(make_net(), make_splits().val, metrics={}).keys() == {"loss"}


def test_regression_has_no_accuracy():
    splits = make_splits(regression=True)
    history = run(make_net(outputs=1, noisy=False), splits, loss=F.mse_loss, epochs=20)
    assert [*history.columns] == ["running_loss", "train_loss", "val_loss"]
    assert history["val_loss"][-1] < 0.7 * history["val_loss"][0]


def test_hooks_see_each_epoch_in_evaluation_mode_and_may_stop():
    seen = []

    def watch(history, model):
        seen.append((history.epochs, history["val_loss"][-1], model.training))

    def stop(history, model):
        return history.epochs == 2

    history = run(make_net(), epochs=9, after_epoch=[stop, watch])
    assert seen == [(i + 1, loss, False) for i, loss in enumerate(history["val_loss"])]
    assert (history.epochs, history.stopped_early) == (2, True)


def test_early_stopping_ends_the_run_and_restores_the_best_weights():
    splits, weights = make_splits(), []
    stopping = EarlyStopping(patience=3)
    model = make_net(noisy=False)

    def keep(history, model):
        weights.append(model[0].weight.clone())

    history = run(
        model,
        splits,
        optimizer=partial(torch.optim.Adam, lr=0.1),
        epochs=200,
        early_stopping=stopping,
        after_epoch=[keep],
    )
    assert history.stopped_early
    assert history.epochs == history.best_epoch + 1 + 3
    assert stopping.best_epoch == history.best_epoch
    assert torch.equal(model[0].weight, weights[history.best_epoch])
    assert evaluate(model, splits.val)["loss"] == pytest.approx(history["val_loss"].min())


def test_best_weights_are_restored_when_the_epoch_limit_comes_first():
    splits, model = make_splits(), make_net(noisy=False)
    options = {"optimizer": partial(torch.optim.Adam, lr=0.1), "epochs": 40}
    history = run(model, splits, early_stopping=EarlyStopping(patience=100), **options)
    assert not history.stopped_early
    assert history.best_epoch < 39
    assert evaluate(model, splits.val)["loss"] == pytest.approx(history["val_loss"].min())
    last = make_net(noisy=False)
    stopping = EarlyStopping(patience=100, restore_best=False)
    assert run(last, splits, early_stopping=stopping, **options) == history
    assert evaluate(last, splits.val)["loss"] == pytest.approx(history["val_loss"][-1])


def test_the_best_epoch_is_the_one_that_is_restored_whatever_is_watched():
    splits, model = make_splits(), make_net(noisy=False)
    stopping = EarlyStopping(patience=100, monitor="val_accuracy")
    adam = partial(torch.optim.Adam, lr=0.1)
    history = run(model, splits, optimizer=adam, epochs=40, early_stopping=stopping)
    assert history.best_epoch == stopping.best_epoch == history["val_accuracy"].argmax()
    assert history.best_epoch != history["val_loss"].argmin()
    for name, value in evaluate(model, splits.val).items():
        assert value == pytest.approx(history.best(f"val_{name}").item())


class NaNInEvaluation(nn.Linear):
    def forward(self, x):
        return super().forward(x) * (1 if self.training else math.nan)


@pytest.mark.parametrize("loss", [cross_entropy, F.cross_entropy], ids=["l2g", "torch"])
def test_a_validation_loss_of_nan_is_recorded_and_never_best(loss):
    model = NaNInEvaluation(N_FEATURES, N_CLASSES)
    with pytest.warns(RuntimeWarning, match="val_loss never improved") as caught:
        history = run(model, loss=loss, epochs=9, early_stopping=EarlyStopping(patience=4))
    assert caught[0].filename == __file__.replace(".pyc", ".py")
    assert (history.epochs, history.stopped_early, history.best_epoch) == (4, True, None)
    assert all(map(math.isnan, history["val_loss"]))
    assert (history["val_accuracy"] == 0).all()


@pytest.mark.parametrize("loss", [cross_entropy, F.cross_entropy], ids=["l2g", "torch"])
def test_divergence_is_named(loss):
    with pytest.raises(FloatingPointError, match=r"epoch 1 is (nan|inf).*lower lr"):
        run(make_net(noisy=False), loss=loss, optimizer=partial(torch.optim.SGD, lr=1e30))


# --- Evaluation -----------------------------------------------------------------------------------


def test_evaluate_means_over_all_examples_whatever_the_batch_size():
    split, model = make_splits().train, make_net().eval()
    logits = model(split.x)
    expected = {
        "loss": F.cross_entropy(logits, split.y).item(),
        "accuracy": (logits.argmax(1) == split.y).float().mean().item(),
    }
    for batch_size in (1, 7, 64, 202, 1024):
        assert evaluate(model, split, batch_size=batch_size) == pytest.approx(expected, rel=1e-6)


class Failing(nn.Module):
    def forward(self, x):
        raise RuntimeError("broken forward")


@pytest.mark.parametrize("failing", [False, True])
def test_evaluate_puts_every_module_back_into_its_mode(failing):
    model = make_net().train()
    model[1].eval()
    if failing:
        model.append(Failing())
    modes = [module.training for module in model.modules()]
    statistics = model[1].running_mean.clone()
    if failing:
        with pytest.raises(RuntimeError, match="broken forward"):
            evaluate(model, make_splits().val)
    else:
        first, second = evaluate(model, make_splits().val), evaluate(model, make_splits().val)
        assert first == second  # no dropout
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(model[1].running_mean, statistics)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_evaluate_needs_no_parameters():
    x = torch.eye(3)
    result = evaluate(nn.Identity(), Split(x, torch.tensor([0, 1, 0])))
    assert result["accuracy"] == pytest.approx(2 / 3)


# --- Progress -------------------------------------------------------------------------------------


def test_short_runs_print_nothing(capsys):
    run(make_net(), progress=True)
    assert capsys.readouterr() == ("", "")


def test_long_runs_show_a_bar(capsys, monkeypatch):
    clock = iter(range(0, 10**6, 5))
    monkeypatch.setattr("tqdm.std.time", lambda: next(clock))  # five seconds between two looks
    run(make_net(), progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "fit" in err
    assert "/3" in err


def test_without_progress_tqdm_is_not_needed(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    run(make_net(), progress=False)
    with pytest.raises(ImportError):
        run(make_net(), progress=True)


# --- Bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "epochs must be at least 1, got 0"),
        ({"epochs": 2.0}, TypeError, "epochs must be an integer, got 2.0"),
        ({"epochs": True}, TypeError, "epochs must be an integer, got True"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
        ({"batch_size": "8"}, TypeError, "batch_size must be an integer"),
        ({"seed": None}, TypeError, "seed must be an integer, got None"),
        ({"seed": 0.5}, TypeError, "seed must be an integer"),
        ({"seed": -1}, ValueError, "seed must be at least 0"),
        ({"device": "gpu"}, ValueError, "device must be one of this machine.*'gpu'"),
        ({"optimizer": "adam"}, TypeError, "optimizer must make an optimizer, got str"),
        ({"early_stopping": 5}, TypeError, "early_stopping must be an EarlyStopping or None"),
        ({"early_stopping": EarlyStopping(monitor="val_f1")}, ValueError, "monitor.*'val_f1'"),
        (
            {"early_stopping": EarlyStopping(monitor="train_loss"), "eval_train": False},
            ValueError,
            "monitor must be one of running_loss, val_loss, val_accuracy, got 'train_loss'",
        ),
        ({"after_epoch": print}, TypeError, "after_epoch must be a sequence of callables"),
        ({"after_epoch": [3]}, TypeError, "after_epoch must be a sequence of callables"),
        ({"after_epoch": [EarlyStopping()]}, TypeError, "as early_stopping="),
        ({"metrics": {"loss": accuracy}}, ValueError, "'loss'"),
        ({"metrics": {"hits": lambda z, y: z.argmax(1) == y}}, ValueError, "hits must return one"),
        ({"loss": partial(F.cross_entropy, reduction="none")}, ValueError, "loss must return one"),
    ],
)
def test_bad_settings(options, error, message):
    model = make_net()
    with pytest.raises(error, match=message):
        run(model, **options)
    assert_same_state(model, make_net())


def test_an_optimizer_in_place_of_a_factory():
    model = make_net()
    with pytest.raises(TypeError, match=r"got SGD: pass a factory such as functools\.partial"):
        run(model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1))


@pytest.mark.parametrize("part", ["train", "val"])
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda x, y: (x[:0], y[:0]), ValueError, "at least one, got 0 and 0"),
        (lambda x, y: (x, y[1:]), ValueError, "as many x as y"),
        (lambda x, y: (x.numpy(), y), TypeError, "tensors x and y, got ndarray and Tensor"),
        (lambda x, y: (x.masked_fill(x > 2, math.nan), y), ValueError, r"x holds \d+ NaN"),
        (lambda x, y: (x.masked_fill(x > 2, math.inf), y), ValueError, r"x holds \d+ NaN or inf"),
        (lambda x, y: (x, y + 1), ValueError, r"y: targets must lie in 0\.\.2 .* from 1 to 3"),
        (lambda x, y: (x, y - 1), ValueError, r"y: targets must lie in 0\.\.2 .* from -1 to 1"),
        (lambda x, y: (x, y[:, None]), ValueError, "targets must have shape"),
        (lambda x, y: (x, y.float()), TypeError, "targets must hold integer class indices"),
        (lambda x, y: (x, y == 1), TypeError, "targets must hold integer class indices"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_data(part, change, error, message):
    splits = make_splits()
    bad = Split(*change(*getattr(splits, part)))
    with pytest.raises(error, match=message) as caught:
        run(make_net(), SimpleNamespace(**(vars(splits) | {part: bad})))
    if "targets must h" not in message:  # said by the loss, which knows targets but no splits
        assert f"splits.{part}" in str(caught.value)
    with pytest.raises(error, match=message):
        evaluate(make_net(), bad)


def test_the_last_class_out_of_range_is_found_before_training():
    splits = make_splits()
    splits.train.y[-1] = N_CLASSES
    model = make_net()
    with pytest.raises(ValueError, match=r"splits\.train\.y: targets must lie in 0\.\.2"):
        run(model, splits)
    assert_same_state(model, make_net())


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (torch.relu, TypeError, "model must be a torch.nn.Module, got builtin_function"),
        (nn.ReLU(), ValueError, "model has no trainable parameters"),
        (make_net().requires_grad_(False), ValueError, "model has no trainable parameters"),
        (nn.Sequential(nn.Linear(5, 4), nn.Flatten(0)), ValueError, r"\(8,\).*one row of outputs"),
        (nn.Sequential(nn.Linear(5, 3), nn.Flatten(0)), ValueError, r"one row of outputs"),
        (nn.LSTM(5, 3), ValueError, "into tuple.*one row of outputs"),
    ],
)
def test_bad_models(model, error, message):
    with pytest.raises(error, match=message):
        run(model)


def test_targets_that_would_broadcast_against_the_outputs():
    splits = make_splits(regression=True)
    flat = [Split(x, y[:, 0]) for x, y in (splits.train, splits.val)]
    with pytest.raises(ValueError, match=r"\(2, 1\), y is \(2,\); expected equal shapes"):
        run(make_net(outputs=1), SimpleNamespace(train=flat[0], val=flat[1]), loss=F.mse_loss)


def test_choose_device():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device().type in ("cuda", "mps", "cpu")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="one of this machine, such as 'cpu', got 'cuda'"):
            choose_device("cuda")
