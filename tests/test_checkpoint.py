import hashlib
import io
import multiprocessing
import os
import random
import subprocess
import sys
from contextlib import suppress
from functools import partial
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from l2g import schedules
from l2g.data import Split
from l2g.history import History
from l2g.training import EarlyStopping, fit

SGD = partial(torch.optim.SGD, lr=0.05, momentum=0.9, nesterov=True)


def make_splits(seed=0, n=203):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 5, generator=generator)
    y = (x[:, :3] + 0.7 * torch.randn(n, 3, generator=generator)).argmax(1)
    return SimpleNamespace(train=Split(x[50:], y[50:]), val=Split(x[:50], y[:50]))


def make_net(seed=0, width=16):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(5, width),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(width, 3),
        )


def run(path, *, model=None, splits=None, optimizer=torch.optim.Adam, patience=4, **options):
    """A run with all that has a state; returns all that it leaves behind."""
    made = []

    def factory(parameters):
        made.append(optimizer(parameters))
        return made[0]

    model = make_net() if model is None else model
    stopping = EarlyStopping(patience=patience)
    defaults = {"epochs": 12, "seed": 3, "batch_size": 32, "device": "cpu", "progress": False}
    defaults |= {"early_stopping": stopping, "optimizer": factory, "checkpoint": path}
    history = fit(model, splits or make_splits(), **(defaults | options))
    return SimpleNamespace(model=model, optimizer=made[0], history=history, stopping=stopping)


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


def assert_same_run(a, b):
    assert a.history == b.history
    assert equal(a.model.state_dict(), b.model.state_dict())
    assert equal(a.optimizer.state_dict(), b.optimizer.state_dict())
    assert equal(a.stopping.state_dict(), b.stopping.state_dict())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.pt"


OPTIMIZERS = {
    "sgd": SGD,
    "adam": torch.optim.Adam,
    "amsgrad": partial(torch.optim.AdamW, amsgrad=True),
    "groups": lambda p: torch.optim.RMSprop(
        [{"params": w, "lr": 0.01 / (i + 1)} for i, w in enumerate(p)], momentum=0.5
    ),
}
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")),
]

# --- Going on -------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("patience", [2, 100])
def test_a_run_in_three_parts_equals_one_in_a_piece(path, optimizer, device, patience):
    options = {"optimizer": optimizer, "device": device, "patience": patience}
    whole = run(None, **options)
    for epochs in (1, 5, 12):
        torch.rand(epochs)  # the caller's random state must not matter
        parts = run(path, epochs=epochs, **options)
    assert_same_run(parts, whole)


@pytest.mark.parametrize("epoch", [1, 2, 7])
def test_a_run_that_failed_goes_on(path, epoch):
    def fail(history, model):
        if history.epochs == epoch:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(path, after_epoch=[fail])
    assert path.exists() == (epoch > 1)
    assert_same_run(run(path), run(None))


def test_a_finished_run_returns_at_once(path):
    first = run(path, patience=2, epochs=100)
    assert first.history.stopped_early
    content = path.read_bytes()

    class Untouched(nn.Sequential):
        def train(self, mode=True):
            assert not mode, "nothing is left to train"
            return super().train(mode)

    again = run(path, model=Untouched(*make_net(1)), patience=2, epochs=100)
    assert_same_run(again, first)
    assert again.history.seconds == first.history.seconds
    assert not again.model.training
    assert path.read_bytes() == content
    assert_same_run(run(path, patience=2, epochs=200), first)


def test_a_finished_run_needs_no_writable_folder(path, monkeypatch):
    first = run(path, epochs=3)
    monkeypatch.setattr("pathlib.Path.write_bytes", pytest.fail)
    monkeypatch.setattr("os.replace", pytest.fail)
    assert_same_run(run(path, epochs=3), first)


def test_fewer_epochs_than_saved_is_an_error(path):
    run(path, epochs=4)
    model = make_net(1)
    with pytest.raises(ValueError, match=r"run\.pt already holds 4 epochs, more than epochs=3"):
        run(path, epochs=3, model=model)
    assert equal(model.state_dict(), make_net(1).state_dict())


class Schedule:
    """A hook with a state of its own: a learning rate schedule."""

    def make(self, parameters):
        optimizer = SGD(parameters)
        self.scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=3, gamma=0.5)
        return optimizer

    def __call__(self, history, model):
        self.scheduler.step()

    def state_dict(self):
        return self.scheduler.state_dict()

    def load_state_dict(self, state):
        self.scheduler.load_state_dict(state)


