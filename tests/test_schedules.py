"""The schedules of chapter 12 against torch.optim.lr_scheduler, step by step, and inside fit."""

import copy
import math
from functools import partial

import pytest
import torch

from l2g import data, fit, fit_many, models, optim, penalties, schedules
from l2g.data import Split
from l2g.range_test import LRRangeTest, _until_exploded, lr_range_test
from l2g.schedules import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LinearLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

TORCH = torch.optim.lr_scheduler
EXACT = {"rel": 1e-12, "abs": 1e-15}


def groups():
    """Two parameter groups with rates of their own."""
    first, second = torch.zeros(2, requires_grad=True), torch.zeros(3, requires_grad=True)
    return [{"params": [first], "lr": 0.1}, {"params": [second], "lr": 0.02}]


def rates(make, steps, optimizer=None):
    optimizer = optimizer or torch.optim.SGD(groups(), momentum=0.9)
    schedule, seen = make(optimizer), []
    for t in range(steps):
        if t:
            optimizer.step()
            schedule.step()
        seen.append([group["lr"] for group in optimizer.param_groups])
    return torch.tensor(seen, dtype=torch.float64)


CASES = [
    ("StepLR", {"step_size": 7, "gamma": 0.3}, 50),
    ("StepLR", {"step_size": 1}, 6),
    ("ExponentialLR", {"gamma": 0.9}, 60),
    ("LinearLR", {"start_factor": 0.01, "total_iters": 13}, 30),
    ("LinearLR", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 13}, 30),
    ("CosineAnnealingLR", {"T_max": 40}, 41),
    ("CosineAnnealingLR", {"T_max": 40, "eta_min": 0.01}, 41),
    ("CosineAnnealingWarmRestarts", {"T_0": 7}, 50),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 1e-3}, 100),
    ("CosineAnnealingWarmRestarts", {"T_0": 1, "T_mult": 3}, 50),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 40}, 40),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 41, "pct_start": 0.47, "div_factor": 3}, 41),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 10, "pct_start": 0.11}, 10),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 10, "pct_start": 0.99}, 10),
]


@pytest.mark.parametrize(("name", "options", "steps"), CASES)
def test_every_step_equals_that_of_torch(name, options, steps):
    ours = rates(lambda o: getattr(schedules, name)(o, **options), steps)
    # PyTorch takes the rate from the present one, so that rounding piles up a little
    theirs = rates(lambda o: getattr(TORCH, name)(o, **options), steps)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-15)
    assert len(ours.unique(dim=0)) > 1


@pytest.mark.parametrize(
    "pieces",
    [
        {"LinearLR": {"start_factor": 0.1, "total_iters": 10}, "CosineAnnealingLR": {"T_max": 30}},
        {"LinearLR": {}, "StepLR": {"step_size": 5}, "ExponentialLR": {"gamma": 0.8}},
    ],
)
def test_schedules_in_sequence_equal_those_of_torch(pieces):
    def make(library, optimizer):
        parts = [getattr(library, name)(optimizer, **options) for name, options in pieces.items()]
        return library.SequentialLR(optimizer, parts, milestones=[10, 22][: len(parts) - 1])

    ours, theirs = rates(partial(make, schedules), 40), rates(partial(make, TORCH), 40)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-15)


PARTS = {
    "StepLR": {"step_size": 3},
    "ExponentialLR": {"gamma": 0.8},
    "LinearLR": {"start_factor": 0.1, "total_iters": 6},
    "CosineAnnealingLR": {"T_max": 20},
    "CosineAnnealingWarmRestarts": {"T_0": 5},
    "OneCycleLR": {"max_lr": 0.7, "total_steps": 20},
}


def everything(library, make, build, steps=22):
    """Rate and momentum (or β₁) of each group after each step."""
    optimizer = make(groups())
    schedule, seen = build(library, optimizer), []
    for t in range(steps):
        if t:
            optimizer.step()
            schedule.step()
        for group in optimizer.param_groups:
            seen.append([group["lr"], group["betas"][0] if "betas" in group else group["momentum"]])
    return torch.tensor(seen, dtype=torch.float64)


