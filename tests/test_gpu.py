"""The script of ``make gpu``, tried on the CPU against itself: it must see what is wrong."""

import sys
from pathlib import Path

import pytest
import torch

from l2g import layers, optim

FOLDER = str(Path(__file__).parents[1] / "benchmarks")
QUICK = ["--device", "cpu", "--examples", "70", "--epochs", "2"]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def gpu():
    sys.path.insert(0, FOLDER)
    try:
        import computed
        import gpu

        yield gpu
    finally:
        sys.path.remove(FOLDER)
        for module in (gpu, computed, sys.modules["measure"]):
            del sys.modules[module.__name__]


def test_on_the_cpu_every_row_holds(gpu, capsys):
    assert gpu.main(QUICK) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"torch {torch.__version__}")
    assert lines[1].split() == ["what", "device", "difference", "allowed", "ok", "seconds"]
    assert lines[-1] == "all rows hold"
    rows = lines[2:-1]
    assert all(" cpu " in row and " yes " in row for row in rows)
    for name in ("fit ", "fit_many, a stack", "fit_many, apart", "resumed", "fit, bfloat16"):
        assert any(row.startswith(name) for row in rows)


def test_every_layer_and_every_optimizer_has_a_row(gpu):
    rows = {check.what for check in gpu.checks(70, 1)}
    functions = {"mask", "moments"}
    assert {f"layer {name}" for name in set(layers.__all__) - functions} <= rows
    classes = set(optim.__all__) - {"Optimizer", "optimizer_for"}
    assert {f"optimizer {name}" for name in classes} <= rows


def test_a_row_that_does_not_hold_is_named_and_the_others_go_on(gpu, capsys, monkeypatch):
    def wrong(device):
        raise RuntimeError("no kernel\nand more")

    rows = [
        gpu.Check("off", lambda _: [torch.ones(2)], 0.1, lambda _: [torch.tensor([1.0, 1.2])]),
        gpu.Check("broken", wrong, 0.1),
        gpu.Check("right", lambda _: [torch.ones(2)], 0.1),
    ]
    monkeypatch.setattr(gpu, "checks", lambda *_: rows)
    assert gpu.main(QUICK) == 1
    off, broken, right, last = capsys.readouterr().out.splitlines()[2:]
    assert off.split()[:5] == ["off", "cpu", "1.7e-01", "1e-01", "NO"]
    assert broken.endswith("RuntimeError: no kernel")
    assert " yes " in right
    assert last == "2 rows do not hold: off, broken"


@pytest.mark.parametrize(
    ("found", "expected", "difference"),
    [
        ([torch.tensor([1.0, 3.0])], [torch.tensor([1.5, 2.0])], 0.5),
        ([torch.tensor(110.0)], [torch.tensor(100.0)], 0.1),  # relative above 1
        ([torch.tensor(3), torch.zeros(2)], [torch.tensor(3), torch.zeros(2)], 0.0),
        ([torch.tensor(float("nan"))], [torch.tensor(1.0)], float("inf")),
        ([torch.tensor(1.0)], [torch.tensor(float("nan"))], float("inf")),
        ([torch.zeros(2)], [torch.zeros(2, 1)], float("inf")),
    ],
)
def test_the_largest_difference(gpu, found, expected, difference):
    assert gpu.largest_difference(found, expected) == pytest.approx(difference)


def test_a_checkpoint_that_forgot_the_random_state_would_be_seen(gpu, monkeypatch):
    monkeypatch.setattr("l2g.checkpoint._set_rng_states", lambda *_: None)
    (check,) = [each for each in gpu.checks(70, 2) if each.what == "resumed, with dropout"]
    assert not gpu.judge(check, CPU)


def test_without_cuda_it_says_so(gpu, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 2
    assert capsys.readouterr().out == (
        "no CUDA device was found: PyTorch has to see one (--device cpu tries the script)\n"
    )
