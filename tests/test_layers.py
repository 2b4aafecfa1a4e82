"""The layers of chapters 17 and 18 against torch.nn, in values, gradients, buffers and errors."""

import copy
import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state

from l2g import data, fit, fit_many, layers

EXACT = {"rtol": 1e-12, "atol": 1e-12}
DOUBLE = {"dtype": torch.float64}

DROPS = {
    "Dropout": (layers.Dropout, (4, 3, 5)),
    "Dropout2d": (layers.Dropout2d, (4, 3, 5, 2)),
    "DropPath": (layers.DropPath, (4, 3, 5)),
    "DropConnect": (partial(layers.DropConnect, 5, 2), (4, 5)),
}
each_drop = pytest.mark.parametrize("name", DROPS)
dtypes = pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64]
)


def drawn(*shape, seed=0, **options):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), **DOUBLE, **options)


def layer_and_input(name, p):
    make, shape = DROPS[name]
    layer = make(p=p).double()
    return layer, drawn(*shape).requires_grad_()


# --- Dropout and its relatives --------------------------------------------------------------------


@each_drop
def test_without_dropping_nothing_changes_and_nothing_is_drawn(name):
    layer, x = layer_and_input(name, 0.0)
    idle = layer_and_input(name, 0.7)[0].eval()
    expected = {"DropConnect": lambda each: nn.functional.linear(x, each.weight, each.bias)}
    state = torch.get_rng_state()
    for each in (layer, idle):
        assert torch.equal(each(x), expected.get(name, lambda _: x)(each))
    assert torch.equal(torch.get_rng_state(), state)


@each_drop
def test_dropping_everything_leaves_zeros_and_zero_gradients(name):
    layer, x = layer_and_input(name, 1.0)
    y = layer(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient, torch.zeros_like(x))
    assert torch.equal(y, (torch.zeros_like(y) + layer.bias) if name == "DropConnect" else 0 * x)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@each_drop
def test_the_share_dropped_is_p_and_the_mean_is_kept(name, p):
    torch.manual_seed(0)
    make, _ = DROPS[name]
    if name == "DropConnect":
        layer = layers.DropConnect(4000, 25, bias=False, p=p)
        nn.init.ones_(layer.weight)
        values = layer(torch.eye(4000)).flatten()
    else:
        values = make(p=p)(torch.ones(100_000, 1, 1, 1)).flatten()
    scale = 1 / (1 - p)
    torch.testing.assert_close(values.unique(), torch.tensor([0.0, scale]))
    error = math.sqrt(p * (1 - p) / 100_000)  # standard error of a share
    assert (values == 0).double().mean().item() == pytest.approx(p, abs=4 * error)
    assert values.double().mean().item() == pytest.approx(1, abs=4 * error * scale)


@pytest.mark.parametrize(("ours", "theirs"), [(layers.Dropout, nn.Dropout)])
@pytest.mark.parametrize("p", [0.3, 0.8])
def test_dropout_has_the_distribution_of_torchs(ours, theirs, p):
    torch.manual_seed(0)
    x = torch.full((400_000,), 3.0)
    first, second = ours(p)(x), theirs(p)(x)
    error = 3 / (1 - p) * math.sqrt(2 * p * (1 - p) / len(x))
    assert (first.mean() - second.mean()).abs() < 4 * error
    torch.testing.assert_close(first.unique(), second.unique())
    neighbours = torch.corrcoef(torch.stack([first[:-1], first[1:]]))[0, 1]
    assert neighbours.abs() < 4 / math.sqrt(len(x))


@each_drop
def test_one_mask_acts_forward_and_backward(name):
    layer, x = layer_and_input(name, 0.5)
    y = layer(x)
    if name == "DropConnect":
        torch.autograd.backward(y.sum())
        # y_n = Σ_i m_oi w_oi x_ni / (1 − p): the mask is read off the gradient of w
        seen = layer.weight.grad / x.detach().sum(0)
        assert set(seen.round(decimals=9).unique().tolist()) == {0.0, 2.0}
        torch.testing.assert_close(y, x @ (seen * layer.weight).T + layer.bias, **EXACT)
    else:
        (gradient,) = torch.autograd.grad(y.sum(), x)
        assert set(gradient.unique().tolist()) == {0.0, 2.0}
        torch.testing.assert_close(y, gradient * x, **EXACT)