@pytest.mark.parametrize("make", [torch.optim.Adam, partial(torch.optim.SGD, momentum=0.9)])
@pytest.mark.parametrize("later_first", [False, True])
@pytest.mark.parametrize("first", PARTS)
@pytest.mark.parametrize("second", PARTS)
def test_any_two_in_sequence_equal_those_of_torch(first, second, later_first, make):
    def build(library, optimizer):
        names, made = [first, second], {}
        for i in (1, 0) if later_first else (0, 1):
            made[i] = getattr(library, names[i])(optimizer, **PARTS[names[i]])
        return library.SequentialLR(optimizer, [made[0], made[1]], milestones=[9])

    ours, theirs = everything(schedules, make, build), everything(TORCH, make, build)
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-15)


def test_a_warm_up_leads_to_the_start_of_a_cycle_whose_momentum_moves():
    def build(library, optimizer):
        warm_up = library.LinearLR(optimizer, start_factor=0.1, total_iters=5)
        cycle = library.OneCycleLR(optimizer, max_lr=0.5, total_steps=20)
        return library.SequentialLR(optimizer, [warm_up, cycle], milestones=[5])

    lr, momentum = everything(schedules, torch.optim.Adam, build, steps=25)[::2].T
    assert lr[0].item() == pytest.approx(0.5 / 25 / 10)
    assert lr[5].item() == pytest.approx(0.5 / 25)
    assert lr.max().item() == pytest.approx(0.5)
    assert [momentum[i].item() for i in (0, 5, 10, 24)] == pytest.approx([0.95, 0.95, 0.85, 0.95])


def test_sequences_in_sequence_count_from_their_own_start():
    def nested(optimizer):
        inner = [LinearLR(optimizer, total_iters=4), ExponentialLR(optimizer, 0.9)]
        inner = SequentialLR(optimizer, inner, milestones=[4])
        return SequentialLR(optimizer, [inner, CosineAnnealingLR(optimizer, 10)], milestones=[12])

    def flat(optimizer):
        parts = [LinearLR(optimizer, total_iters=4), ExponentialLR(optimizer, 0.9)]
        parts.append(CosineAnnealingLR(optimizer, 10))
        return SequentialLR(optimizer, parts, milestones=[4, 12])

    assert torch.equal(rates(nested, 22), rates(flat, 22))


@pytest.mark.parametrize("adam", [True, False])
def test_one_cycle_turns_momentum_the_other_way_as_torch_does(adam):
    seen = {}
    for library in (schedules, TORCH):
        make = torch.optim.Adam if adam else partial(torch.optim.SGD, momentum=0.9)
        optimizer = make(groups())
        schedule = library.OneCycleLR(optimizer, max_lr=0.5, total_steps=30)
        values = seen.setdefault(library, [])
        for _ in range(30):
            group = optimizer.param_groups[0]
            values.append(group["betas"][0] if adam else group["momentum"])
            optimizer.step()
            schedule.step()
    assert seen[schedules] == pytest.approx(seen[TORCH], rel=1e-12)
    assert min(seen[schedules]) == pytest.approx(0.85, abs=1e-3)


def test_one_cycle_takes_its_peak_from_the_optimizer_and_ends_low():
    optimizer = optim.SGD(groups())
    ours = rates(partial(OneCycleLR, total_steps=100), 101, optimizer)
    assert ours.max(dim=0).values.tolist() == pytest.approx([0.1, 0.02], rel=1e-2)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1 / 25 / 1e4)


@pytest.mark.parametrize(("pct_start", "peak"), [(0.0, 0), (0.1, 0), (1.0, 9)])
def test_one_cycle_may_be_a_half_cycle_on_which_torch_divides_by_zero(pct_start, peak):
    seen = rates(partial(OneCycleLR, total_steps=10, pct_start=pct_start), 11)
    assert seen.isfinite().all()
    assert seen[:10, 0].argmax() == peak
    assert seen[10, 0] == pytest.approx(0.1 / 25 / 1e4)


MONITORED = {
    "falling": [1 / t for t in range(1, 60)],
    "level": [1.0] * 60,
    "noisy": (torch.rand(60, generator=torch.Generator().manual_seed(0)) + 0.5).tolist(),
    "bad epochs": [1.0, 0.9, math.nan, math.nan, 0.9, math.inf, 0.5] * 8,
    "accuracy": [1 - 1 / t for t in range(1, 60)],
}


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"patience": 2},
        {"patience": 1, "cooldown": 3, "factor": 0.5},
        {"patience": 0, "min_lr": 0.003, "threshold": 0.05},
        {"patience": 1, "threshold": 0.05, "threshold_mode": "abs"},
    ],
)
@pytest.mark.parametrize("metric", MONITORED)
def test_the_plateau_schedule_equals_that_of_torch(mode, options, metric):
    seen = []
    for library in (schedules, TORCH):
        optimizer = torch.optim.SGD(groups())
        schedule = library.ReduceLROnPlateau(optimizer, mode, **options)
        values = []
        for value in MONITORED[metric]:
            schedule.step(value)
            values += [group["lr"] for group in optimizer.param_groups]
        seen.append(values)
    assert seen[0] == pytest.approx(seen[1], **EXACT)


