"""Population training: R runs at once have the numbers of R single runs."""

import math
import os
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from l2g import population
from l2g.data import Split, load
from l2g.evaluation import evaluate
from l2g.evidence import compare
from l2g.history import EarlyStopping, History
from l2g.metrics import accuracy
from l2g.models import TinyConvNet, mlp
from l2g.population import apart as apart_runs
from l2g.population import fit_many, memory, stack
from l2g.training import fit

N_TRAIN = 107  # in batches of 16: 7 steps, the last one of 11
SETTINGS = {"epochs": 3, "batch_size": 16, "device": "cpu", "progress": False}
SGD = partial(torch.optim.SGD, lr=0.1, momentum=0.9)
small_mlp = partial(mlp, (64, 16, 10))


def make_splits(dtype=torch.float32):
    """Few digits; without a test split, so that touching it is an AttributeError."""
    digits = load("digits")
    train = Split(digits.train.x[:N_TRAIN].to(dtype), digits.train.y[:N_TRAIN])
    return SimpleNamespace(train=train, val=Split(digits.val.x[:60].to(dtype), digits.val.y[:60]))


def many(make_model=small_mlp, splits=None, **options):
    return fit_many(make_model, splits or make_splits(), **(SETTINGS | {"runs": 3} | options))


def single(make_model=small_mlp, splits=None, *, seed=0, **options):
    """One call of ``fit``: its history, with the trained model as the only one."""
    model = make_model(seed=seed)
    history = fit(model, splits or make_splits(), seed=seed, **(SETTINGS | options))
    return History.stack([history], [model])


def assert_same(together, singles, tolerance=1e-5):
    """Weights, buffers and curves of a population against those of single runs."""
    assert len(together.models) == len(singles)
    for r, other in enumerate(singles):
        pairs = zip(
            together.models[r].state_dict().items(),
            other.models[0].state_dict().values(),
            strict=True,
        )
        for (name, ours), theirs in pairs:
            assert (ours - theirs).abs().max() <= tolerance, (r, name)
        for name in other.columns:
            ours, theirs = together[name][r], other[name][0]
            np.testing.assert_allclose(ours[: len(theirs)], theirs, atol=10 * tolerance, rtol=0)
            assert np.isnan(ours[len(theirs) :]).all()
        assert together.seed[r] == other.seed[0]
        assert together.stopped_early[r] == other.stopped_early[0]


def difference(together, others):
    pairs = zip(together.models, others.models, strict=True)
    return max(
        (ours - theirs).abs().nan_to_num().max().item()
        for model, other in pairs
        for ours, theirs in zip(
            model.state_dict().values(), other.state_dict().values(), strict=True
        )
    )


@pytest.fixture
def stacked(monkeypatch):
    """The sizes of the stacks that were trained."""
    sizes = []

    def note(runs, plan):
        sizes.append(len(runs))
        return stack.train_together(runs, plan)

    monkeypatch.setattr(population, "train_together", note)
    return sizes


# --- The same numbers -----------------------------------------------------------------------------