def test_what_is_dropped_together():
    torch.manual_seed(0)
    ones = torch.ones(64, 8, 5, 5)
    whole = layers.Dropout2d(0.5)(ones)
    assert torch.equal(whole.amin((2, 3)), whole.amax((2, 3)))
    assert len((whole[:, :, 0, 0] > 0).sum(1).unique()) > 1  # channels by themselves
    paths = layers.DropPath(0.5)(ones)
    assert torch.equal(paths.amin((1, 2, 3)), paths.amax((1, 2, 3)))
    assert 0 < (paths[:, 0, 0, 0] > 0).sum() < 64
    x = torch.eye(6).repeat(2, 1)
    rows = layers.DropConnect(6, 4, bias=False)(x)
    assert torch.equal(rows[:6], rows[6:])  # one mask for the whole batch


@dtypes
@each_drop
def test_drops_keep_the_dtype(name, dtype):
    make, shape = DROPS[name]
    layer, x = make(p=0.5).to(dtype), torch.ones(shape, dtype=dtype)
    y = layer(x)
    assert y.dtype == dtype
    assert y.isfinite().all()
    if name != "DropConnect":
        assert set(y.unique().tolist()) <= {0.0, 2.0}


def test_small_probabilities_are_not_rounded_in_half_precision():
    torch.manual_seed(0)
    dropped = layers.Dropout(0.001)(torch.ones(1_000_000, dtype=torch.bfloat16)) == 0
    assert dropped.sum().item() == pytest.approx(1000, abs=4 * math.sqrt(1000))


@each_drop
def test_the_global_generator_draws_the_mask(name):
    layer, x = layer_and_input(name, 0.5)
    torch.manual_seed(3)
    first, second = layer(x), layer(x)
    torch.manual_seed(3)
    assert torch.equal(layer(x), first)
    assert not torch.equal(first, second)


def test_the_seed_of_fit_governs_the_masks():
    digits = data.load("digits")

    def run(seed, p):
        torch.manual_seed(1)  # the same network for all
        linear = nn.Linear(64, 32), layers.DropConnect(32, 10, p=p)
        model = nn.Sequential(nn.Flatten(), linear[0], layers.Dropout(p), linear[1])
        fit(model, digits, epochs=1, seed=seed, eval_train=False, device="cpu")
        return torch.nn.utils.parameters_to_vector(model.parameters())

    assert torch.equal(run(0, 0.5), run(0, 0.5))
    assert not torch.equal(run(0, 0.5), run(0, 0.0))


@each_drop
def test_each_run_of_a_stack_draws_a_mask_of_its_own(name):
    make, shape = DROPS[name]
    nets = [make(p=0.5) for _ in range(3)]
    state = stack_module_state(nets)
    x = torch.ones(3, *shape)

    def one(parameters, buffers, x):
        return functional_call(nets[0], (parameters, buffers), (x,))

    y = torch.vmap(one, randomness="different")(*state, x)
    assert not torch.equal(y[0], y[1])
    assert not torch.equal(y[1], y[2])


def test_dropconnect_and_linear_share_their_weights():
    ours, theirs = layers.DropConnect(5, 2), nn.Linear(5, 2)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(3, 5)
    assert torch.equal(ours.eval()(x), theirs(x))
    ours.load_state_dict(nn.Linear(5, 2).state_dict())
    assert layers.DropConnect(5, 2, bias=False).bias is None


# --- Normalization --------------------------------------------------------------------------------

NORMS = {
    "1d": (layers.BatchNorm1d, nn.BatchNorm1d, (6, 4)),
    "1d, of a sequence": (layers.BatchNorm1d, nn.BatchNorm1d, (3, 4, 5)),
    "2d": (layers.BatchNorm2d, nn.BatchNorm2d, (3, 4, 5, 2)),
}
each_norm = pytest.mark.parametrize("name", NORMS)
OPTIONS = [
    {},
    {"momentum": None},
    {"momentum": 0.0},
    {"momentum": 1.0},
    {"eps": 0.1, "momentum": 0.3},
    {"affine": False},
    {"track_running_stats": False},
    {"affine": False, "track_running_stats": False},
]


def same_gradients(ours, theirs, x, exact=EXACT):
    """Compare outputs and the gradients of a loss that is not symmetric in the outputs."""
    results = []
    for layer in (ours, theirs):
        layer.zero_grad()
        leaf = x.clone().requires_grad_()
        y = layer(leaf)
        (torch.linspace(-1, 2, y.numel(), **DOUBLE).view_as(y) * y.sin()).sum().backward()
        results.append([y, leaf.grad, *(p.grad for p in layer.parameters())])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, **exact)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@each_norm