def warm_cycle(optimizer):
    warm_up = LinearLR(optimizer, total_iters=7)
    cycle = OneCycleLR(optimizer, max_lr=0.5, total_steps=40)
    return SequentialLR(optimizer, [warm_up, cycle], milestones=[7])


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("metric", ["falling", "noisy", "accuracy"])
@pytest.mark.parametrize("shift", [-1.5, -100.0])
def test_an_absolute_threshold_on_metrics_below_zero_equals_torch(mode, metric, shift):
    seen = []
    for library in (schedules, TORCH):
        optimizer = torch.optim.SGD(groups())
        schedule = library.ReduceLROnPlateau(
            optimizer, mode, patience=1, threshold=0.01, threshold_mode="abs"
        )
        for value in MONITORED[metric]:
            schedule.step(value + shift)
            seen += [(library, optimizer.param_groups[0]["lr"])]
    ours, theirs = ([lr for of, lr in seen if of is library] for library in (schedules, TORCH))
    assert ours == pytest.approx(theirs, **EXACT)


@pytest.mark.parametrize(("mode", "better"), [("min", -1.02), ("max", -0.98)])
def test_a_share_of_a_negative_best_is_one_of_its_size(mode, better):
    optimizer = optim.SGD(groups())
    schedule = ReduceLROnPlateau(optimizer, mode, patience=2, threshold=0.01)
    for value in [-1.0, -1.005, -0.995, -1.0]:  # within a hundredth of −1: level
        schedule.step(value)
    assert schedule.best == -1.0
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01)  # PyTorch's "min" stays at 0.1
    schedule.step(better)
    assert schedule.best == better


@pytest.mark.parametrize("mode", ["min", "max"])
def test_from_zero_any_step_is_better_and_the_first_value_is_by_any_threshold(mode):
    schedule = ReduceLROnPlateau(optim.SGD(groups()), mode, threshold=2.0)
    schedule.step(0.0)
    assert schedule.best == 0
    schedule.step(-1e-9 if mode == "min" else 1e-9)
    assert schedule.best != 0


SCHEDULES = [
    partial(StepLR, step_size=3),
    partial(CosineAnnealingLR, T_max=40),
    partial(OneCycleLR, total_steps=40),
    partial(ReduceLROnPlateau, patience=1),
    partial(ReduceLROnPlateau, patience=0, threshold_mode="abs", threshold=0.1),
    warm_cycle,
]


@pytest.mark.parametrize("make", SCHEDULES, ids=lambda make: getattr(make, "func", make).__name__)
def test_saved_and_loaded_it_goes_on(make):
    metric = MONITORED["noisy"]
    of_step = (
        (lambda s, t: s.step(metric[t]))
        if isinstance(make, partial) and make.func is ReduceLROnPlateau
        else lambda s, t: s.step()
    )
    optimizer = optim.SGD(groups())
    schedule = make(optimizer)
    for t in range(20):
        of_step(schedule, t)
    state, other = copy.deepcopy(schedule.state_dict()), optim.SGD(groups())
    other.load_state_dict(optimizer.state_dict())
    again = make(other)
    again.load_state_dict(state)
    for t in range(20, 40):
        assert other.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]
        of_step(schedule, t)
        of_step(again, t)


# --- Inside the loop ------------------------------------------------------------------------------

DIGITS = data.load("digits")
STEPS = 3 * math.ceil(len(DIGITS.train.x) / 128)


def train(seed=0, lr=0.1, **options):
    model = models.mlp((64, 16, 10), seed=seed)
    options = {"optimizer": partial(optim.Momentum, lr=lr), "epochs": 3} | options
    history = fit(model, DIGITS, seed=seed, device="cpu", progress=False, **options)
    return model, history