def test_hooks_with_a_state_go_on_too(path):
    def part(path, epochs):
        schedule = Schedule()
        return run(path, optimizer=schedule.make, after_epoch=[schedule], epochs=epochs)

    whole = part(None, 10)
    for epochs in (2, 4, 10):
        parts = part(path, epochs)
    assert_same_run(parts, whole)
    assert whole.optimizer.param_groups[0]["lr"] < 0.05


def test_layers_that_were_unfrozen_stay_unfrozen(path):
    def unfreeze(history, model):
        if history.epochs == 2:
            model[0].requires_grad_(True)

    def part(path, epochs):
        model = make_net()
        model[0].requires_grad_(False)
        return run(path, model=model, after_epoch=[unfreeze], epochs=epochs)

    whole = part(None, 6)
    part(path, 4)
    assert_same_run(part(path, 6), whole)
    assert not torch.equal(whole.model[0].weight, make_net()[0].weight)


def test_the_callers_random_state_is_left_alone(path):
    torch.rand(7)  # a state that no seed leads to at once
    before = torch.get_rng_state()
    run(path, epochs=2)
    run(path, epochs=3)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_file_holds_tensors_and_plain_values_only(path):
    first = run(path, epochs=2)
    state = torch.load(path, weights_only=True)
    assert History.from_dict(state["history"]) == first.history
    assert [file.name for file in path.parent.iterdir()] == ["run.pt"]


# --- Another configuration ------------------------------------------------------------------------


def half(logits, targets):  # a metric of another kind under a name that is taken
    return (logits.argmax(1) == targets).double().mean() / 2


OTHER = {
    "seed": ({"seed": 4}, "seed: 3 there, 4 here"),
    "batch_size": ({"batch_size": 64}, "batch_size: 32 there, 64 here"),
    "width": ({"model": make_net(width=17)}, "model: "),
    "layer": ({"model": nn.Sequential(*make_net(), nn.Linear(3, 3))}, "model: "),
    "optimizer": ({"optimizer": SGD}, "optimizer: Adam there, SGD here"),
    "lr": ({"optimizer": partial(torch.optim.Adam, lr=0.01)}, "lr: 0.001 there, 0.01 here"),
    "size": ({"splits": make_splits(n=204)}, "train: .*; val: "),
    "data": ({"splits": make_splits(seed=1)}, "train: .*; val: "),
    "loss": ({"loss": nn.CrossEntropyLoss()}, r"loss: cross_entropy there, CrossEntropy.* here"),
    "smoothing": ({"loss": partial(F.cross_entropy, label_smoothing=0.1)}, "loss: "),
    "patience": ({"patience": 5}, r"hooks: .*patience=4.* there, .*patience=5.* here"),
    "no_stopping": ({"early_stopping": None}, "hooks: "),
    "columns": ({"eval_train": False}, "columns: "),
    "metrics": ({"metrics": {}}, "columns: "),
    "a metric": ({"metrics": {"accuracy": half}}, "metrics: .* there, .*half.* here"),
}


@pytest.mark.parametrize(("options", "difference"), OTHER.values(), ids=OTHER)
def test_a_file_of_another_run_is_refused_and_kept(path, options, difference):
    run(path, epochs=1)
    content = path.read_bytes()
    options = {"model": make_net(1)} | options
    before = {name: value.clone() for name, value in options["model"].state_dict().items()}
    with pytest.raises(ValueError, match=rf"run\.pt belongs to another run \(.*{difference}"):
        run(path, **options)
    assert path.read_bytes() == content
    assert equal(before, options["model"].state_dict())


def test_settings_without_a_name_compare_equal_in_every_process(path):
    class Loss:
        def __call__(self, logits, targets):
            return F.cross_entropy(logits, targets)

    keep = [Loss(), Loss()]  # two objects at two addresses
    for epochs, loss in enumerate(keep, start=1):
        history = run(path, epochs=epochs, loss=partial(loss)).history
    assert history.epochs == 2


class Scaled:
    def __init__(self, scale):
        self.scale = scale

    def __call__(self, logits, targets):
        return self.scale * F.cross_entropy(logits, targets)

    def of_three(self, logits, targets):
        return self(logits, targets) / 3


def scaled(scale):
    return lambda logits, targets: scale * F.cross_entropy(logits, targets)


