"""The losses of chapter 06 against torch.nn.functional, in values, gradients and errors."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from l2g import losses

EXACT = {"rtol": 1e-12, "atol": 1e-12}


def rand(*shape, scale=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1) * scale


def indices(n_classes, *shape, seed=1):
    return torch.randint(n_classes, shape, generator=torch.Generator().manual_seed(seed))


def mixed_magnitudes():
    return rand(40, 7) * 10.0 ** torch.linspace(-4, 4, 40, dtype=torch.float64)[:, None]


LOGITS = {
    "zeros": torch.zeros(6, 4, dtype=torch.float64),
    "all equal and large": torch.full((6, 4), 1e4, dtype=torch.float64),
    "tiny": rand(6, 4, scale=1e-8),
    "usual": rand(64, 10, scale=5),
    "thousands": rand(16, 5, scale=1e3),
    "ten thousands": rand(16, 5, scale=1e4),
    "one far above": torch.tensor([[1e4, 0, -1e4], [-1e4, -1e4, 1e4]], dtype=torch.float64),
    "mixed magnitudes": mixed_magnitudes(),
    "ties for the maximum": rand(32, 6, scale=3).round(),
    "one class": rand(5, 1, scale=1e4),
    "one row": rand(1, 3, scale=10),
    "1000 classes": rand(8, 1000, scale=30),
    "2-d extra dims": rand(2, 4, 3, 5, scale=10),
    "one example": rand(6, scale=10),
}


def targets_for(logits):
    class_dim = min(1, logits.ndim - 1)
    shape = logits.shape[:class_dim] + logits.shape[class_dim + 1 :]
    return indices(logits.shape[class_dim], *shape)


def value_and_grad(function, logits, upstream_seed=2):
    """The value and the gradient of a fixed random projection of it."""
    logits = logits.clone().requires_grad_()
    value = function(logits)
    (value * rand(*value.shape, seed=upstream_seed).to(value)).sum().backward()
    return value.detach(), logits.grad


def assert_same(ours, theirs, logits, **tolerance):
    for got, expected in zip(
        value_and_grad(ours, logits), value_and_grad(theirs, logits), strict=True
    ):
        torch.testing.assert_close(got, expected, equal_nan=True, **(tolerance or EXACT))


@pytest.mark.parametrize("name", LOGITS)
@pytest.mark.parametrize("function", ["softmax", "log_softmax"])
def test_softmax_and_its_log_equal_torch_along_every_dim(name, function):
    logits = LOGITS[name]
    for dim in range(-logits.ndim, logits.ndim):
        assert_same(
            lambda z, dim=dim: getattr(losses, function)(z, dim),
            lambda z, dim=dim: getattr(F, function)(z, dim),
            logits,
        )


def test_the_default_dim_is_the_last():
    logits = LOGITS["2-d extra dims"]
    assert torch.equal(losses.softmax(logits), losses.softmax(logits, dim=3))
    assert torch.equal(losses.log_softmax(logits), losses.log_softmax(logits, dim=3))


@pytest.mark.parametrize("name", LOGITS)
@pytest.mark.parametrize("reduction", losses.REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_equals_torch(name, reduction, smoothing, weighted):
    logits = LOGITS[name]
    n_classes = logits.shape[min(1, logits.ndim - 1)]
    weight = rand(n_classes, seed=3).abs() + 0.1 if weighted else None
    options = {"reduction": reduction, "label_smoothing": smoothing, "weight": weight}
    targets = targets_for(logits)
    assert_same(
        lambda z: losses.cross_entropy(z, targets, **options),
        lambda z: F.cross_entropy(z, targets, **options),
        logits,
    )


def probabilities_for(logits, seed=4):
    return rand(*logits.shape, scale=3, seed=seed).softmax(min(1, logits.ndim - 1))


def every_option(n_classes):
    weight = rand(n_classes, seed=3).abs() + 0.1
    for reduction, smoothing, factors in itertools.product(
        losses.REDUCTIONS, [0.0, 0.1, 1.0], [None, weight]
    ):
        yield {"reduction": reduction, "label_smoothing": smoothing, "weight": factors}


@pytest.mark.parametrize("name", LOGITS)
def test_cross_entropy_with_class_probabilities_equals_torch(name):
    logits = LOGITS[name]
    targets = probabilities_for(logits)
    for options in every_option(logits.shape[min(1, logits.ndim - 1)]):
        assert_same(
            lambda z, options=options: losses.cross_entropy(z, targets, **options),
            lambda z, options=options: F.cross_entropy(z, targets, **options),
            logits,
        )
        assert_same(  # and the gradient that flows into the probabilities
            lambda q, options=options: losses.cross_entropy(logits, q, **options),
            lambda q, options=options: F.cross_entropy(logits, q, **options),
            targets,
        )


@pytest.mark.parametrize("name", LOGITS)
@pytest.mark.parametrize("ignored", [-100, -1, 0, 2, 255])
def test_cross_entropy_with_an_ignored_index_equals_torch(name, ignored):
    logits, targets = LOGITS[name], targets_for(LOGITS[name])
    n_classes = logits.shape[min(1, logits.ndim - 1)]
    left_out = indices(3, *targets.shape, seed=6) == 0  # a third, and what has the index anyway
    targets = targets.masked_fill(left_out, ignored)
    for options in every_option(n_classes):
        assert_same(
            lambda z, options=options: losses.cross_entropy(
                z, targets, ignore_index=ignored, **options
            ),
            lambda z, options=options: F.cross_entropy(z, targets, ignore_index=ignored, **options),
            logits,
        )


@pytest.mark.parametrize("reduction", losses.REDUCTIONS)
def test_where_all_are_ignored_the_mean_is_nan_and_the_sum_0_as_in_torch(reduction):
    options = {"reduction": reduction, "ignore_index": -1}
    for smoothing in (0.0, 0.1):
        ours, theirs = (
            f(Z, Y - 1, label_smoothing=smoothing, **options)
            for f in (losses.cross_entropy, F.cross_entropy)
        )
        torch.testing.assert_close(ours, theirs, equal_nan=True)


def test_one_hot_probabilities_cost_what_their_indices_cost():
    logits, targets = LOGITS["2-d extra dims"], targets_for(LOGITS["2-d extra dims"])
    one_hot = F.one_hot(targets, 4).movedim(-1, 1)
    for dtype in (torch.float16, torch.float32, torch.float64):
        for smoothing in (0.0, 0.1):
            torch.testing.assert_close(
                losses.cross_entropy(logits, one_hot.to(dtype), label_smoothing=smoothing),
                losses.cross_entropy(logits, targets, label_smoothing=smoothing),
                **EXACT,
            )


def test_a_masked_class_of_probability_0_costs_nothing():
    logits, targets = rand(5, 4, scale=3), probabilities_for(rand(5, 3))
    masked = torch.cat([logits[:, :2], torch.full((5, 1), -torch.inf), logits[:, 2:3]], 1).double()
    padded = torch.cat([targets[:, :2], torch.zeros(5, 1), targets[:, 2:]], 1).double()
    value, grad = value_and_grad(lambda z: losses.cross_entropy(z, padded), masked)
    expected, kept = value_and_grad(lambda z: F.cross_entropy(z, targets), logits[:, :3])
    torch.testing.assert_close(value, expected, **EXACT)
    torch.testing.assert_close(grad[:, [0, 1, 3]], kept, **EXACT)
    assert (grad[:, 2] == 0).all()
    assert losses.cross_entropy(masked, targets_of_all(padded)) == torch.inf  # but wanted, it does


def targets_of_all(probabilities):
    return torch.full_like(probabilities, 1 / probabilities.shape[1])


def test_probabilities_may_be_off_by_rounding():
    for dtype in (torch.float16, torch.bfloat16):
        for n_classes in (10, 1000):
            rounded = probabilities_for(rand(50, n_classes)).to(dtype)
            losses.cross_entropy(torch.zeros(50, n_classes), rounded)
            losses.cross_entropy(torch.zeros(50, n_classes, dtype=dtype), rounded)


@pytest.mark.parametrize("name", LOGITS)
@pytest.mark.parametrize("reduction", losses.REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
def test_nll_loss_equals_torch(name, reduction, weighted):
    log_probs = LOGITS[name]
    n_classes = log_probs.shape[min(1, log_probs.ndim - 1)]
    weight = rand(n_classes, seed=3).abs() + 0.1 if weighted else None
    targets = targets_for(log_probs)
    assert_same(
        lambda z: losses.nll_loss(z, targets, reduction=reduction, weight=weight),
        lambda z: F.nll_loss(z, targets, reduction=reduction, weight=weight),
        log_probs,
    )


def test_nll_loss_returns_the_negative_of_the_picked_entries():
    picked = torch.tensor([[0.6, 0.4], [0.2, 0.8], [0.1, 0.9]])
    targets = torch.tensor([0, 1, 0])
    each = losses.nll_loss(picked, targets, reduction="none")
    torch.testing.assert_close(each, torch.tensor([-0.6, -0.8, -0.1]))
    assert losses.nll_loss(picked, targets).item() == pytest.approx(-0.5)


def test_constant_logits_cost_ln_k():
    loss = losses.cross_entropy(torch.full((3, 100), 7.0), torch.tensor([0, 50, 99]))
    assert loss.item() == pytest.approx(math.log(100), rel=1e-6)


def test_zero_weights_leave_classes_out_and_weights_convert_to_the_dtype_of_the_logits():
    logits, targets = LOGITS["usual"].float(), targets_for(LOGITS["usual"])
    weight = torch.tensor([0.0, 1.0] * 5, dtype=torch.float64)
    kept = targets % 2 == 1
    loss = losses.cross_entropy(logits, targets, weight=weight)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, losses.cross_entropy(logits[kept], targets[kept]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logits_whose_sum_overflows_are_finite_all_the_same(dtype):
    logits = torch.full((7, 3), torch.finfo(dtype).max, dtype=dtype)
    assert logits.sum() == math.inf
    loss = losses.cross_entropy(logits, torch.zeros(7, dtype=torch.long))
    assert loss.item() == pytest.approx(math.log(3), rel=1e-6)
    assert (losses.softmax(-logits) == 1 / torch.tensor(3.0, dtype=dtype)).all()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_any_integer_dtype_serves_as_targets(dtype):
    logits, targets = LOGITS["usual"], targets_for(LOGITS["usual"])
    weight = rand(10).abs()
    for options in ({}, {"weight": weight}, {"weight": weight, "label_smoothing": 0.1}):
        got = losses.cross_entropy(logits, targets.to(dtype), **options)
        assert torch.equal(got, losses.cross_entropy(logits, targets, **options))


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("tied", [False, True])
def test_first_and_second_derivatives_match_finite_differences(smoothing, tied):
    logits = torch.ones(3, 4, dtype=torch.float64) if tied else rand(3, 4, scale=3)
    logits.requires_grad_()
    weight, targets = rand(4, seed=5).abs(), torch.tensor([0, 3, 1])

    def loss(z, y=targets):
        return losses.cross_entropy(z, y, weight=weight, label_smoothing=smoothing)

    def soft_loss(z):
        return loss(z, z.roll(1, 0).softmax(1))  # as when one network teaches another

    for function in (loss, soft_loss, losses.softmax, losses.log_softmax):
        assert torch.autograd.gradcheck(function, logits)
        assert torch.autograd.gradgradcheck(function, logits)


@pytest.mark.parametrize("name", [name for name in LOGITS if name != "one example"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_low_precision_stays_finite_and_close_to_torch(name, dtype):
    logits, targets = LOGITS[name].to(dtype), targets_for(LOGITS[name])
    eps = torch.finfo(dtype).eps
    tolerance = {"rtol": 4 * eps, "atol": 2 * eps}
    for function in ("softmax", "log_softmax"):
        got, grad = value_and_grad(lambda z, f=function: getattr(losses, f)(z, 1), logits)
        assert got.isfinite().all()
        assert grad.isfinite().all()
        torch.testing.assert_close(got, getattr(F, function)(logits, 1), **tolerance)
    # PyTorch's own mean overflows in float16 here, so the reference is float32.
    theirs = value_and_grad(lambda z: F.cross_entropy(z, targets), logits.float())
    ours = value_and_grad(lambda z: losses.cross_entropy(z, targets), logits)
    for got, expected in zip(ours, theirs, strict=True):
        assert got.dtype == dtype
        assert got.isfinite().all()
        torch.testing.assert_close(got.float(), expected, **tolerance)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_many_small_numbers_are_summed_in_float32(dtype):
    n_classes = 70_000  # more than float16 reaches, and 256 is where bfloat16 stops counting
    logits = torch.zeros(2, n_classes, dtype=dtype)
    eps = torch.finfo(dtype).eps
    probs = losses.softmax(logits)
    assert torch.equal(probs, torch.softmax(logits, 1))
    torch.testing.assert_close(probs.float().sum(1), torch.ones(2), rtol=0, atol=4e-3)
    expected = torch.tensor(-math.log(n_classes))
    log_probs = losses.log_softmax(logits)  # torch's own says −inf here in float16
    torch.testing.assert_close(log_probs[0, 0].float(), expected, rtol=eps, atol=0)
    for targets in (Y[:2], probs):
        loss = losses.cross_entropy(logits, targets, label_smoothing=0.1)
        assert loss.dtype == dtype
        torch.testing.assert_close(loss.float(), -expected, rtol=eps + 2e-3, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_means_over_many_examples_are_taken_in_float32(dtype):
    logits, targets = rand(3000, 4, scale=6).to(dtype), indices(4, 3000)
    weight = torch.tensor([0.001, 1.003, 100.0, 2.0])  # would be rounded in the dtype of the logits
    for options in ({}, {"weight": weight}, {"weight": weight, "label_smoothing": 0.1}):
        for y in (targets, probabilities_for(logits).to(dtype)):
            wide = y.float() if y.is_floating_point() else y
            expected = losses.cross_entropy(logits.float(), wide, **options)
            assert losses.cross_entropy(logits, y, **options) == expected.to(dtype)
    log_probs = losses.log_softmax(logits)
    expected = F.nll_loss(log_probs.float(), targets, weight=weight)
    got = losses.nll_loss(log_probs, targets, weight=weight)
    torch.testing.assert_close(got, expected.to(dtype), rtol=torch.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("options", [{}, {"weight": rand(5).abs().float()}])
def test_under_autocast_the_losses_are_float32_as_in_torch(dtype, options):
    x, w, targets = rand(64, 8).float(), rand(8, 5, scale=9).float(), indices(5, 64)
    found = []
    for loss in (losses.cross_entropy, F.cross_entropy):
        for y in (targets, probabilities_for(rand(64, 5)).float()):
            for smoothing in (0.0, 0.1):
                weights = w.clone().requires_grad_()
                with torch.autocast("cpu", dtype=dtype):
                    logits = x @ weights
                    value = loss(logits, y, label_smoothing=smoothing, **options)
                assert (logits.dtype, value.dtype) == (dtype, torch.float32)
                value.backward()
                found.append((value.detach(), weights.grad))
    for ours, theirs in zip(found[:4], found[4:], strict=True):
        torch.testing.assert_close(ours[0], theirs[0], rtol=1e-5, atol=0)
        torch.testing.assert_close(ours[1], theirs[1], rtol=0, atol=torch.finfo(dtype).eps)
    with torch.autocast("cpu", dtype=dtype):
        assert losses.nll_loss(losses.log_softmax(logits), targets).dtype == torch.float32
        assert losses.cross_entropy(logits.double(), targets).dtype == torch.float64


@pytest.mark.parametrize("options", [{"weight": torch.ones(5)}, {"label_smoothing": 0.1}])
def test_float16_means_do_not_overflow(options):
    logits = torch.zeros(100, 5, dtype=torch.float16)
    logits[:, 0] = 1e4
    targets = torch.ones(100, dtype=torch.int64)
    expected = F.cross_entropy(logits.float(), targets, **options)
    got = losses.cross_entropy(logits, targets, **options)
    torch.testing.assert_close(got.float(), expected, rtol=4e-3, atol=0)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_masked_classes_behave_as_in_torch(smoothing):
    logits = rand(4, 5, scale=3)
    logits[0, 1] = logits[1, :4] = logits[3, 0] = -torch.inf
    targets = torch.tensor([0, 4, 2, 0])  # the last target is itself masked: its loss is infinite
    for function in ("softmax", "log_softmax"):
        got, expected = getattr(losses, function)(logits), getattr(F, function)(logits, -1)
        torch.testing.assert_close(got, expected, **EXACT)
    options = {"reduction": "none", "label_smoothing": smoothing}
    got, expected = (f(logits, targets, **options) for f in (losses.cross_entropy, F.cross_entropy))
    torch.testing.assert_close(got, expected, **EXACT)
    assert got[3] == torch.inf
    assert_same(
        lambda z: losses.cross_entropy(z, targets, label_smoothing=smoothing),
        lambda z: F.cross_entropy(z, targets, label_smoothing=smoothing),
        logits,
    )
    _, grad = value_and_grad(lambda z: losses.cross_entropy(z[:3], targets[:3]), logits)
    assert (grad[:3][logits[:3].isneginf()] == 0).all()


def test_stacked_networks_train_under_torch_func():
    logits, targets, weight = rand(3, 8, 5), indices(5, 3, 8), rand(5, seed=3).abs()

    def stacked_loss(loss):
        def total(z):
            per_network = torch.func.vmap(
                lambda z, y: loss(z, y, weight=weight, label_smoothing=0.1)
            )
            return per_network(z, targets).sum()

        return total

    inside = torch.func.grad(stacked_loss(losses.cross_entropy))(logits)
    outside = torch.func.vmap(torch.func.grad(losses.cross_entropy))(logits, targets)
    for k in range(3):
        options = {"weight": weight, "label_smoothing": 0.1}
        for got, kwargs in ((inside[k], options), (outside[k], {})):
            _, expected = value_and_grad_of_loss(logits[k], targets[k], **kwargs)
            torch.testing.assert_close(got, expected, **EXACT)
    # Checks that look at values are off inside vmap: nothing raises, NaN comes out.
    spoiled = torch.full_like(logits, torch.nan)
    assert torch.func.vmap(losses.cross_entropy)(spoiled, targets).isnan().all()


@pytest.mark.parametrize("options", [{}, {"weight": rand(5, seed=3).abs()}])
def test_every_kind_of_target_works_under_vmap_as_alone(options):
    logits, targets = rand(3, 8, 5), indices(5, 3, 8)
    some_ignored = targets.masked_fill(indices(3, 3, 8, seed=6) == 0, -1)
    cases = [(targets, {}), (some_ignored, {"ignore_index": -1}), (rand(3, 8, 5).softmax(-1), {})]
    for (y, extra), smoothing in itertools.product(cases, [0.0, 0.1]):

        def loss(z, y, extra=extra, smoothing=smoothing):
            return losses.cross_entropy(z, y, label_smoothing=smoothing, **extra, **options)

        together = torch.func.vmap(torch.func.grad_and_value(loss))(logits, y)
        alone = [torch.func.grad_and_value(loss)(logits[k], y[k]) for k in range(3)]
        for got, expected in zip(together, zip(*alone, strict=True), strict=True):
            torch.testing.assert_close(got, torch.stack(expected), **EXACT)


def value_and_grad_of_loss(logits, targets, **kwargs):
    logits = logits.clone().requires_grad_()
    loss = F.cross_entropy(logits, targets, **kwargs)
    loss.backward()
    return loss.detach(), logits.grad


def test_inputs_are_left_as_they_were():
    logits, targets, weight = rand(4, 3), indices(3, 4), rand(3).abs()
    before = [x.clone() for x in (logits, targets, weight)]
    losses.cross_entropy(logits, targets, weight=weight, label_smoothing=0.1)
    assert all(torch.equal(x, y) for x, y in zip((logits, targets, weight), before, strict=True))


Z, Y = torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64)

THIRDS = torch.full((4, 3), 1 / 3)
SIGNED = THIRDS + torch.tensor([[-0.4, 0.2, 0.2], [0, 0, 0], [0, 0, 0], [0, 0, 0]])


def spoil(value, count=1):
    logits = torch.zeros(4, 3)
    logits.view(-1)[:count] = value
    return logits


@pytest.mark.parametrize(
    ("logits", "targets", "options", "error", "message"),
    [
        (Z.numpy(), Y, {}, TypeError, r"logits must be a torch.Tensor, got ndarray"),
        (Z.long(), Y, {}, TypeError, r"logits must be a floating-point tensor, got torch.int64"),
        (torch.tensor(1.0), Y, {}, ValueError, r"logits must have a class dimension"),
        (Z, [0, 1, 2, 0], {}, TypeError, r"targets must be a torch.Tensor, got list"),
        (
            Z,
            Y.float(),
            {},
            TypeError,
            r"integer class indices \(4,\) or class probabilities in the shape of logits",
        ),
        (Z, Y.bool(), {}, TypeError, r"integer class indices or .*, got torch.bool"),
        (Z, torch.zeros(4, 2), {}, ValueError, r"got torch.float32 of \(4, 2\)"),
        (Z, torch.zeros(4, 3), {}, ValueError, r"that sum to 1 .*\(dim 1\), got sums from 0 to 0"),
        (Z, torch.ones(4, 3) / 2.9, {}, ValueError, r"got sums from 1.03448 to 1.03448"),
        (Z[0], torch.ones(3), {}, ValueError, r"\(dim 0\), got sums from 3 to 3"),
        (Z, SIGNED, {}, ValueError, r"probabilities: 1 of the 12 probabilities are negative"),
        (Z, THIRDS * torch.nan, {}, ValueError, r"12 of the 12 probabilities are negative or NaN"),
        (Z, THIRDS * torch.inf, {}, ValueError, r"got sums from inf to inf"),
        (Z, THIRDS, {"ignore_index": -1}, ValueError, r"ignore_index goes with class indices, got"),
        (Z, THIRDS.cfloat(), {}, TypeError, r"integer class indices or .*, got torch.complex64"),
        (Z, F.one_hot(Y, 3), {}, ValueError, r"got \(4, 3\); one-hot targets must be floating-"),
        (Z, Y, {"ignore_index": 1.0}, TypeError, r"ignore_index must be an integer or None, got 1"),
        (Z, Y, {"ignore_index": True}, TypeError, r"ignore_index must be an integer or None"),
        (
            Z,
            Y - 1,
            {"ignore_index": -2},
            ValueError,
            r"targets must lie in 0..2, got values from -1",
        ),
        (Z, Y - 1, {}, ValueError, r"to leave some out, pass their index as ignore_index"),
        (Z, Y[:3], {}, ValueError, r"shape \(4,\) to go with logits of shape \(4, 3\), got \(3,\)"),
        (Z, Y[:, None], {}, ValueError, r"targets must have shape \(4,\).* got \(4, 1\)"),
        (Z[0], Y[:1], {}, ValueError, r"targets must have shape \(\) .* got \(1,\)"),
        (torch.zeros(2, 3, 5), Y[:2], {}, ValueError, r"targets must have shape \(2, 5\)"),
        (Z[:0], Y[:0], {}, ValueError, r"the batch is empty: logits has shape \(0, 3\)"),
        (Z[:, :0], Y, {}, ValueError, r"logits has no classes: .* \(4, 0\)"),
        (Z, Y + 3, {}, ValueError, r"targets must lie in 0..2, got values from 3 to 3"),
        (Z, Y - 100, {}, ValueError, r"targets must lie in 0..2, got values from -100 to -100"),
        (spoil(torch.nan, 2), Y, {}, ValueError, r"logits must be finite.*: 2 of 12 are NaN"),
        (spoil(torch.inf), Y, {}, ValueError, r"1 of 12 are NaN or \+inf and 0 rows"),
        (spoil(-torch.inf, 6), Y, {}, ValueError, r"0 of 12 are NaN or \+inf and 2 rows are −inf"),
        (Z, Y, {"reduction": "avg"}, ValueError, r"reduction must be one of .* got 'avg'"),
        (Z, Y, {"label_smoothing": 1.5}, ValueError, r"label_smoothing must lie in .* got 1.5"),
        (Z, Y, {"label_smoothing": -0.1}, ValueError, r"label_smoothing must lie in .* got -0.1"),
        (Z, Y, {"label_smoothing": torch.nan}, ValueError, r"label_smoothing must lie in"),
        (Z, Y, {"weight": [1, 1, 1]}, TypeError, r"weight must be a torch.Tensor, got list"),
        (Z, Y, {"weight": torch.ones(3).long()}, TypeError, r"weight must be a floating-point"),
        (Z, Y, {"weight": torch.ones(4)}, ValueError, r"weight must have shape \(3,\), got \(4,\)"),
        (Z, Y, {"weight": -torch.ones(3)}, ValueError, r"weight must be finite and not negative"),
        (Z, Y, {"weight": torch.full((3,), torch.nan)}, ValueError, r"weight must be finite"),
        (Z, Y, {"weight": torch.full((3,), torch.inf)}, ValueError, r"weight must be finite"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(logits, targets, options, error, message):
    with pytest.raises(error, match=message) as caught:
        losses.cross_entropy(logits, targets, **options)
    assert "\n" not in str(caught.value)


def test_nll_loss_names_its_own_argument():
    with pytest.raises(ValueError, match=r"to go with log_probs of shape \(4, 3\)"):
        losses.nll_loss(Z, Y[:2])
    with pytest.raises(TypeError, match="log_probs must be a floating-point tensor"):
        losses.nll_loss(Z.long(), Y)
    with pytest.raises(TypeError, match="targets must hold integer class indices, got"):
        losses.nll_loss(Z, THIRDS)


@pytest.mark.parametrize("function", [losses.softmax, losses.log_softmax])
def test_softmax_refuses_nan_on_the_cpu_only(function):
    with pytest.raises(ValueError, match="1 of 12 are NaN"):
        function(spoil(torch.nan))
    assert function(torch.empty(4, 3, device="meta")).shape == (4, 3)