def test_fit_steps_the_schedule_after_every_batch():
    seen = []

    def spy(optimizer):
        schedule = CosineAnnealingLR(optimizer, T_max=STEPS)
        seen.append(schedule)
        return schedule

    model, _ = train(schedule=spy)
    assert seen[0].t == STEPS
    constant, _ = train()
    assert not torch.equal(model[1].weight, constant[1].weight)


def test_torchs_own_schedules_give_the_same_weights():
    ours, _ = train(schedule=partial(OneCycleLR, total_steps=STEPS))
    theirs, _ = train(schedule=partial(TORCH.OneCycleLR, max_lr=0.1, total_steps=STEPS))
    torch.testing.assert_close(ours[1].weight, theirs[1].weight)


@pytest.mark.parametrize("library", [schedules, TORCH])
def test_a_plateau_schedule_gets_the_validation_loss_of_each_epoch(library):
    made = []

    def factory(optimizer):
        made.append(library.ReduceLROnPlateau(optimizer, patience=0, threshold=0.9))
        return made[0]

    _, history = train(schedule=factory, epochs=4)
    assert made[0].best == pytest.approx(history["val_loss"][0])
    assert made[0].optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * 0.1**3)


def test_a_schedule_of_strength_zero_changes_nothing():
    plain, _ = train()
    level, _ = train(schedule=partial(ExponentialLR, gamma=1.0))
    assert all(map(torch.equal, plain.parameters(), level.parameters()))


def test_a_checkpoint_holds_the_schedule(tmp_path):
    whole, _ = train(schedule=partial(CosineAnnealingLR, T_max=STEPS))
    file = tmp_path / "run.pt"
    options = {"schedule": partial(CosineAnnealingLR, T_max=STEPS), "checkpoint": file}
    train(epochs=1, **options)
    resumed, _ = train(epochs=3, **options)
    assert all(map(torch.equal, whole.parameters(), resumed.parameters()))
    with pytest.raises(ValueError, match="T_max=99"):
        train(epochs=3, checkpoint=file, schedule=partial(CosineAnnealingLR, T_max=99))


@pytest.mark.parametrize("stack", [True, False])
def test_a_population_sweeps_rates_under_a_schedule(stack):
    lrs = [0.01, 0.1, 0.3]
    together = fit_many(
        partial(models.mlp, (64, 16, 10)), DIGITS, runs=3, hyper={"lr": lrs}, epochs=3,
        optimizer=partial(optim.Momentum, momentum=0.8), device="cpu", progress=False, stack=stack,
        schedule=partial(OneCycleLR, total_steps=STEPS),
    )  # fmt: skip
    for r, lr in enumerate(lrs):
        _, alone = train(
            r, optimizer=partial(optim.Momentum, momentum=0.8, lr=lr),
            schedule=partial(OneCycleLR, total_steps=STEPS),
        )  # fmt: skip
        assert together["val_loss"][r].tolist() == pytest.approx(alone["val_loss"], rel=1e-4)


def test_a_population_whose_schedule_watches_is_trained_apart():
    options = {"epochs": 3, "schedule": partial(ReduceLROnPlateau, patience=0, threshold=0.5)}
    with pytest.raises(ValueError, match="stack=True is impossible: the schedule watches"):
        fit_many(partial(models.mlp, (64, 16, 10)), DIGITS, runs=2, stack=True, **options)
    together = fit_many(
        partial(models.mlp, (64, 16, 10)), DIGITS, runs=2, device="cpu", progress=False,
        optimizer=partial(optim.Momentum, lr=0.1), **options,
    )  # fmt: skip
    for r in range(2):
        _, alone = train(r, **options)
        assert together["val_loss"][r].tolist() == pytest.approx(alone["val_loss"], rel=1e-6)


def test_one_block_for_all_rates_and_a_divergence_stops_no_other():
    options = {"epochs": 3, "device": "cpu", "progress": False, "stack": True}
    history = fit_many(
        partial(models.mlp, (64, 16, 10)), DIGITS, runs=[0, 0, 0], hyper={"lr": [0.1, 1e30, 0.1]},
        optimizer=optim.SGD, **options,
    )  # fmt: skip
    assert history.diverged == [False, True, False]
    assert history["val_loss"][0].tolist() == history["val_loss"][2].tolist()


# --- The range test -------------------------------------------------------------------------------


def climb(**options):
    model = models.mlp((64, 32, 10), seed=0)
    return model, lr_range_test(model, DIGITS.train, **options)


