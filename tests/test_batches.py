"""What happens to a training batch: augmentation, mixtures, and how `fit` applies them."""

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from l2g import data, fit, fit_many, models
from l2g.losses import cross_entropy
from l2g.transforms import CutMix, Mixup, SmoothLabels, crop_and_flip


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def images(n=16, channels=3, height=8, width=10):
    x = torch.arange(1.0, 1 + n * channels * height * width)  # no two pixels are equal, none is 0
    return x.view(n, channels, height, width)


def ways(image, padding, flip):
    """Every crop of the padded image and of its mirror image."""
    height, width = image.shape[1:]
    for source in [image, image.flip(2)] if flip else [image]:
        padded = F.pad(source, [padding] * 4)
        for top in range(2 * padding + 1):
            for left in range(2 * padding + 1):
                yield padded[:, top : top + height, left : left + width]


@pytest.mark.parametrize(("padding", "flip"), [(2, True), (1, False), (0, True)])
def test_every_image_is_one_of_its_own_crops_and_all_of_them_occur(padding, flip):
    x = images(2).repeat(800, 1, 1, 1)
    result = crop_and_flip(x, padding=padding, flip=flip)
    assert result.shape == x.shape
    for k in range(2):
        allowed = torch.stack(list(ways(x[k], padding, flip)))
        equal = (result[k::2, None] == allowed).flatten(2).all(2)  # (800, ways)
        assert (equal.sum(1) == 1).all()
        counts = equal.sum(0)
        expected = 800 / len(allowed)
        assert (counts - expected).abs().max() < 5 * math.sqrt(expected)


def test_one_image_in_two_is_mirrored():
    x = images(1, channels=1).repeat(10_000, 1, 1, 1)
    mirrored = (crop_and_flip(x, padding=0) != x).flatten(1).any(1).sum()
    assert abs(mirrored - 5000) < 5 * 50  # five standard deviations


def test_nothing_to_shift_and_nothing_to_flip_is_the_identity():
    x = images()
    assert torch.equal(crop_and_flip(x, padding=0, flip=False), x)


def test_images_are_moved_independently_of_each_other():
    x = images(1).repeat(64, 1, 1, 1)
    assert len(crop_and_flip(x).flatten(1).unique(dim=0)) > 30


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.float64])
def test_the_dtype_stays(dtype):
    assert crop_and_flip(images().to(dtype)).dtype == dtype


@pytest.mark.parametrize(
    ("x", "padding", "error", "message"),
    [
        (torch.zeros(3, 4), 4, ValueError, r"x must be images \(N, C, H, W\), got shape \(3, 4\)"),
        (torch.zeros(3, 8, 8), 4, ValueError, r"images \(N, C, H, W\), got shape \(3, 8, 8\)"),
        (torch.zeros(3, 1, 0, 8), 4, ValueError, r"images .*, got shape \(3, 1, 0, 8\)"),
        (torch.tensor(1.0), 4, ValueError, r"x must be a batch \(N, ...\), got a scalar"),
        (images().numpy(), 4, TypeError, "x must be a torch.Tensor, got ndarray"),
        (images(), -1, ValueError, "padding must be at least 0, got -1"),
        (images(), 1.0, TypeError, "padding must be an integer, got 1.0"),
        (images(), True, TypeError, "padding must be an integer, got True"),
        (images(), (2, 2), TypeError, r"padding must be an integer, got \(2, 2\)"),
    ],
)
def test_what_cannot_be_cropped_is_named(x, padding, error, message):
    with pytest.raises(error, match=message):
        crop_and_flip(x, padding=padding)


# --- Mixtures -------------------------------------------------------------------------------------

LABELS = torch.arange(16) % 5


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 1.0])
def test_smooth_labels_give_the_loss_of_pytorchs_label_smoothing(epsilon):
    logits = torch.randn(16, 5, dtype=torch.float64)
    _, soft = SmoothLabels(5, epsilon)(logits, LABELS)
    expected = F.cross_entropy(logits, LABELS, label_smoothing=epsilon)
    torch.testing.assert_close(F.cross_entropy(logits, soft), expected)