# Rates at which training neither blows up nor stands still: instability amplifies rounding.
STACKABLE = {
    "sgd": partial(torch.optim.SGD, lr=0.05),
    "nesterov": partial(torch.optim.SGD, lr=0.02, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "adam": torch.optim.Adam,
    "amsgrad": partial(torch.optim.Adam, amsgrad=True, weight_decay=1e-3),
    "adamw": torch.optim.AdamW,
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
    "adamax": partial(torch.optim.Adamax, lr=1e-3),
    "adagrad": partial(torch.optim.Adagrad, lr=1e-2),
    "adadelta": partial(torch.optim.Adadelta, lr=0.3),
    "rmsprop": partial(torch.optim.RMSprop, lr=1e-3, momentum=0.5, centered=True),
    "rprop": partial(torch.optim.Rprop, lr=1e-3),
    "asgd": torch.optim.ASGD,
}


def make_net(kind, dtype):
    def make(seed):
        if kind == "mlp":
            return mlp((64, 16, 10), seed=seed).to(dtype)
        norm = nn.BatchNorm2d if kind == "batchnorm" else None
        return TinyConvNet(10, in_shape=(1, 8, 8), norm=norm, seed=seed).to(dtype)

    return make


@pytest.mark.parametrize("optimizer", STACKABLE.values(), ids=STACKABLE)
@pytest.mark.parametrize("kind", ["mlp", "conv", "batchnorm"])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)], ids=["f32", "f64"]
)
def test_a_stack_equals_single_fits_after_50_steps(optimizer, kind, dtype, tolerance):
    make_model, splits = make_net(kind, dtype), make_splits(dtype)
    options = {"optimizer": optimizer, "epochs": 8, "eval_train": kind == "mlp"}
    together = many(make_model, splits, runs=2, stack=True, **options)
    singles = [single(make_model, splits, seed=seed, **options) for seed in range(2)]
    assert_same(together, singles, tolerance)
    start = make_model(seed=0).state_dict()
    moved = together.models[0].state_dict()
    assert max((moved[name] - start[name]).abs().max() for name in start) > 1e-3


class Langevin(torch.optim.SGD):
    """Noise that depends on what was drawn before: two runs in a stack would not draw alike."""

    def step(self, closure=None):
        super().step(closure)
        for weight in self.param_groups[0]["params"]:
            weight.data += 1e-3 * torch.randn(weight.shape)


class Clipped(torch.optim.SGD):
    def step(self, closure=None):
        nn.utils.clip_grad_norm_(self.param_groups[0]["params"], 1.0)
        super().step(closure)


def without_bias(seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 10, bias=False))


@pytest.mark.parametrize(
    ("optimizer", "make_model"),
    [
        (torch.optim.Adafactor, small_mlp),
        (torch.optim.Muon, without_bias),
        (partial(Langevin, lr=0.1), small_mlp),
        (partial(Clipped, lr=0.1), small_mlp),
    ],
)
def test_an_optimizer_that_mixes_numbers_is_never_stacked(optimizer, make_model, stacked):
    together = many(make_model, optimizer=optimizer)
    singles = [single(make_model, optimizer=optimizer, seed=seed) for seed in range(3)]
    assert_same(together, singles, tolerance=0)
    assert stacked == []
    with pytest.raises(ValueError, match="stack=True is impossible: the optimizer does not treat"):
        many(make_model, optimizer=optimizer, stack=True)


@pytest.mark.parametrize("shared", [True, False])
def test_losses_and_metrics_are_those_of_fit(shared):
    metrics = {"hits": accuracy, "entropy": F.cross_entropy}
    options = {"loss": partial(F.cross_entropy, label_smoothing=0.1), "metrics": metrics}
    indices = None if shared else [range(N_TRAIN)] * 3
    together = many(runs=[4, 4, 1], train_indices=indices, stack=True, **options)
    assert [*together.columns][-2:] == ["val_hits", "val_entropy"]
    assert_same(together, [single(seed=seed, **options) for seed in (4, 4, 1)])


def test_regression_on_bytes():
    digits = make_splits()
    splits = SimpleNamespace(
        train=Split((16 * digits.train.x).byte(), digits.train.y[:, None] / 10),
        val=Split((16 * digits.val.x).byte(), digits.val.y[:, None] / 10),
    )
    make_model, options = partial(mlp, (64, 8, 1)), {"loss": F.mse_loss, "optimizer": SGD}
    together = many(make_model, splits, stack=True, **options)
    assert [*together.columns] == ["running_loss", "train_loss", "val_loss"]
    assert_same(together, [single(make_model, splits, seed=seed, **options) for seed in range(3)])