def test_the_range_test_leaves_the_model_alone_and_repeats_itself():
    before = models.mlp((64, 32, 10), seed=0)
    state = torch.get_rng_state()
    model, found = climb()
    assert all(map(torch.equal, model.parameters(), before.parameters()))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(found.loss, climb()[1].loss)
    assert not torch.equal(found.loss, climb(seed=1)[1].loss)


def test_the_range_test_by_hand():
    model, found = climb(lowest=1e-3, highest=1.0, steps=31, smoothing=0.5)
    assert found.lr.tolist() == pytest.approx(torch.logspace(-3, 0, 31).tolist(), rel=1e-5)
    optimizer, average = torch.optim.SGD(model.parameters()), 0.0
    batches = data.batches(DIGITS.train, 64, generator=torch.Generator().manual_seed(0))
    for t, (x, y) in enumerate(batches):
        loss = torch.nn.functional.cross_entropy(model(x), y)
        if t == len(found.lr):
            break
        assert loss.item() == pytest.approx(found.loss[t].item(), rel=1e-4)
        average = 0.5 * average + 0.5 * loss.item()
        assert found.smoothed[t].item() == pytest.approx(average / (1 - 0.5 ** (t + 1)), rel=1e-4)
        optimizer.zero_grad()
        loss.backward()
        optimizer.param_groups[0]["lr"] = found.lr[t].item()
        optimizer.step()


@pytest.mark.parametrize("make", [torch.optim.SGD, optim.SGD, optim.Adam])
def test_it_climbs_until_the_loss_explodes_and_its_rules_lie_below(make):
    _, found = climb(optimizer=make, highest=1e6, steps=200)
    assert len(found.lr) < 200
    assert found.tenth_of_minimum() == found.lr[found.smoothed.argmin()].item() / 10
    assert found.tenth_of_minimum() < found.lr[-1]
    assert found.last_descent() < found.lr[-1]


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("shift", [-5.0, -2.0, 1.0, 100.0])
def test_a_shifted_loss_gives_the_same_curve_shifted(shift, trained):
    def shifted(outputs, targets):
        return torch.nn.functional.cross_entropy(outputs, targets) + shift

    model = train()[0] if trained else models.mlp((64, 16, 10), seed=0)
    options = {"batch_size": 16, "highest": 1e4, "steps": 60}
    found, moved = (
        lr_range_test(
            model.double(), Split(DIGITS.train.x.double(), DIGITS.train.y), **options, **o
        )
        for o in ({}, {"loss": shifted})
    )
    assert 20 < len(found.lr) < 60
    assert len(moved.lr) == len(found.lr)
    torch.testing.assert_close(moved.smoothed - shift, found.smoothed, rtol=0, atol=1e-5)
    assert moved.tenth_of_minimum() == found.tenth_of_minimum()
    assert moved.last_descent() == found.last_descent()


def test_the_climb_ends_ten_times_the_fall_above_the_lowest_loss():
    kept, _ = _until_exploded([2.0, 1.5, 1.0, 10.9, 11.1, 0.0], start=2.0, smoothing=0.0)
    assert kept == [2.0, 1.5, 1.0, 10.9]
    assert _until_exploded([1.0, math.nan], start=2.0, smoothing=0.9)[0] == [1.0]
    assert _until_exploded([0.3] * 50, start=0.3, smoothing=0.9)[0] == [0.3] * 50
    assert _until_exploded([1.0, math.inf], start=math.inf, smoothing=0.9)[0] == []


def test_the_range_test_trains_a_copy_in_the_groups_of_its_own():
    model = models.mlp((64, 16, 10), seed=0)
    groups = partial(penalties.parameter_groups, weight_decay=0.0)
    found = lr_range_test(model, DIGITS.train, optimizer=optim.AdamW, groups=groups, steps=50)
    plain = partial(optim.AdamW, weight_decay=0.0)
    expected = lr_range_test(model, DIGITS.train, optimizer=plain, steps=50)
    assert torch.equal(found.loss, expected.loss)
    assert found.smoothed.min() < found.smoothed[0] - 0.3

    def recipe(_):
        return optim.AdamW(penalties.parameter_groups(model, 0.01))

    with pytest.raises(ValueError, match=r"4 of its 4 are not of this model .* groups="):
        lr_range_test(model, DIGITS.train, optimizer=recipe)