def test_batchnorm_equals_torchs_over_many_steps(name, options):
    ours, theirs, shape = NORMS[name]
    a, b = ours(4, **options).double(), theirs(4, **options).double()
    rates = [torch.optim.SGD(each.parameters(), lr=0.05) for each in (a, b) if options == {}]
    for step in range(100):
        x = 3 * drawn(*shape, seed=step) + 5
        same_gradients(a, b, x)
        for optimizer in rates:  # γ and β move, too
            optimizer.step()
        if step % 10 == 9:
            same_gradients(a.eval(), b.eval(), x)
            a.train(), b.train()
    assert a.state_dict().keys() == b.state_dict().keys()
    for key, value in a.state_dict().items():
        torch.testing.assert_close(value, b.state_dict()[key], **EXACT)
    if a.running_mean is not None:
        assert a.num_batches_tracked == 100
        moved = options.get("momentum", 0.1) != 0.0
        assert ((a.running_mean - 5).abs() < 2.5).all() == moved


def test_batchnorm_by_hand():
    layer = layers.BatchNorm1d(1, eps=0.0).double()
    y = layer(torch.tensor([[1.0], [2.0], [3.0], [6.0]], **DOUBLE))
    assert y.square().mean().item() == pytest.approx(1, abs=1e-15)  # with the biased variance, 3.5
    assert layer.running_mean.item() == pytest.approx(0.1 * 3, abs=1e-15)
    assert layer.running_var.item() == pytest.approx(0.9 + 0.1 * 14 / 3, abs=1e-15)  # the unbiased


LAYER_NORMS = [
    (4, {}),
    ((5, 4), {}),
    ([3, 5, 4], {"eps": 0.1}),
    (4, {"bias": False}),
    ((5, 4), {"elementwise_affine": False}),
    (torch.Size([4]), {}),
]


@pytest.mark.parametrize(("shape", "options"), LAYER_NORMS, ids=str)
def test_layernorm_equals_torchs_over_many_steps(shape, options):
    a, b = (each(shape, **options).double() for each in (layers.LayerNorm, nn.LayerNorm))
    assert a.state_dict().keys() == b.state_dict().keys()
    rates = [torch.optim.SGD(each.parameters(), lr=0.05) for each in (a, b) if [*a.parameters()]]
    for step in range(50):
        same_gradients(a, b, 3 * drawn(2, 3, 5, 4, seed=step) + 5)
        for optimizer in rates:
            optimizer.step()
    same_gradients(a.eval(), b.eval(), drawn(2, 3, 5, 4))


@each_norm
def test_the_backward_pass_by_hand(name):
    _, theirs, shape = NORMS[name]
    reference = theirs(4).double()
    weight, bias = drawn(4, seed=1).requires_grad_(), drawn(4, seed=2).requires_grad_()
    x = drawn(*shape).requires_grad_()
    by_hand = lambda *inputs: layers.BatchNormFunction.apply(*inputs, 1e-5)  # noqa: E731
    assert torch.autograd.gradcheck(by_hand, (x, weight, bias))
    assert torch.autograd.gradgradcheck(by_hand, (x, weight, bias))
    y = by_hand(x, weight, bias)
    expected = functional_call(reference, {"weight": weight, "bias": bias}, (x,))
    ours = torch.autograd.grad(y.sin().sum(), (x, weight, bias))
    for a, b in zip(
        ours, torch.autograd.grad(expected.sin().sum(), (x, weight, bias)), strict=True
    ):
        torch.testing.assert_close(a, b, **EXACT)
    torch.testing.assert_close(y, expected, **EXACT)


def test_the_backward_pass_by_hand_knows_eps_and_vmap():
    x, weight, bias = (
        drawn(5, 2).requires_grad_(),
        torch.ones(2, **DOUBLE),
        torch.zeros(2, **DOUBLE),
    )
    large = lambda x: layers.BatchNormFunction.apply(x, weight, bias, 3.0)  # noqa: E731
    assert torch.autograd.gradcheck(large, (x,))
    many = drawn(3, 5, 2)
    torch.testing.assert_close(torch.vmap(large)(many), torch.stack([*map(large, many)]), **EXACT)


@each_norm
def test_autograd_agrees_with_finite_differences(name):
    ours, _, shape = NORMS[name]
    layer = ours(4, momentum=0.0).double()
    assert torch.autograd.gradcheck(layer, (drawn(*shape).requires_grad_(),))
    assert torch.autograd.gradcheck(layer.eval(), (drawn(*shape).requires_grad_(),))
    last = layers.LayerNorm(shape[-1]).double()
    assert torch.autograd.gradcheck(last, (drawn(*shape).requires_grad_(),))


