"""The bootstrap against SciPy's, given the same resamples, and against theory."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch.utils._python_dispatch import TorchDispatchMode

from l2g import resampling
from l2g.resampling import bootstrap, bootstrap_indices, error_632, error_632_plus


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


STATISTICS = {
    "mean": (torch.mean, np.mean),
    "median": (lambda x: x.quantile(0.5), np.median),
    "std": (torch.std, lambda x: np.std(x, ddof=1)),
    "share above 0.5": (lambda x: (x > 0.5).double().mean(), lambda x: np.mean(x > 0.5)),
}


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95])
def test_the_same_resamples_give_what_scipy_gives(name, confidence, monkeypatch):
    ours, theirs = STATISTICS[name]
    data = normal(37).exp()
    expected = stats.bootstrap(
        (data.numpy(),),
        theirs,
        n_resamples=999,
        batch=999,
        confidence_level=confidence,
        method="percentile",
        vectorized=False,
        random_state=np.random.default_rng(3),
    )
    rows = torch.from_numpy(np.random.default_rng(3).integers(0, 37, (999, 37)))
    monkeypatch.setattr(resampling, "bootstrap_indices", lambda *_, **__: rows)
    got = bootstrap(ours, data, runs=999, confidence=confidence)
    distribution = torch.from_numpy(expected.bootstrap_distribution)
    torch.testing.assert_close(got.replicates, distribution, rtol=1e-12, atol=1e-12)
    interval = expected.confidence_interval
    for value, other in [
        (got.estimate, theirs(data.numpy())),
        (got.standard_error, expected.standard_error),
        (got.low, interval.low),
        (got.high, interval.high),
    ]:
        assert value == pytest.approx(other, rel=1e-12)


def test_the_standard_error_of_a_mean_is_the_textbook_one():
    data = normal(200)
    plug_in = data.std(correction=0).item() / math.sqrt(200)
    got = bootstrap(torch.mean, data, runs=4000, generator=generator())
    assert got.standard_error == pytest.approx(plug_in, rel=0.05)
    assert got.low < got.estimate < got.high


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    covered = 0
    for seed in range(200):
        got = bootstrap(torch.mean, normal(50, seed=seed), runs=300, generator=generator(seed))
        covered += got.low < 0 < got.high
    assert 0.87 <= covered / 200 <= 0.99  # 95 % asked for; the percentile interval is a bit short


def test_rows_are_drawn_whole():
    x = normal(30)
    pairs = torch.stack([x, 2 * x + 1], dim=1)
    got = bootstrap(lambda d: (d[:, 1] - 2 * d[:, 0]).mean(), pairs, generator=generator())
    assert got.standard_error == pytest.approx(0, abs=1e-12)


def test_indices_are_uniform_and_leave_a_third_out_of_the_bag():
    indices = bootstrap_indices(50, 2000, generator=generator())
    assert indices.shape == (2000, 50)
    assert indices.dtype == torch.int64
    counts = indices.flatten().bincount(minlength=50)
    assert len(counts) == 50
    assert (counts - 2000).abs().max() < 5 * math.sqrt(2000)
    missing = 1 - torch.tensor([len(row.unique()) for row in indices]) / 50
    assert missing.mean().item() == pytest.approx((1 - 1 / 50) ** 50, abs=0.005)


def test_a_generator_decides_everything_and_the_global_state_is_left_alone():
    before = torch.get_rng_state()
    first = bootstrap(torch.mean, normal(20), generator=generator(1))
    again = bootstrap(torch.mean, normal(20), generator=generator(1))
    other = bootstrap(torch.mean, normal(20), generator=generator(2))
    assert torch.equal(first.replicates, again.replicates)
    assert not torch.equal(first.replicates, other.replicates)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("indices_at_once", [1, 37, 100, 36_999, 37_000])
def test_resamples_drawn_in_blocks_are_those_drawn_at_once(monkeypatch, indices_at_once):
    data = normal(37)
    rows = bootstrap_indices(37, 1000, generator=generator())
    monkeypatch.setattr(resampling, "INDICES_AT_ONCE", indices_at_once)
    drawn = generator()
    got = bootstrap(torch.mean, data, generator=drawn)
    assert torch.equal(got.replicates, torch.stack([data[row].mean() for row in rows]))
    after = generator()
    bootstrap_indices(37, 1000, generator=after)
    assert torch.equal(drawn.get_state(), after.get_state())


class Largest(TorchDispatchMode):
    """Notes the size of the largest tensor, in bytes, that any operation makes."""

    bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        tensors = [out] if isinstance(out, torch.Tensor) else []
        self.bytes = max([self.bytes, *(t.untyped_storage().nbytes() for t in tensors)])
        return out


@pytest.mark.parametrize(("n", "runs"), [(200_000, 10), (1000, 2000)])
def test_no_tensor_grows_with_the_number_of_resamples(n, runs):
    data = torch.zeros(n)
    with Largest() as largest:
        bootstrap(lambda rows: 0.0, data, runs=runs)
    assert 8 * n <= largest.bytes <= 8 * 2**20  # all indices at once: 16 MB


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap_indices(5.0, 5), "n must be an integer, got 5.0"),
        (lambda: bootstrap_indices(5, "5"), "runs must be an integer, got '5'"),
        (lambda: bootstrap(torch.mean, [1.0, 2.0]), "data must be a tensor .*, got list"),
        (lambda: bootstrap(torch.mean, normal(5), runs=1e3), "runs must be an integer, got 1000.0"),
        (lambda: bootstrap(torch.mean, normal(5), confidence="95"), "confidence must be a number"),
    ],
)
def test_what_has_the_wrong_type_is_named(call, message):
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap_indices(0, 5), "n must be at least 1, got 0"),
        (lambda: bootstrap_indices(5, 0), "runs must be at least 1, got 0"),
        (lambda: bootstrap(torch.mean, normal(1)), r"data must hold at least 2 rows, .* \(1,\)"),
        (lambda: bootstrap(torch.mean, normal(5), runs=1), "runs must be at least 2, got 1"),
        (lambda: bootstrap(torch.mean, torch.tensor(1.0)), r"at least 2 rows, got shape \(\)"),
        (lambda: bootstrap(torch.mean, normal(5), confidence=1), "confidence must lie .* got 1"),
        (lambda: bootstrap(lambda d: d, normal(5)), r"one finite number, got shape \(5,\)"),
        (lambda: bootstrap(lambda d: math.nan, normal(5)), r"one finite number, .* nan"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_632_mixes_and_632_plus_mistrusts_a_memorizer():
    assert error_632(0.1, 0.3) == pytest.approx(0.368 * 0.1 + 0.632 * 0.3)
    # Efron and Tibshirani (1997): without overfitting the same, with complete overfitting γ.
    assert error_632_plus(0.2, 0.2, 0.5) == pytest.approx(0.2)
    assert error_632_plus(0.0, 0.5, 0.5) == pytest.approx(0.5)
    assert error_632_plus(0.0, 0.7, 0.5) == pytest.approx(0.5)
    # By hand: R = 1/2, weight = 0.632 / (1 − 0.184)
    weight = 0.632 / 0.816
    assert error_632_plus(0.1, 0.3, 0.5) == pytest.approx((1 - weight) * 0.1 + weight * 0.3)
    assert error_632_plus(0.3, 0.2, 0.5) == pytest.approx(0.368 * 0.3 + 0.632 * 0.2)