def test_a_loss_below_zero_is_drawn_where_it_lies():
    from matplotlib.figure import Figure

    lr, loss = torch.logspace(-4, 1, 6), torch.linspace(-2, -3, 6)
    ax = Figure().add_subplot()
    LRRangeTest(lr, loss, loss).plot(ax)
    assert ax.get_ylim()[0] < -3
    assert -2 < ax.get_ylim()[1] < 0


def test_the_last_descent_of_a_curve_whose_slopes_are_known():
    lr = torch.logspace(-4, 1, 501, dtype=torch.float64)
    x = lr.log10()
    loss = 3 - torch.sigmoid(4 * (x + 2)) * 2  # steepest at 1e-2, half as steep at ± 0.4407
    found = LRRangeTest(lr, loss, loss)  # and a third as steep at ± 0.573
    assert math.log10(found.last_descent()) == pytest.approx(-2 + 1.7627 / 4, abs=0.02)


def test_what_comes_after_the_minimum_is_no_descent():
    lr = torch.logspace(-4, 1, 51, dtype=torch.float64)
    x = lr.log10()
    loss = 3 - torch.sigmoid(4 * (x + 2)) * 2 + torch.sigmoid(20 * (x - 0.2)) * 6
    explodes = LRRangeTest(lr, loss, loss)
    falls_back = torch.where(x > 0.5, loss - 8 * (x - 0.5), loss)  # a broken network recovers
    assert LRRangeTest(lr, falls_back, falls_back).last_descent() == explodes.last_descent()


def test_a_loss_that_never_falls_has_no_last_descent():
    lr = torch.logspace(-4, 1, 6)
    loss = torch.linspace(1, 2, 6)
    with pytest.raises(ValueError, match="the smoothed loss never falls"):
        LRRangeTest(lr, loss, loss).last_descent()


def test_the_plot_shows_both_rules():
    from matplotlib.figure import Figure

    _, found = climb()
    ax = Figure().add_subplot()
    found.plot(ax)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[:2] == ["each batch", "smoothed"]
    assert f"{found.tenth_of_minimum():.2g}" in labels[2]
    assert f"{found.last_descent():.2g}" in labels[3]
    assert ax.get_xscale() == "log"


# --- What a user can get wrong --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(StepLR, step_size=0), "step_size must be at least 1, got 0"),
        (partial(StepLR, step_size=2, gamma=0.0), "gamma must be above 0 and finite, got 0.0"),
        (partial(ExponentialLR, gamma=math.nan), "gamma must be above 0 and finite, got nan"),
        (partial(LinearLR, start_factor=-1.0), "start_factor must be above 0"),
        (partial(CosineAnnealingLR, T_max=0), "T_max must be at least 1, got 0"),
        (partial(CosineAnnealingLR, T_max=5, eta_min=-1.0), "eta_min must be at least 0"),
        (partial(CosineAnnealingWarmRestarts, T_0=5, T_mult=0), "T_mult must be at least 1"),
        (partial(OneCycleLR, total_steps=1), "total_steps must be at least 2, got 1"),
        (partial(OneCycleLR, total_steps=9, pct_start=1.1), r"pct_start must lie in \[0, 1\]"),
        (partial(OneCycleLR, max_lr=-0.1, total_steps=9), "max_lr must be above 0"),
        (partial(ReduceLROnPlateau, mode="up"), "mode must be 'min' or 'max', got 'up'"),
        (
            partial(ReduceLROnPlateau, threshold_mode="share"),
            "threshold_mode must be 'rel' or 'abs'",
        ),
        (partial(ReduceLROnPlateau, factor=1.0), "factor must lie between 0 and 1, got 1.0"),
    ],
)
def test_arguments_out_of_range_are_named(make, message):
    optimizer = optim.SGD(groups())
    with pytest.raises(ValueError, match=message):
        make(optimizer)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.02]


def test_wrong_types_are_named():
    for make in (*SCHEDULES, partial(SequentialLR, schedules=[], milestones=[])):
        with pytest.raises(TypeError, match="optimizer must be an Optimizer, got list"):
            make(groups())
    with pytest.raises(TypeError, match=r"gamma must be a number, got '0.1'"):
        StepLR(optim.SGD(groups()), 3, "0.1")
    with pytest.raises(TypeError, match=r"T_max must be an integer, got 10\.5"):
        CosineAnnealingLR(optim.SGD(groups()), T_max=10.5)
    with pytest.raises(TypeError, match="metric"):
        ReduceLROnPlateau(optim.SGD(groups())).step()
    with pytest.raises(
        TypeError, match="schedule must make a schedule, got StepLR: pass a factory"
    ):
        train(schedule=StepLR(optim.SGD(groups()), 3))
    optimizer = optim.SGD(groups())
    with pytest.raises(ValueError, match="milestones must be rising, one fewer than schedules"):
        SequentialLR(optimizer, [StepLR(optimizer, 2)], milestones=[3])


