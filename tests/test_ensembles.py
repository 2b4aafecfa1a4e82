"""Bias, variance and noise: an identity on every draw, and the closed forms of least squares."""

import math

import pytest
import torch

from l2g.ensembles import bias_variance

SIGMA = 0.3
X_TRAIN = torch.linspace(0, 1, 20, dtype=torch.float64)
X = torch.linspace(0, 1, 41, dtype=torch.float64)
PARTS = ("bias2", "variance", "noise", "error")


def f(x):
    return (2 * math.pi * x).sin()


def draw(x, runs, generator):
    noise = torch.randn(runs, x.shape[-1], generator=generator, dtype=torch.float64)
    return f(x) + SIGMA * noise


def draw_skewed(x, runs, generator):
    """Noise of mean zero that is neither symmetric nor the same at every x."""
    noise = -torch.rand(runs, x.shape[-1], generator=generator, dtype=torch.float64).log() - 1
    return f(x) + x * noise


def draw_whitened(x, runs, generator):
    """Noise whose sample mean is exactly 0 and whose sample covariance is exactly σ² times 1."""
    z = torch.randn(runs, len(x), generator=generator, dtype=torch.float64)
    return f(x) + SIGMA * math.sqrt(runs) * torch.linalg.qr(z - z.mean(dim=0)).Q


def features(x, degree):
    return x[..., None] ** torch.arange(degree + 1, dtype=torch.float64)


def polynomial(degree):
    def train(x_train, y_train, x):
        fitted = torch.linalg.lstsq(features(x_train, degree), y_train.T).solution
        return (features(x, degree) @ fitted).T

    return train


def nearest(x_train, y_train, x):
    return y_train[:, (x[:, None] - x_train).abs().argmin(dim=1)]


def nearest_of_each(x_train, y_train, x):
    return y_train.gather(1, (x[:, None] - x_train[:, None]).abs().argmin(dim=2))


def constant(x_train, y_train, x):
    return torch.zeros(len(y_train), len(x))


PROCEDURES = {
    "constant": constant,
    "line": polynomial(1),
    "degree 9": polynomial(9),
    "1-NN": nearest,
}


@pytest.mark.parametrize("noise", [draw, draw_skewed])
@pytest.mark.parametrize("runs", [2, 3, 100])
@pytest.mark.parametrize("name", PROCEDURES)
def test_the_error_is_the_sum_of_its_parts_at_every_point(name, runs, noise):
    parts = bias_variance(PROCEDURES[name], noise, X, f, x_train=X_TRAIN, runs=runs, seed=1)
    total = parts.bias2 + parts.variance + parts.noise
    torch.testing.assert_close(parts.error, total, rtol=1e-12, atol=1e-12)
    assert parts.predictions.shape == (runs, 41)
    assert all(getattr(parts, part).shape == (41,) for part in PARTS)


@pytest.mark.parametrize("degree", [0, 1, 3, 7])
def test_whitened_noise_gives_the_closed_forms_of_least_squares(degree):
    parts = bias_variance(polynomial(degree), draw_whitened, X, f, x_train=X_TRAIN, runs=100)
    smoother = features(X, degree) @ torch.linalg.pinv(features(X_TRAIN, degree))
    exact = {
        "bias2": (smoother @ f(X_TRAIN) - f(X)).square(),
        "variance": SIGMA**2 * smoother.square().sum(dim=1),
        "noise": torch.full((41,), SIGMA**2, dtype=torch.float64),
    }
    for part, value in exact.items():
        torch.testing.assert_close(getattr(parts, part), value, rtol=1e-9, atol=1e-12)


def test_the_error_is_what_a_plain_test_measures():
    parts = bias_variance(polynomial(3), draw, X, f, x_train=X_TRAIN, runs=4000)
    targets = draw(X, 4000, torch.Generator().manual_seed(99))
    plain = (targets - parts.predictions).square().mean()
    assert plain.item() == pytest.approx(parts.error.mean().item(), rel=0.02)


def test_a_procedure_that_ignores_the_data_has_no_variance():
    parts = bias_variance(constant, draw, X, f, x_train=X_TRAIN, runs=50)
    assert parts.variance.max() == 0
    torch.testing.assert_close(parts.bias2, f(X).square())


def test_each_run_may_have_inputs_of_its_own():
    generator = torch.Generator().manual_seed(5)
    x_train = torch.rand(200, 20, generator=generator, dtype=torch.float64)
    parts = bias_variance(nearest_of_each, draw, X, f, x_train=x_train, runs=200)
    total = parts.bias2 + parts.variance + parts.noise
    torch.testing.assert_close(parts.error, total, rtol=1e-12, atol=1e-12)
    fixed = bias_variance(nearest, draw, X, f, x_train=X_TRAIN, runs=200)
    assert parts.variance.mean() > fixed.variance.mean() > SIGMA**2 / 2


def test_single_precision_predictions_do_not_break_the_identity():
    def train(x_train, y_train, x):
        return polynomial(5)(x_train, y_train, x).float()

    parts = bias_variance(train, draw, X, f, x_train=X_TRAIN, runs=100)
    total = parts.bias2 + parts.variance + parts.noise
    torch.testing.assert_close(parts.error, total, rtol=1e-12, atol=1e-12)


def test_the_seed_decides_the_draws():
    first, again, other = (
        bias_variance(polynomial(3), draw, X, f, x_train=X_TRAIN, runs=5, seed=seed)
        for seed in (1, 1, 2)
    )
    assert all(map(torch.equal, first, again))
    assert not torch.equal(first.predictions, other.predictions)


def spoilt(function, value):
    def spoil(*inputs):
        return function(*inputs) * value

    return spoil


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"runs": 1}, "runs must be at least 2, got 1"),
        ({"train": lambda *_: X}, r"train must return shape \(10, 41\), got \(41,\)"),
        ({"f": lambda x: f(x)[None]}, r"f must return shape \(41,\), got \(1, 41\)"),
        ({"draw": lambda x, *_: draw(x, 10, None)[:, :20]}, r"draw must return shape \(10, 41\)"),
        ({"train": spoilt(polynomial(1), math.nan)}, "train returned 410 NaN or infinite values"),
        ({"f": spoilt(f, math.inf)}, "f returned 41 NaN or infinite"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(arguments, message):
    usual = {"train": polynomial(1), "draw": draw, "f": f, "x": X, "x_train": X_TRAIN, "runs": 10}
    with pytest.raises(ValueError, match=message):
        bias_variance(**(usual | arguments))
