import pytest
import torch
from sklearn.metrics import accuracy_score

from l2g.metrics import accuracy


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("targets_dtype", [torch.int64, torch.int32, torch.uint8])
def test_accuracy_agrees_with_scikit_learn(dtype, targets_dtype):
    generator = torch.Generator().manual_seed(0)
    # A random permutation in each row: no ties, also in bfloat16.
    logits = torch.rand(157, 7, generator=generator).argsort(1).to(dtype)
    targets = torch.randint(7, (157,), generator=generator).to(targets_dtype)
    value = accuracy(logits, targets)
    assert value.shape == ()
    assert value.item() == pytest.approx(accuracy_score(targets, logits.float().argmax(1)))


def test_accuracy_counts_every_position():
    targets = torch.tensor([[0, 1], [1, 1]])
    logits = torch.nn.functional.one_hot(targets, 3).movedim(-1, 1).float()
    assert accuracy(logits, targets) == 1
    assert accuracy(logits, torch.tensor([[0, 1], [1, 2]])) == 0.75


def test_a_row_with_nan_is_never_right():
    logits = torch.tensor([[1.0, 0.0], [float("nan"), 0.0], [0.0, float("nan")]])
    assert accuracy(logits, torch.tensor([0, 0, 1])) == pytest.approx(1 / 3)


def test_infinite_logits_are_compared_like_numbers():
    logits = torch.tensor([[float("inf"), 0.0], [-float("inf"), 0.0]])
    assert accuracy(logits, torch.tensor([0, 1])) == 1


@pytest.mark.parametrize(
    ("logits", "targets", "error", "message"),
    [
        (torch.zeros(4, 3), torch.zeros(5, dtype=torch.long), ValueError, r"\(4, 3\) and \(5,\)"),
        (torch.zeros(4), torch.zeros(4, dtype=torch.long), ValueError, "shapes"),
        (torch.zeros(4, 3), torch.zeros(4, 1, dtype=torch.long), ValueError, "shapes"),
        (torch.zeros(0, 3), torch.zeros(0, dtype=torch.long), ValueError, "at least one"),
        (torch.zeros(4, 3), torch.zeros(4), TypeError, "integer class indices, got torch.float32"),
        (torch.zeros(4, 3), torch.zeros(4, dtype=torch.bool), TypeError, "torch.bool"),
    ],
)
def test_accuracy_refuses_what_it_cannot_count(logits, targets, error, message):
    with pytest.raises(error, match=message):
        accuracy(logits, targets)