def test_mixup_mixes_pixels_and_targets_by_the_same_share():
    x, y = images().double(), LABELS
    hard, seen = F.one_hot(y, 5).double(), set()
    for _ in range(20):
        mixed, soft = Mixup(5, alpha=1.0)(x, y)
        found = []
        for lam in soft[(soft > 0) & (soft < 1)].unique():
            # If lam is the share of the image itself, what is left is (1 - lam) of its partner.
            partner = torch.cdist((mixed - lam * x).flatten(1), (1 - lam) * x.flatten(1)).argmin(1)
            if torch.allclose(mixed, lam * x + (1 - lam) * x[partner], rtol=1e-9):
                torch.testing.assert_close(soft, lam * hard + (1 - lam) * hard[partner])
                assert sorted(partner.tolist()) == list(range(16))
                found.append(lam.item())
        assert found
        seen.update(found)
    assert len(seen) > 15


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_the_share_of_mixup_has_the_spread_of_its_beta_distribution(alpha):
    everyone = torch.eye(8)  # as many classes as examples, so that λ stands in the targets
    shares = [Mixup(8, alpha)(everyone, torch.arange(8))[1].diag().min() for _ in range(1000)]
    shares = torch.stack(shares)
    spread = 1 / (4 * (2 * alpha + 1))  # the variance of Beta(α, α) around ½
    assert abs(shares.mean() - 0.5) < 5 * math.sqrt(spread / 1000)
    squares = (shares - 0.5).square()
    assert abs(squares.mean() - spread) < 5 * squares.std() / math.sqrt(1000)


def test_mixup_mixes_rows_and_sequences_too():
    for shape in [(16,), (16, 3), (16, 7, 3)]:
        x = torch.randn(shape)
        mixed, soft = Mixup(16, 1.0)(x, torch.arange(16))
        torch.testing.assert_close(mixed, (soft @ x.view(16, -1)).view(shape))


def test_mixup_with_a_small_alpha_hardly_mixes():
    largest = torch.stack([Mixup(5, 0.01)(images(), LABELS)[1].max() for _ in range(50)])
    assert (largest > 0.99).float().mean() > 0.8