class Tied(nn.Module):
    """One matrix in and out, a frozen scale, and a buffer that a forward pass updates in place."""

    def __init__(self, seed):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.inner, self.outer = nn.Linear(64, 64), nn.Linear(64, 64)
        self.outer.weight = self.inner.weight
        self.scale = nn.Parameter(torch.tensor(0.5 + seed), requires_grad=False)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        if self.training:
            self.seen += len(x)
        return self.scale * self.outer(self.inner(x.flatten(1)).relu())[:, :10]


def test_tied_and_frozen_parameters_and_buffers():
    together = many(Tied, optimizer=SGD, stack=True)
    assert_same(together, [single(Tied, optimizer=SGD, seed=seed) for seed in range(3)])
    for seed, model in enumerate(together.models):
        assert model.outer.weight is model.inner.weight
        assert (model.scale.item(), model.seen.item()) == (0.5 + seed, 3 * N_TRAIN)
        assert not any(module.training for module in model.modules())


class Branching(nn.Linear):
    """What ``vmap`` cannot run: a decision that depends on values."""

    def __init__(self, seed):
        torch.manual_seed(seed)  # inside make_model the global state may be used at will
        super().__init__(64, 10)

    def forward(self, x):
        x = super().forward(x.flatten(1))
        return x if x.sum() > 0 else 2 * x


def test_a_network_that_cannot_be_stacked_is_trained_all_the_same(stacked):
    state = torch.get_rng_state()
    together = many(Branching)
    assert torch.equal(torch.get_rng_state(), state)
    with torch.random.fork_rng(devices=[]):
        singles = [single(Branching, seed=seed) for seed in range(3)]
    assert_same(together, singles, tolerance=0)
    assert stacked == []
    with pytest.raises(ValueError, match=r"stack=True is impossible: torch\.vmap cannot run it \("):
        many(Branching, stack=True)


# --- What may differ between the runs -------------------------------------------------------------


def pick(splits, train=None, val=None, targets=None):
    """The splits of one run, as ``fit`` takes them."""
    train = torch.arange(N_TRAIN) if train is None else torch.as_tensor(train)
    val = torch.arange(len(splits.val.x)) if val is None else torch.as_tensor(val)
    y = splits.train.y if targets is None else targets
    return SimpleNamespace(
        train=Split(splits.train.x[train], y[train]),
        val=Split(splits.val.x[val], splits.val.y[val]),
    )


@pytest.mark.parametrize("kind", ["mlp", "batchnorm"])
def test_folds_of_unequal_size_are_one_stack(kind, stacked):
    # In double precision: batch normalization amplifies rounding, more on some processors.
    splits, make_model = make_splits(torch.float64), make_net(kind, torch.float64)
    pool = SimpleNamespace(train=splits.train, val=splits.train)
    order = np.random.default_rng(0).permutation(N_TRAIN)
    held_out = np.array_split(order, 5)  # sizes 22, 22, 21, 21, 21
    rest = [np.setdiff1d(order, fold) for fold in held_out]
    indices = {"train_indices": rest, "val_indices": held_out}
    together = many(make_model, pool, runs=5, optimizer=SGD, **indices)
    singles = [
        single(make_model, pick(pool, rest[k], held_out[k]), seed=k, optimizer=SGD)
        for k in range(5)
    ]
    assert stacked == [5]
    assert_same(together, singles, tolerance=1e-10)


def test_bootstrap_draws_and_subsets(stacked):
    splits, generator = make_splits(), torch.Generator().manual_seed(0)
    draws = [
        torch.randint(N_TRAIN, (n,), generator=generator) for n in (107, 30, 107, 31, 107, 32, 1)
    ]
    together = many(runs=7, train_indices=draws)
    assert_same(together, [single(splits=pick(splits, i), seed=r) for r, i in enumerate(draws)])
    assert stacked == [3, 3]  # as many steps; the last run has nothing to be stacked with