LR = torch.optim.lr_scheduler
WEIGHT = torch.tensor([1.0, 2.0, 3.0])
# What makes a loss, a transform or a schedule, and two values that make different ones.
PLAYED = {
    "object": ("loss", Scaled, 1.0, 2.0),
    "method": ("loss", lambda v: Scaled(v).of_three, 1.0, 2.0),
    "closure": ("loss", scaled, 1.0, 2.0),
    "partial": ("loss", lambda v: partial(scaled(v)), 1.0, 2.0),
    "default": ("loss", lambda v: lambda o, y, s=v: s * F.cross_entropy(o, y), 1.0, 2.0),
    "smoothing": ("loss", lambda v: nn.CrossEntropyLoss(label_smoothing=v), 0.0, 0.1),
    "weights": ("loss", lambda v: nn.CrossEntropyLoss(weight=v), WEIGHT, WEIGHT.flip(0)),
    "inside": ("loss", lambda v: partial(F.cross_entropy, weight=v), WEIGHT, WEIGHT.flip(0)),
    "code": (
        "loss",
        lambda v: (
            (lambda o, y: F.cross_entropy(o, y)) if v else (lambda o, y: F.cross_entropy(2 * o, y))
        ),
        True,
        False,
    ),
    "transform": ("transform", lambda v: lambda x, y: (x * v, y), 1.0, 2.0),
    "StepLR": ("schedule", lambda v: partial(LR.StepLR, step_size=v), 4, 7),
    "a lambda": ("schedule", lambda v: lambda o: LR.StepLR(o, v), 4, 7),
    "gamma": ("schedule", lambda v: partial(LR.ExponentialLR, gamma=v), 0.9, 0.8),
    "plateau": ("schedule", lambda v: partial(LR.ReduceLROnPlateau, patience=v), 1, 2),
    "LambdaLR": ("schedule", lambda v: partial(LR.LambdaLR, lr_lambda=lambda t: v**t), 0.9, 0.8),
    "OneCycleLR": (
        "schedule",
        lambda v: partial(LR.OneCycleLR, max_lr=0.1, total_steps=99, pct_start=v),
        0.3,
        0.4,
    ),
    "sequence": (
        "schedule",
        lambda v: lambda o: LR.SequentialLR(o, [LR.StepLR(o, v), LR.StepLR(o, 9)], [5]),
        4,
        7,
    ),
    "ours": ("schedule", lambda v: partial(schedules.StepLR, step_size=v), 4, 7),
    "our plateau": ("schedule", lambda v: partial(schedules.ReduceLROnPlateau, cooldown=v), 1, 2),
    "our sequence": (
        "schedule",
        lambda v: (
            lambda o: schedules.SequentialLR(
                o, [schedules.StepLR(o, v), schedules.StepLR(o, 9)], [5]
            )
        ),
        4,
        7,
    ),
}


@pytest.mark.parametrize(("role", "make", "value", "other"), PLAYED.values(), ids=PLAYED)
def test_settings_tell_runs_apart_and_two_equal_ones_do_not(path, role, make, value, other):
    for epochs in (1, 2):  # made anew each time, as in another process
        history = run(path, epochs=epochs, **{role: make(value)}).history
    assert history.epochs == 2
    content = path.read_bytes()
    with pytest.raises(ValueError, match=r"run\.pt belongs to another run"):
        run(path, epochs=3, **{role: make(other)})
    assert path.read_bytes() == content


def test_what_a_run_changes_makes_it_no_other_run(path):
    class Average:
        """A hook that holds the network itself, and counts."""

        def __init__(self, model):
            self.model, self.calls, self.myself = model, 0, self

        def __call__(self, history, model):
            self.calls += 1

        def state_dict(self):
            return {"calls": self.calls}

        def load_state_dict(self, state):
            self.calls = state["calls"]

    model = make_net()
    hook = Average(model)

    def loss(outputs, targets):  # closes over the network, whose weights change
        return F.cross_entropy(outputs, targets) + 0.01 * model[0].weight.square().sum()

    for epochs in (1, 3):
        run(path, model=model, after_epoch=[hook], loss=loss, epochs=epochs)
    assert hook.calls == 3


def test_descriptions_are_equal_in_every_process():
    code = (
        "from functools import partial; import torch; from torch import nn;"
        "from l2g.describe import describe;"
        "loss = lambda o, y: (o in {'a', 'b', 'c'}, {'x', 'y', 'z'}, y);"
        "print(describe([loss, partial(loss, 3), {'p', 'q', 'r'}, nn.CrossEntropyLoss(),"
        "torch.Generator(), object(), torch.arange(5000), nn.Linear(2, 3)]))"
    )
    seen = set()
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env=environment,
            check=True,
        )
        seen.add(done.stdout)
    assert len(seen) == 1
    assert "0x" not in seen.pop()


# --- Damage ---------------------------------------------------------------------------------------