@dtypes
@each_norm
def test_norms_in_other_precisions(name, dtype):
    ours, theirs, shape = NORMS[name]
    x = (300 * drawn(*shape)).to(dtype)  # the squares overflow in float16
    for a, b in [
        (ours(4).to(dtype), theirs(4).to(dtype)),
        (layers.LayerNorm(shape[-1]).to(dtype), nn.LayerNorm(shape[-1]).to(dtype)),
    ]:
        y = a(x)
        assert y.dtype == dtype
        tolerance = max(4 * torch.finfo(dtype).eps, 1e-12)
        torch.testing.assert_close(y, b(x), rtol=tolerance, atol=tolerance)
        assert y.isfinite().all()


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@each_norm
def test_state_dicts_of_batchnorm_fit_both_ways(name, options):
    ours, theirs, shape = NORMS[name]
    x = drawn(*shape).float() + 2
    for source, target in [(ours, theirs), (theirs, ours)]:
        trained, fresh = source(4, **options), target(4, **options)
        for _ in range(3):
            trained(x)
        if options.get("affine", True):
            nn.init.normal_(trained.weight)
            nn.init.normal_(trained.bias)
        fresh.load_state_dict(trained.state_dict())
        torch.testing.assert_close(fresh.eval()(x), trained.eval()(x))


def test_state_dicts_of_layernorm_fit_both_ways():
    ours, theirs = layers.LayerNorm((2, 3)), nn.LayerNorm((2, 3))
    nn.init.normal_(theirs.weight)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(4, 2, 3)
    torch.testing.assert_close(ours(x), theirs(x))
    theirs.load_state_dict(ours.state_dict())


@pytest.mark.parametrize("momentum", [0.1, None])
def test_a_stack_of_batchnorms_equals_each_by_itself(momentum):
    nets = [layers.BatchNorm1d(4, momentum=momentum).double() for _ in range(3)]
    apart = copy.deepcopy(nets)
    parameters, buffers = stack_module_state(nets)

    def one(parameters, buffers, x):
        return functional_call(nets[0], (parameters, buffers), (x,))

    for step in range(5):
        x = drawn(3, 6, 4, seed=step)
        together = torch.vmap(one)(parameters, buffers, x)
        expected = torch.stack([net(part) for net, part in zip(apart, x, strict=True)])
        torch.testing.assert_close(together, expected, **EXACT)
    for name, values in buffers.items():
        expected = torch.stack([net.get_buffer(name) for net in apart])
        torch.testing.assert_close(values, expected, **EXACT)


def test_populations_train_as_one_stack():
    def network(seed):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(64, 16),
            layers.BatchNorm1d(16),
            nn.ReLU(),
            layers.LayerNorm(16),
            layers.Dropout(0.1),
            layers.DropConnect(16, 10, p=0.1),
        )

    digits = data.load("digits")
    adam = partial(torch.optim.Adam, lr=0.01)
    options = {"epochs": 3, "stack": True, "device": "cpu", "progress": False}
    history = fit_many(network, digits, runs=3, optimizer=adam, **options)
    assert history.best("val_accuracy").min() > 0.8
    for model in history.models:
        assert model[2].num_batches_tracked == 3 * math.ceil(len(digits.train.x) / 128)
        assert not torch.equal(model[2].running_var, torch.ones(16))


def test_without_running_averages_evaluation_normalizes_the_batch():
    layer = layers.BatchNorm1d(2, track_running_stats=False).eval()
    y = layer(torch.randn(50, 2) + 7)
    assert y.mean(0).abs().max() < 1e-5


def test_a_wrong_batch_changes_nothing():
    layer = layers.BatchNorm1d(2)
    with pytest.raises(ValueError):
        layer(torch.ones(1, 2))
    assert layer.num_batches_tracked == 0