def test_cutmix_pastes_a_rectangle_and_weights_the_targets_by_its_area():
    x, y = images(), LABELS
    areas = []
    for _ in range(100):
        mixed, soft = CutMix(5)(x, y)
        foreign = (mixed != x)[:, 0]  # (N, H, W)
        changed = foreign[foreign.flatten(1).any(1)]
        if len(changed):
            box = changed[0]
            assert (changed == box).all()  # the same place in all images
            rows, columns = box.any(1).nonzero()[:, 0], box.any(0).nonzero()[:, 0]
            area = len(rows) * len(columns)
            assert box.sum() == area  # a full rectangle
            share = area / box.numel()
            kept = soft[torch.arange(16), y]
            assert torch.isclose(kept.min(), torch.tensor(1 - share), atol=1e-6)
            # what was pasted into image i is, pixel by pixel, of one other image
            pasted = mixed[..., rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            theirs = x[..., rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            assert (pasted[:, None] == theirs).flatten(2).all(2).any(1).all()
            areas.append(share)
        torch.testing.assert_close(soft.sum(1), torch.ones(16))
    assert 0.1 < sum(areas) / len(areas) < 0.6


def test_cutmix_pastes_half_of_the_image_around_any_centre():
    """With α = 1 the share V of the box is uniform, and a box of side √V covers the middle with the
    probability √V · √V: half of the time. At a border half of the centres are missing, so an edge
    is pasted a quarter of the time and a corner an eighth.
    """
    draws, height, width = 1200, 96, 64
    x = torch.arange(8.0).view(8, 1, 1, 1).expand(8, 1, height, width)
    pasted = torch.zeros(height, width)
    for _ in range(draws):
        pasted += (CutMix(8)(x, torch.arange(8))[0] != x).flatten(0, 1).any(0)
    for places, expected in [
        ([(height // 2, width // 2)], 1 / 2),
        ([(0, width // 2), (-1, width // 2), (height // 2, 0), (height // 2, -1)], 1 / 4),
        ([(0, 0), (0, -1), (-1, 0), (-1, -1)], 1 / 8),
    ]:
        for row, column in places:
            band = 4 * math.sqrt(expected * (1 - expected) / draws)
            rounding = 2 / min(height, width)  # sides are whole, even numbers of pixels
            share = pasted[row, column] / draws
            assert abs(share - expected) < band + rounding, (row, column, share)


def test_cutmix_keeps_bytes_and_gives_targets_that_floats_hold():
    x = images(channels=1, height=3, width=5).to(torch.uint8)
    mixed, soft = CutMix(5)(x, LABELS)
    assert (mixed.dtype, soft.dtype) == (torch.uint8, torch.float32)
    assert SmoothLabels(5, 0.1)(x, LABELS)[1].min() > 0  # no share is cut off


def test_cutmix_leaves_its_input_alone():
    x = images()
    before = x.clone()
    CutMix(5)(x, LABELS)
    assert torch.equal(x, before)


@pytest.mark.parametrize("transform", [SmoothLabels(5), Mixup(5), CutMix(5)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.uint16])
def test_any_integer_dtype_serves_as_targets(transform, dtype):
    torch.manual_seed(1)
    expected = transform(images(), LABELS)
    torch.manual_seed(1)
    for got, wanted in zip(transform(images(), LABELS.to(dtype)), expected, strict=True):
        assert torch.equal(got, wanted)


@pytest.mark.parametrize("transform", [SmoothLabels(5), Mixup(5), CutMix(5)])
def test_probabilities_are_mixed_as_their_indices_would_be(transform):
    torch.manual_seed(1)
    expected = transform(images(), LABELS)
    torch.manual_seed(1)
    got = transform(images(), F.one_hot(LABELS, 5).float())
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


def test_transforms_compose():
    x, q = Mixup(5, 1.0)(*SmoothLabels(5, 0.1)(images(), LABELS))
    x, q = CutMix(5)(x, q)
    assert q.min() >= 0.02 - 1e-6  # ε / K of every class stays through all that follows
    torch.testing.assert_close(q.sum(1), torch.ones(16))
    assert math.isfinite(cross_entropy(torch.zeros(16, 5), q))


@pytest.mark.parametrize("transform", [SmoothLabels(5), Mixup(5), CutMix(5)])
@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (
            F.one_hot(LABELS, 5),
            ValueError,
            r"integer class indices \(16,\) or .*int64 of \(16, 5\)",
        ),
        (LABELS.float(), ValueError, r"probabilities \(16, 5\), .* got torch.float32 of \(16,\)"),
        (
            torch.ones(16, 4),
            ValueError,
            r"probabilities \(16, 5\), .* got torch.float32 of \(16, 4\)",
        ),
        (LABELS[:15], ValueError, r"one for each of the 16 x, got torch.int64 of \(15,\)"),
        (LABELS[:, None], ValueError, r"integer class indices \(16,\) or .* of \(16, 1\)"),
        (LABELS + 1, ValueError, r"y must lie in 0..4, got values from 1 to 5"),
        (LABELS - 1, ValueError, r"y must lie in 0..4, got values from -1 to 3"),
        (LABELS > 2, TypeError, r"y must hold integer class indices or .*, got torch.bool"),
        (
            LABELS.cfloat(),
            TypeError,
            r"y must hold integer class indices or .*, got torch.complex64",
        ),
        (LABELS.tolist(), TypeError, r"y must hold integer class indices or .*, got list"),
    ],
)
def test_targets_that_cannot_be_mixed_are_named(transform, y, error, message):
    state = torch.get_rng_state()
    with pytest.raises(error, match=message) as caught:
        transform(images(), y)
    assert "\n" not in str(caught.value)
    assert torch.equal(torch.get_rng_state(), state)  # refused before anything is drawn


@pytest.mark.parametrize(
    ("transform", "x", "error", "message"),
    [
        (CutMix(5), torch.zeros(16, 64), ValueError, r"x must be images .*, got shape \(16, 64\)"),
        (CutMix(5), torch.zeros(16, 8, 8), ValueError, r"x must be images .* \(16, 8, 8\)"),
        (CutMix(5), torch.zeros(16, 1, 0, 8), ValueError, r"images .*, got shape \(16, 1, 0, 8\)"),
        (CutMix(5), [images()], TypeError, "x must be a torch.Tensor, got list"),
        (Mixup(5), images().byte(), TypeError, r"to be mixed, got torch.uint8: convert it first"),
        (Mixup(5), images().long(), TypeError, r"to be mixed, got torch.int64"),
        (Mixup(5), torch.tensor(1.0), ValueError, r"x must be a batch \(N, ...\), got a scalar"),
        (Mixup(5), images().numpy(), TypeError, "x must be a torch.Tensor, got ndarray"),
        (SmoothLabels(5), images().numpy(), TypeError, "x must be a torch.Tensor, got ndarray"),
        (SmoothLabels(5), torch.tensor(1.0), ValueError, r"x must be a batch"),
    ],
)
def test_inputs_that_cannot_be_mixed_are_named(transform, x, error, message):
    with pytest.raises(error, match=message):
        transform(x, LABELS)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (partial(SmoothLabels, 5, 1.5), ValueError, r"epsilon must lie in \[0, 1\], got 1.5"),
        (partial(SmoothLabels, 5, "0.1"), TypeError, "epsilon must be a number, got '0.1'"),
        (partial(SmoothLabels, 5.0), TypeError, "classes must be an integer, got 5.0"),
        (partial(SmoothLabels, 0), ValueError, "classes must be at least 1, got 0"),
        (partial(Mixup, 5, 0.0), ValueError, "alpha must be above 0 and finite, got 0.0"),
        (partial(Mixup, None), TypeError, "classes must be an integer, got None"),
        (partial(Mixup, 5, True), TypeError, "alpha must be a number, got True"),
        (partial(CutMix, 5, math.nan), ValueError, "alpha must be above 0 and finite, got nan"),
        (partial(CutMix, 5, None), TypeError, "alpha must be a number, got None"),
        (partial(CutMix, True), TypeError, "classes must be an integer, got True"),
    ],
)
def test_strengths_out_of_range_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


# --- In the loop ----------------------------------------------------------------------------------

DIGITS = data.load("digits")


def weights(transform=None, seed=0, **options):
    model = models.mlp((64, 16, 10), seed=0)
    options = {"epochs": 1, "device": "cpu", "progress": False, **options}
    history = fit(model, DIGITS, seed=seed, transform=transform, **options)
    return model[1].weight, history


def test_a_transform_of_strength_zero_changes_nothing_and_others_do():
    plain, _ = weights()
    assert torch.equal(plain, weights(lambda x, y: (x, y))[0])
    still = partial(crop_and_flip, padding=0, flip=False)
    assert torch.equal(plain, weights(lambda x, y: (still(x), y))[0])
    for bites in (
        lambda x, y: (crop_and_flip(x, padding=1), y),
        SmoothLabels(10, 0.1),
        Mixup(10, 0.2),
        CutMix(10, 1.0),
    ):
        changed, history = weights(bites)
        assert not torch.equal(plain, changed)
        assert torch.equal(changed, weights(bites)[0])  # drawn from the seed of the run
        assert math.isfinite(history["val_loss"][0])


@pytest.mark.parametrize("transform", [SmoothLabels(10), Mixup(10), CutMix(10)])
def test_the_loss_of_the_course_trains_on_mixed_targets_as_pytorchs_does(transform):
    ours, history = weights(transform)
    theirs, expected = weights(transform, loss=F.cross_entropy)
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    assert history["val_loss"][0] == pytest.approx(expected["val_loss"][0], rel=1e-4)


def test_the_curves_are_measured_on_the_data_as_they_are():
    _, history = weights(lambda x, y: (torch.zeros_like(x), y))
    zeros = data.Splits(
        data.Split(torch.zeros_like(DIGITS.train.x), DIGITS.train.y),
        DIGITS.val,
        DIGITS.test,
        "zeros",
    )
    model = models.mlp((64, 16, 10), seed=0)
    expected = fit(model, zeros, seed=0, epochs=1, device="cpu", progress=False)
    assert history["running_loss"][0] == pytest.approx(expected["running_loss"][0], rel=1e-5)
    assert history["train_loss"][0] != pytest.approx(expected["train_loss"][0], rel=1e-3)


def test_a_population_takes_a_transform_too():
    single = partial(fit_many, partial(models.mlp, (64, 16, 10)), DIGITS, epochs=1, device="cpu")
    many = single(runs=1, transform=Mixup(10), progress=False)
    assert many["val_loss"][0].tolist() == weights(Mixup(10))[1].columns["val_loss"]
    stacked = single(runs=3, transform=Mixup(10), stack=True, progress=False)
    plain = single(runs=3, stack=True, progress=False)
    assert (stacked["val_loss"] != plain["val_loss"]).all()