def test_targets_with_noise():
    splits, generator = make_splits(), torch.Generator().manual_seed(0)
    noise = torch.randint(10, (3, N_TRAIN), generator=generator)
    noisy = torch.rand(3, N_TRAIN, generator=generator) < torch.tensor([[0.0], [0.5], [1.0]])
    targets = torch.where(noisy, noise, splits.train.y)
    indices = [range(r, N_TRAIN - 2 + r) for r in range(3)]
    together = many(targets=targets, train_indices=indices, stack=True)
    singles = [
        single(splits=pick(splits, indices[r], targets=targets[r]), seed=r) for r in range(3)
    ]
    assert_same(together, singles)


@pytest.mark.parametrize(
    "optimizer", [torch.optim.AdamW, partial(torch.optim.RMSprop, momentum=0.1)]
)
@pytest.mark.parametrize("as_given", [list, np.array, torch.tensor])
def test_hyperparameters_of_the_optimizer(optimizer, as_given, stacked):
    lr, weight_decay = [1e-3, 1e-2, 1e-3, 1e-3], [0.1, 0.0, 0.0, 0.1]
    hyper = {"lr": as_given(lr), "weight_decay": as_given(weight_decay)}
    together = many(runs=4, optimizer=optimizer, hyper=hyper)
    singles = [
        single(optimizer=partial(optimizer, lr=together_lr, weight_decay=decay), seed=seed)
        for seed, (together_lr, decay) in enumerate(zip(lr, weight_decay, strict=True))
    ]
    assert_same(together, singles, tolerance=2e-5)
    assert stacked == [4]


def dropping(seed, rate):
    return nn.Sequential(mlp((64, 16), seed=seed), nn.Dropout(rate), mlp((16, 10), seed=seed + 1))


class Scaled(nn.Linear):
    def __init__(self, seed, scale):
        super().__init__(64, 10)
        self.scale = scale

    def forward(self, x):
        return self.scale * super().forward(x.flatten(1))


def test_settings_of_the_network_that_are_no_tensors_make_separate_stacks(stacked):
    together = many(dropping, runs=6, hyper={"rate": [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]})
    assert stacked == [3, 3]
    assert [model[1].p for model in together.models] == [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]
    unchanged = [
        bool((m[0][1].weight == dropping(r, 0)[0][1].weight).all())
        for r, m in enumerate(together.models)
    ]
    assert unchanged == [False, True, False, True, False, True]  # no gradient passes a rate of 1
    scales = [1.0, 2.0, 1.0]
    together = many(Scaled, hyper={"scale": scales})
    logits = [model(make_splits().val.x) for model in together.models]
    losses = [F.cross_entropy(z, make_splits().val.y).item() for z in logits]
    assert together["val_loss"][:, -1] == pytest.approx(losses)


def test_dropout_is_drawn_anew_for_every_run_and_equal_in_distribution():
    from scipy import stats

    make_model, runs = partial(dropping, rate=0.5), 60
    options = {"epochs": 2, "optimizer": SGD}
    same_start = many(lambda seed: make_model(seed=0), runs=[7, 7, 7], **options)
    assert len({model[0][1].weight.sum().item() for model in same_start.models}) == 3
    again = many(lambda seed: make_model(seed=0), runs=[7, 7, 7], **options)
    assert same_start == again
    together = many(lambda seed: make_model(seed=0), runs=runs, stack=True, **options)
    apart = many(lambda seed: make_model(seed=0), runs=runs, stack=False, **options)
    for name in ("running_loss", "train_loss", "val_loss"):
        a, b = together[name][:, -1], apart[name][:, -1]
        assert stats.ks_2samp(a, b).pvalue > 0.01, name
        assert a.std() > 0
    without = many(lambda seed: dropping(0, 0.0), runs=20, **options)
    with_loss, loss = together["running_loss"][:, -1], without["running_loss"][:, -1]
    assert stats.ttest_ind(with_loss, loss, equal_var=False, alternative="greater").pvalue < 1e-6


# --- The end of a run -----------------------------------------------------------------------------