FOREIGN = optim.SGD(groups())


@pytest.mark.parametrize(
    ("parts", "milestones", "error", "message"),
    [
        ([StepLR, StepLR], [-2], ValueError, "milestones must be at least 1, got -2"),
        ([StepLR, StepLR], [0], ValueError, "milestones must be at least 1, got 0"),
        ([StepLR, StepLR], [2.5], TypeError, r"milestones must be an integer, got 2\.5"),
        ([StepLR] * 3, [5, 3], ValueError, r"must be rising, one fewer .* got \[5, 3\] for 3"),
        ([StepLR] * 3, [5, 5], ValueError, "must be rising, one fewer than schedules"),
        ([], [], ValueError, "must be rising, one fewer than schedules, .* for 0 schedules"),
        ([StepLR, ReduceLROnPlateau], [3], TypeError, r"got l2g\S+ReduceLROnPlateau"),
        ([TORCH.StepLR, StepLR], [3], TypeError, r"l2g\.schedules, got torch\S+StepLR"),
        ([lambda o, *_: StepLR(FOREIGN, 2), StepLR], [3], ValueError, "StepLR has another"),
        ([CosineAnnealingLR, StepLR], [9], ValueError, "CosineAnnealingLR 9 steps, .* made for 2"),
        (
            [StepLR, lambda o, n: OneCycleLR(o, total_steps=n), StepLR],
            [3, 9],
            ValueError,
            "milestones give OneCycleLR 6 steps, but it is made for 2",
        ),
    ],
)
def test_a_sequence_that_cannot_be_is_refused_when_it_is_made(parts, milestones, error, message):
    optimizer = optim.SGD(groups())
    parts = [make(optimizer) if make is ReduceLROnPlateau else make(optimizer, 2) for make in parts]
    with pytest.raises(error, match=message):
        SequentialLR(optimizer, parts, milestones)


@pytest.mark.parametrize("make", [*SCHEDULES[:3], warm_cycle])
def test_a_group_that_came_after_the_schedule_is_named(make):
    optimizer = optim.SGD(groups())
    schedule = make(optimizer)
    optimizer.add_param_group({"params": [torch.zeros(1, requires_grad=True)]})
    state = schedule.state_dict()
    with pytest.raises(ValueError, match=r"has 3 parameter groups, but its \w+ is made for 2"):
        schedule.step()
    with pytest.raises(ValueError, match=r"has 3 .* but its \w+ is made for 2"):
        schedule.load_state_dict(state)


@pytest.mark.parametrize(
    "make", [partial(OneCycleLR, total_steps=5), partial(CosineAnnealingLR, T_max=5)]
)
def test_stepping_past_the_end_is_an_error_and_changes_nothing(make):
    optimizer = optim.SGD(groups())
    schedule = make(optimizer)
    for _ in range(5):
        schedule.step()
    before = optimizer.param_groups[0]["lr"]
    name = make.func.__name__
    with pytest.raises(ValueError, match=f"{name} is made for 5 steps and has taken them all"):
        schedule.step()
    assert optimizer.param_groups[0]["lr"] == before
    optimizer = optim.SGD(groups())
    warm_up = LinearLR(optimizer, total_iters=3)
    both = SequentialLR(optimizer, [warm_up, make(optimizer)], milestones=[3])
    for _ in range(8):
        both.step()
    with pytest.raises(ValueError, match="SequentialLR is made for 8 steps"):
        both.step()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lowest": 1.0, "highest": 0.1}, "0 < lowest < highest, got 1.0, 0.1"),
        ({"lowest": 0.0}, "0 < lowest < highest"),
        ({"steps": 2}, "steps must be at least 3, got 2"),
        ({"smoothing": 1.0}, "smoothing must be at least 0 and below 1, got 1.0"),
        ({"lowest": 1e20, "highest": 1e30}, "the loss exploded at once"),
    ],
)
def test_a_range_test_that_cannot_be_run_says_why(options, message):
    with pytest.raises(ValueError, match=message):
        climb(**options)
