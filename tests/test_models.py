"""Models: sizes, slots and seeds."""

import pytest
import torch
from torch import nn

from l2g.models import TinyConvNet, mlp


def n_parameters(model):
    return sum(p.numel() for p in model.parameters())


def test_the_study_network_has_the_stated_number_of_parameters():
    assert n_parameters(TinyConvNet()) == 3 * 6 * 16 + 6 * 12 * 16 + 12 * 24 * 16 + 385 * 100
    assert n_parameters(TinyConvNet()) == 44_548
    assert n_parameters(TinyConvNet(norm=nn.BatchNorm2d)) == 44_632


def test_shapes():
    assert TinyConvNet()(torch.zeros(5, 3, 32, 32)).shape == (5, 100)
    assert TinyConvNet(10, in_shape=(1, 28, 28))(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert mlp((64, 32, 10))(torch.zeros(7, 1, 8, 8)).shape == (7, 10)


def test_slots_stand_where_the_study_had_them():
    model = TinyConvNet(norm=nn.BatchNorm2d, drop=lambda: nn.Dropout(0.5), output=nn.Sigmoid)
    names = [type(layer).__name__ for layer in model.layers]
    block = ["Conv2d", "BatchNorm2d", "LeakyReLU", "Dropout"]
    assert names == [*block, *block, *block, "Flatten", "Linear", "Sigmoid"]
    assert [type(layer).__name__ for layer in mlp((3, 4, 5)).children()] == [
        "Flatten",
        "Linear",
        "ReLU",
        "Linear",
    ]


def test_a_block_leaves_a_fifth_of_negative_numbers():
    layers = TinyConvNet(10, in_shape=(3, 16, 16), seed=0).layers
    x = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for convolution, activation in zip(layers[0:6:2], layers[1:6:2], strict=True):
        before = convolution(x)
        x = activation(before)
        assert (before < 0).any()
        torch.testing.assert_close(x, torch.where(before < 0, before / 5, before))


def test_the_last_layer_of_both_returns_unbounded_logits():
    x = 100 * torch.randn(64, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for model in (TinyConvNet(seed=0), mlp((3072, 16, 100), seed=0)):
        out = model(x)
        assert out.min() < 0
        assert out.max() > 1


@pytest.mark.parametrize(
    "make", [lambda seed: TinyConvNet(seed=seed), lambda s: mlp((4, 3), seed=s)]
)
def test_a_seed_fixes_the_weights_and_nothing_else(make):
    state = torch.get_rng_state()
    first, second, other = (list(make(seed).parameters()) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], other[0])
    make(None)
    assert not torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: mlp((3,)), ["sizes", "(3,)"]),
        (lambda: mlp((3, 0, 2)), ["sizes", "at least 1", "0"]),
        (lambda: TinyConvNet(0), ["n_classes", "0"]),
        (lambda: TinyConvNet(in_shape=(3, 4, 32)), ["in_shape", "(3, 4, 32)"]),
        (lambda: TinyConvNet(in_shape=(28, 28)), ["in_shape", "(C, H, W)", "(28, 28)"]),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError) as error:
        call()
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mlp((3, 4.0, 2)), r"sizes\[1\] must be an integer, got 4.0"),
        (lambda: mlp((3, "4", 2)), r"sizes\[1\] must be an integer, got '4'"),
        (lambda: TinyConvNet(10.5), "n_classes must be an integer, got 10.5"),
        (
            lambda: TinyConvNet(in_shape=(3, 32.0, 32)),
            r"in_shape\[1\] must be an integer, got 32.0",
        ),
    ],
)
def test_what_is_no_whole_number_is_named(call, message):
    with pytest.raises(TypeError, match=message):
        call()