# --- What a user can get wrong --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("p", "error", "message"),
    [
        (-0.1, ValueError, r"p must lie in \[0, 1\], got -0.1"),
        (1.5, ValueError, r"p must lie in \[0, 1\], got 1.5"),
        (math.nan, ValueError, r"p must lie in \[0, 1\], got nan"),
        ("0.5", TypeError, "p must be a number, got '0.5'"),
        (None, TypeError, "p must be a number, got None"),
        (True, TypeError, "p must be a number, got True"),
    ],
)
@each_drop
def test_a_probability_out_of_range_is_named(name, p, error, message):
    with pytest.raises(error, match=message):
        DROPS[name][0](p=p)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: layers.BatchNorm1d(0), ValueError, "num_features must be at least 1, got 0"),
        (lambda: layers.BatchNorm1d(2.0), TypeError, "num_features must be an integer, got 2.0"),
        (lambda: layers.BatchNorm2d(2, eps=-1), ValueError, "eps must be at least 0 and finite"),
        (lambda: layers.BatchNorm2d(2, eps=math.nan), ValueError, "eps must be .* got nan"),
        (lambda: layers.BatchNorm2d(2, momentum=2), ValueError, r"momentum .* in \[0, 1\], got 2"),
        (lambda: layers.BatchNorm2d(2, momentum="0"), TypeError, "momentum must be a number"),
        (lambda: layers.LayerNorm(0), ValueError, "normalized_shape must be at least 1, got 0"),
        (lambda: layers.LayerNorm([]), ValueError, "normalized_shape must hold at least one size"),
        (lambda: layers.LayerNorm(2.5), TypeError, "normalized_shape must be an integer, got 2.5"),
        (lambda: layers.LayerNorm(2, eps=math.inf), ValueError, "eps must be .* finite, got inf"),
    ],
)
def test_arguments_out_of_range_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (layers.BatchNorm1d(3), (4, 2), r"shape \(N, 3\) or \(N, 3, L\), got \(4, 2\)"),
        (layers.BatchNorm1d(3), (3,), r"shape \(N, 3\) or \(N, 3, L\), got \(3,\)"),
        (layers.BatchNorm1d(3), (4, 3, 2, 2), r"got \(4, 3, 2, 2\)"),
        (layers.BatchNorm2d(3), (4, 3), r"shape \(N, 3, H, W\), got \(4, 3\)"),
        (layers.BatchNorm1d(3), (1, 3), r"at least 2 values per channel .* got shape \(1, 3\)"),
        (layers.BatchNorm2d(3), (1, 3, 1, 1), "at least 2 values per channel"),
        (layers.BatchNorm1d(3), (0, 3), "at least 2 values per channel"),
        (layers.BatchNorm1d(3, track_running_stats=False).eval(), (1, 3), "at least 2 values"),
        (layers.LayerNorm(3), (4, 2), r"a shape that ends in \(3,\), got \(4, 2\)"),
        (layers.LayerNorm((2, 3)), (3,), r"a shape that ends in \(2, 3\), got \(3,\)"),
        (layers.Dropout2d(), (4, 2), r"x must have shape \(N, C, H, W\), got \(4, 2\)"),
        (layers.DropPath(), (), "x must have shape .* got a scalar"),
    ],
)
def test_inputs_of_the_wrong_shape_are_named(layer, shape, message):
    with pytest.raises(ValueError, match=message):
        layer(torch.ones(shape))


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1)])
def test_one_value_per_channel_fails_as_in_torch_and_works_in_evaluation(shape):
    ours, theirs = layers.BatchNorm1d(3), nn.BatchNorm1d(3)
    for layer in (ours, theirs):
        with pytest.raises(ValueError, match="per channel"):
            layer(torch.ones(shape))
    torch.testing.assert_close(ours.eval()(torch.ones(shape)), theirs.eval()(torch.ones(shape)))


@pytest.mark.parametrize(
    "layer",
    [layers.Dropout(), layers.Dropout2d(), layers.BatchNorm1d(2), layers.LayerNorm(2)],
    ids=lambda layer: type(layer).__name__,
)
@pytest.mark.parametrize(
    ("x", "got"), [(torch.ones(2, 2, dtype=torch.long), "torch.int64"), ([1.0], "list")]
)
def test_inputs_must_be_floating_point_tensors(layer, x, got):
    with pytest.raises(TypeError, match=f"x must be a floating-point tensor, got {got}"):
        layer(x)


def test_layers_describe_themselves():
    assert repr(layers.Dropout(0.3)) == "Dropout(p=0.3)"
    assert repr(layers.DropConnect(3, 2)) == (
        "DropConnect(in_features=3, out_features=2, bias=True, p=0.5)"
    )
    options = "3, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True"
    assert repr(layers.BatchNorm1d(3)) == f"BatchNorm1d({options})"
    assert repr(layers.LayerNorm(3)) == "LayerNorm((3,), eps=1e-05, elementwise_affine=True)"
    assert layers.BatchNorm2d.__doc__.startswith("Batch normalization of (N, C, H, W): γ")