def damaged(content):
    generator = random.Random(0)
    for size in (0, 1, 31, 32, 33, len(content) // 2, len(content) - 1):
        yield content[:size]
    for _ in range(40):
        position = generator.randrange(len(content))
        flipped = content[position] ^ (1 << generator.randrange(8))
        yield content[:position] + bytes([flipped]) + content[position + 1 :]
    yield content + b"\0"
    file = io.BytesIO()
    torch.save(make_net().state_dict(), file)  # a file of PyTorch, but not of fit
    yield file.getvalue()


def test_a_damaged_file_is_refused_and_kept(path):
    run(path, epochs=1)
    for content in damaged(path.read_bytes()):
        path.write_bytes(content)
        model = make_net(1)
        with pytest.raises(ValueError, match=r"run\.pt is damaged or was not .* delete"):
            run(path, model=model)
        assert path.read_bytes() == content
        assert equal(model.state_dict(), make_net(1).state_dict())


class Intruder:
    def __reduce__(self):
        return os.mkdir, ("intruder",)


def test_a_file_cannot_run_code(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    file = io.BytesIO()
    torch.save({"configuration": Intruder()}, file)
    path.write_bytes(file.getvalue() + hashlib.sha256(file.getvalue()).digest())
    with pytest.raises(ValueError, match="damaged or was not written by fit"):
        run(path)
    assert not os.path.exists("intruder")


# --- Writing --------------------------------------------------------------------------------------


def assert_fails_before_training(error, message, path, **options):
    model = make_net()
    with pytest.raises(error, match=message):
        run(path, model=model, **options)
    assert equal(model.state_dict(), make_net().state_dict())


def test_a_missing_folder_is_an_error_before_training(tmp_path):
    path = tmp_path / "missing" / "run.pt"
    message = r"run\.pt cannot be written: No such file"
    assert_fails_before_training(FileNotFoundError, message, path)
    (tmp_path / "file").touch()
    assert_fails_before_training(NotADirectoryError, "cannot be written", tmp_path / "file" / "x")
    assert_fails_before_training(IsADirectoryError, str(tmp_path), tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_an_error_before_training(path):
    path.parent.chmod(0o500)
    assert_fails_before_training(PermissionError, r"run\.pt cannot be written", path)


def test_a_full_disk_is_an_error_before_training_and_leaves_nothing(path, monkeypatch):
    def half(self, content):
        with open(self, "wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", half)
    assert_fails_before_training(OSError, r"run\.pt cannot be written: No space left", path)
    assert not any(path.parent.iterdir())


def test_a_state_that_could_not_be_read_back_is_an_error_before_training(path):
    import numpy as np

    optimizer = partial(torch.optim.Adam, lr=np.float64(0.01))
    assert_fails_before_training(TypeError, r"lr=float\(lr\)", path, optimizer=optimizer)
    assert not any(path.parent.iterdir())


@pytest.mark.parametrize("stage", ["os.fsync", "os.replace"])
@pytest.mark.parametrize("epoch", [1, 2, 6])
def test_an_error_while_saving_loses_one_epoch_at_most(path, monkeypatch, stage, epoch):
    calls = []
    original = getattr(os, stage.removeprefix("os."))

    def fail(*args):
        calls.append(args)
        if len(calls) == epoch:
            raise OSError(28, "No space left on device")
        return original(*args)

    with monkeypatch.context() as patch:
        patch.setattr(stage, fail)
        with pytest.raises(OSError, match="No space left"):
            run(path)
    assert [file.name for file in path.parent.iterdir()] == ["run.pt"] * (epoch > 1)
    assert_same_run(run(path), run(None))


LONG = {"epochs": 20, "patience": 100}


def train_in_child(path, sender):
    torch.set_num_threads(1)

    def report(history, model):
        sender.send_bytes(b"epoch")

    run(path, model=make_net(width=1000), after_epoch=[report], **LONG)


def test_a_process_killed_again_and_again_ends_as_if_it_had_never_been(path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["l2g.training", "torch._dynamo", "pytest"])
    chance, kills = random.Random(0), 0
    while True:
        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(target=train_in_child, args=(path, sender))
        child.start()
        sender.close()
        with suppress(EOFError):  # the child has finished
            for _ in range(chance.randint(1, 4)):
                assert receiver.poll(timeout=60), "the child hangs"
                receiver.recv_bytes()
        child.join(timeout=chance.uniform(0, 0.06))
        if child.exitcode is not None:
            break
        child.kill()  # SIGKILL, while it saves or trains: nothing in it can clean up
        child.join()
        kills += 1
    assert child.exitcode == 0
    assert kills > 0
    resumed = run(path, model=make_net(width=1000), **LONG)
    assert_same_run(resumed, run(None, model=make_net(width=1000), **LONG))