@pytest.mark.parametrize("restore_best", [True, False])
def test_every_run_stops_early_by_itself(restore_best):
    rule = {"patience": 3, "restore_best": restore_best}
    options = {"epochs": 40, "optimizer": partial(torch.optim.Adam, lr=0.02), "eval_train": False}
    together = many(runs=5, early_stopping=EarlyStopping(**rule), stack=True, **options)
    singles = [single(seed=r, early_stopping=EarlyStopping(**rule), **options) for r in range(5)]
    assert_same(together, singles, tolerance=1e-4)
    assert len({history.epochs for history in singles}) > 1
    assert together.best_epoch == [history.best_epoch[0] for history in singles]
    val = make_splits().val
    for r, model in enumerate(together.models):
        values = together["val_loss"][r]
        expected = np.nanmin(values) if restore_best else values[~np.isnan(values)][-1]
        assert evaluate(model, val)["loss"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("stack", [True, False])
def test_the_best_epochs_go_by_the_column_that_is_watched(stack):
    stopping = EarlyStopping(patience=20, monitor="val_accuracy")
    adam = partial(torch.optim.Adam, lr=0.1)
    together = many(runs=3, epochs=20, optimizer=adam, early_stopping=stopping, stack=stack)
    assert together.best_epoch == together["val_accuracy"].argmax(axis=1).tolist()
    assert together.best_epoch != together["val_loss"].argmin(axis=1).tolist()


@pytest.mark.parametrize("stack", [True, False])
def test_a_run_that_diverges_is_marked_and_the_others_go_on(stack):
    together = many(optimizer=SGD, hyper={"lr": [0.1, 1e30, 0.05]}, stack=stack)
    assert together.diverged == [False, True, False]
    assert np.isnan(together["val_loss"][1]).all()
    assert together.best_epoch[1] is None
    for r, lr in [(0, 0.1), (2, 0.05)]:
        alone = single(seed=r, optimizer=partial(SGD, lr=lr))
        assert together["val_loss"][r] == pytest.approx(alone["val_loss"][0], abs=1e-5)
    assert not any(module.training for model in together.models for module in model.modules())


class Exploding(torch.optim.SGD):
    steps = 0

    def step(self, closure=None):
        super().step(closure)
        self.steps += 1
        for weight in self.param_groups[0]["params"]:
            weight.data *= math.inf if self.steps > 10 else 1  # in the second epoch


@pytest.mark.parametrize("stack", [True, False])
def test_a_run_that_diverges_late_keeps_its_past_and_its_best_weights(stack):
    options = {"optimizer": partial(Exploding, lr=0.1), "early_stopping": EarlyStopping()}
    together = many(stack=stack, **options)
    assert together.diverged == [True] * 3
    assert together["val_loss"].shape == (3, 1)
    for model, val_loss in zip(together.models, together["val_loss"][:, 0], strict=True):
        assert evaluate(model, make_splits().val)["loss"] == pytest.approx(val_loss, rel=1e-5)


@pytest.mark.parametrize("stack", [True, False])
def test_all_runs_diverge(stack):
    together = many(optimizer=partial(SGD, lr=1e30), stack=stack)
    assert together.diverged == [True] * 3
    assert together["val_loss"].shape == (3, 0)


@pytest.mark.parametrize("stack", [True, False])
def test_hooks_see_one_run_in_evaluation_mode_and_end_that_run(stack):
    seen = []

    def hook(history, model):
        loss = evaluate(model, make_splits().val)["loss"]
        seen.append((history.seed, history.epochs, model.training))
        assert loss == pytest.approx(history["val_loss"][-1], rel=1e-5)
        return history.seed == 5 and history.epochs == 1

    together = many(runs=[4, 5], after_epoch=[hook], stack=stack)
    epochs = [(4, 1), (4, 2), (4, 3), (5, 1)]
    assert sorted(seen) == [(seed, epoch, False) for seed, epoch in epochs]
    assert together.stopped_early == [False, True]
    assert np.isnan(together["val_loss"]).tolist() == [[False] * 3, [False, True, True]]


# --- The fastest way ------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "batch_size", "sizes"), [(8, 16, [3]), (32, 128, [])])
def test_large_convolutions_on_a_cpu_are_not_stacked(size, batch_size, sizes, stacked):
    x, y = torch.rand(128, 1, size, size), torch.arange(128) % 10
    splits = SimpleNamespace(train=Split(x, y), val=Split(x[:9], y[:9]))
    make_model = lambda seed: TinyConvNet(10, in_shape=(1, size, size), seed=seed)  # noqa: E731
    options = {"batch_size": batch_size, "epochs": 1}
    together = many(make_model, splits, runs=3, **options)
    assert stacked == sizes
    assert_same(together, [single(make_model, splits, seed=seed, **options) for seed in range(3)])


@pytest.mark.parametrize(("runs", "sizes"), [(1, []), (2, []), (3, [3])])
def test_so_few_runs_that_a_stack_would_be_slower_are_none(runs, sizes, stacked, monkeypatch):
    tried = []
    monkeypatch.setattr(population, "_obstacle", lambda *_: tried.append(1))
    many(runs=runs, epochs=1)
    assert (stacked, bool(tried)) == (sizes, bool(sizes))  # nothing is tried in vain
    many(runs=runs, epochs=1, stack=True)
    assert stacked == [*sizes, runs]


@pytest.mark.filterwarnings("ignore:val_loss never improved")
def test_in_processes_the_numbers_are_those_of_one_process(monkeypatch):
    monkeypatch.setattr(apart_runs, "_processes", lambda plan: 2)
    parents = []

    def make_model(seed):  # a closure, which could not be pickled
        parents.append(os.getpid())
        return make_net("batchnorm", torch.float32)(seed)

    options = {"early_stopping": EarlyStopping(patience=1), "hyper": {"lr": [0.1, 1e30, 0.01]}}
    together = many(make_model, optimizer=SGD, stack=False, **options)
    monkeypatch.setattr(apart_runs, "_processes", lambda plan: 1)
    apart = many(make_model, optimizer=SGD, stack=False, **options)
    assert together == apart
    assert difference(together, apart) == 0


def test_an_error_in_a_process_is_raised_here(monkeypatch):
    monkeypatch.setattr(apart_runs, "_processes", lambda plan: 2)
    with pytest.raises(ValueError, match="Invalid learning rate: -1"):
        many(optimizer=SGD, hyper={"lr": [0.1, -1.0, 0.1]}, stack=False)


def test_processes_are_as_many_as_threads_and_never_with_hooks(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("sys.platform", "linux")
    assert apart_runs._processes(SimpleNamespace(after_epoch=[])) == 4
    assert apart_runs._processes(SimpleNamespace(after_epoch=[print])) == 1
    monkeypatch.setattr("sys.platform", "darwin")
    assert apart_runs._processes(SimpleNamespace(after_epoch=[])) == 1


def test_a_stack_does_not_wait_for_the_device_in_every_batch(monkeypatch):
    calls, counts = [], []
    for name in ("item", "tolist"):
        original = getattr(torch.Tensor, name)
        monkeypatch.setattr(torch.Tensor, name, lambda t, f=original: calls.append(1) or f(t))
    for batch_size in (8, 64):
        calls.clear()
        many(batch_size=batch_size, optimizer=SGD, loss=F.cross_entropy, stack=True)
        counts.append(len(calls))
    assert counts[0] == counts[1]


def test_the_callers_random_state_is_left_alone():
    torch.rand(7)
    before = torch.get_rng_state()
    many(partial(dropping, rate=0.5))
    assert torch.equal(torch.get_rng_state(), before)


# --- The history ----------------------------------------------------------------------------------


def test_the_history_has_a_run_axis_and_goes_through_a_file(tmp_path):
    rule = EarlyStopping(patience=1)
    together = many(
        runs=[3, 5, 8, 9], epochs=12, optimizer=partial(SGD, lr=0.3), early_stopping=rule
    )
    assert together.seed == [3, 5, 8, 9]
    assert together["val_loss"].shape == (4, together.epochs)
    together.save(tmp_path / "history.json")
    loaded = History.load(tmp_path / "history.json")
    assert loaded == together
    assert (loaded["val_loss"].shape, loaded.models) == (together["val_loss"].shape, [])
    assert loaded.seconds == together.seconds
    assert min(together.seconds) > 0


def test_statistics_over_runs():
    short, long = (
        History(0, {"val_loss": [4.0]}, [1.0]),
        History(1, {"val_loss": [3.0, 1.0]}, [2, 2]),
    )
    lost = History(2, {"val_loss": []}, [], diverged=True)
    history = History.stack([short, long, lost])
    nan = math.nan
    np.testing.assert_equal(history["val_loss"], [[4, nan], [3, 1], [nan, nan]])
    assert history.best_epoch == [0, 1, None]
    np.testing.assert_equal(history.best("val_loss"), [4, 1, nan])
    assert history.mean("val_loss").tolist() == [3.5, 1]
    assert history.median("val_loss").tolist() == [3.5, 1]
    assert history.interval("val_loss", coverage=1).tolist() == [[3, 1], [4, 1]]
    assert history.interval("val_loss", coverage=0.5).tolist() == [[3.25, 1], [3.75, 1]]
    assert (history.epochs, history.seconds) == (2, [3, 2])
    assert repr(history) == "History(runs=3, epochs=2, val_loss=2.5, stopped_early=0, diverged=1)"
    assert history == History.from_dict(history.to_dict())
    assert history != History.stack([short, long, History(2, {"val_loss": []}, [])])
    assert long.best("val_loss").tolist() == [1]
    assert long.mean("val_loss").tolist() == long["val_loss"].tolist()
    with pytest.raises(ValueError, match="coverage must lie between 0 and 1, got 95"):
        history.interval("val_loss", coverage=95)
    with pytest.raises(ValueError, match=r"every column .* needs the shape \(3, 2\)"):
        History.from_dict(history.to_dict() | {"columns": {"val_loss": [[1, 2], [3, 4]]}})


def test_populations_are_compared_run_by_run():
    trained = many(runs=6, epochs=6, optimizer=SGD)
    barely = many(runs=6, epochs=1, optimizer=partial(SGD, lr=1e-4))
    comparison = compare(trained.best("val_accuracy"), barely.best("val_accuracy"))
    assert (comparison.pairs, comparison.verdict) == (6, "better")


def test_one_run_has_a_run_axis_too():
    together = many(runs=1)
    assert together["val_loss"].shape == (1, 3)
    assert_same(together, [single()], tolerance=0)


# --- Bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"runs": 0}, ValueError, "runs must be at least 1, got 0"),
        ({"runs": []}, ValueError, "runs must hold at least one seed"),
        ({"runs": [1, -1]}, ValueError, "runs must be at least 0, got -1"),
        ({"runs": 2.5}, TypeError, "runs must be an integer, got 2.5"),
        ({"runs": [0.5]}, TypeError, "runs must be an integer, got 0.5"),
        ({"epochs": 0}, ValueError, "epochs must be at least 1"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
        ({"optimizer": "adam"}, TypeError, "optimizer must make an optimizer, got str"),
        ({"early_stopping": EarlyStopping(monitor="f1")}, ValueError, "monitor must be one of"),
        ({"hyper": {"lr": [0.1, 0.2]}}, ValueError, r"hyper\['lr'\] must hold one value.* 3 runs"),
        ({"hyper": {"lr": 0.1}}, ValueError, r"hyper\['lr'\] must hold one value.*got 0\.1"),
        (
            {"hyper": {"rate": [1, 2, 3]}},
            ValueError,
            "neither optimizer nor penalty nor make_model has.*'rate'",
        ),
        ({"train_indices": [[0]] * 2}, ValueError, "train_indices must hold.* 3 runs, got 2"),
        ({"val_indices": [[0]] * 4}, ValueError, "val_indices must hold.* 3 runs, got 4"),
        (
            {"train_indices": [[0], [1], [N_TRAIN]]},
            ValueError,
            r"train_indices\[2\] must hold indices in 0\.\.106, got 107 to 107",
        ),
        ({"train_indices": [[0], [-1], [1]]}, ValueError, r"train_indices\[1\].*got -1 to -1"),
        ({"train_indices": [[0], [1], []]}, ValueError, r"train_indices\[2\].*got none"),
        ({"train_indices": [[0], [0.5], [1]]}, TypeError, r"train_indices\[1\].*integers"),
        ({"train_indices": [[True] * N_TRAIN] * 3}, TypeError, r"train_indices\[0\].*integers"),
        ({"targets": torch.zeros(2, N_TRAIN).long()}, ValueError, r"\(3, 107\).*\(?\[?2, 107"),
        ({"targets": [0, 1]}, ValueError, r"targets must be a tensor of shape.*got list"),
        (
            {"targets": torch.full((3, N_TRAIN), 10)},
            ValueError,
            r"targets\.y: targets must lie in 0\.\.9",
        ),
    ],
)
def test_bad_settings(options, error, message):
    with pytest.raises(error, match=message):
        many(**options)


network = small_mlp(seed=0)


@pytest.mark.parametrize(
    ("make_model", "error", "message"),
    [
        (small_mlp(seed=0), TypeError, "make_model must build a network from seed=.*Sequential"),
        (lambda seed: "mlp", TypeError, "model must be a torch.nn.Module, got str"),
        (lambda seed: network, ValueError, "make_model must build a new network for every run"),
        (
            lambda seed: mlp((64, 8 + seed, 10), seed=seed),
            ValueError,
            r"one shape, but 1\.weight is \(8, 64, torch.float32\) in run 0 and \(9, 64",
        ),
        (
            lambda seed: mlp((64, *[8] * (seed + 1), 10), seed=seed),
            ValueError,
            r"one shape, but 3\.weight is \(10, 8.* in run 0 and \(8, 8",
        ),
        (lambda seed: nn.ReLU(), ValueError, "model has no trainable parameters"),
    ],
)
def test_bad_models(make_model, error, message):
    with pytest.raises(error, match=message):
        many(make_model)


def test_memory_that_does_not_suffice_is_said_before_it_is_taken(monkeypatch, stacked):
    built = []

    def wide(seed):
        built.append(seed)
        return mlp((64, 4000, 10), seed=seed)

    monkeypatch.setattr(memory, "_free_memory", lambda device: 30e6)
    message = r"a stack of 5 runs would take about 0\.04 GB, but cpu has 0\.03 GB free"
    with pytest.raises(MemoryError, match=message):
        many(wide, runs=5)
    assert stacked == []
    many(wide, runs=3)
    assert stacked == [3]
    built.clear()
    with pytest.raises(MemoryError, match=r"25 networks would take about 0\.03 GB"):
        many(wide, runs=25, stack=False)
    assert built == [0]


def test_the_estimate_of_memory_grows_with_what_it_counts(monkeypatch):
    needs = {}
    monkeypatch.setattr(
        population, "require_memory", lambda what, needed, device: needs.update({what: needed})
    )

    def estimate(runs, batch_size):
        many(partial(mlp, (64, 4000, 10)), runs=runs, batch_size=batch_size, stack=True)
        return needs[f"a stack of {runs} runs"]

    weights = 4 * (4000 * (64 + 1 + 10) + 10)
    assert estimate(2, 16) == pytest.approx(2 * 6 * weights, rel=0.3)
    assert needs["2 networks"] == 2 * weights
    assert estimate(4, 16) == pytest.approx(2 * estimate(2, 16))
    # Every example is kept as the input, as the hidden layer and as what the loss needs.
    more = estimate(2, 64) - estimate(2, 16)
    assert more == pytest.approx(2 * 3 * 48 * 4 * (64 + 4000), rel=0.1)
    assert memory._free_memory(torch.device("cpu")) > 0
