"""What happens to a training batch: augmentation, mixtures, and how `fit` applies them."""

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from l2g import data, fit, fit_many, models
from l2g.augment import crop_and_flip
from l2g.mixing import CutMix, Mixup, SmoothLabels


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


def test_nothing_to_shift_and_nothing_to_flip_is_the_identity():
    x = images()
    assert torch.equal(crop_and_flip(x, padding=0, flip=False), x)


def test_images_are_moved_independently_of_each_other():
    x = images(1).repeat(64, 1, 1, 1)
    assert len(crop_and_flip(x).flatten(1).unique(dim=0)) > 30


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.float64])
def test_the_dtype_stays(dtype):
    assert crop_and_flip(images().to(dtype)).dtype == dtype


def test_what_is_no_batch_of_images_is_named():
    with pytest.raises(ValueError, match=r"x must be images \(N, C, H, W\), got shape \(3, 4\)"):
        crop_and_flip(torch.zeros(3, 4))
    with pytest.raises(ValueError, match="padding must be at least 0, got -1"):
        crop_and_flip(images(), padding=-1)


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


def test_cutmix_leaves_its_input_alone():
    x = images()
    before = x.clone()
    CutMix(5)(x, LABELS)
    assert torch.equal(x, before)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(SmoothLabels, 5, 1.5), r"epsilon must lie in \[0, 1\], got 1.5"),
        (partial(Mixup, 5, 0.0), "alpha must be above 0 and finite, got 0.0"),
        (partial(CutMix, 5, math.nan), "alpha must be above 0 and finite, got nan"),
    ],
)
def test_strengths_out_of_range_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# --- In the loop ----------------------------------------------------------------------------------

DIGITS = data.load("digits")


def weights(transform=None, seed=0):
    model = models.mlp((64, 16, 10), seed=0)
    options = {"epochs": 1, "device": "cpu", "progress": False, "loss": F.cross_entropy}
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
    with pytest.raises(ValueError, match="stack=True is impossible: the transform takes"):
        fit_many(
            partial(models.mlp, (64, 16, 10)), DIGITS, runs=2, epochs=1, loss=F.cross_entropy,
            transform=Mixup(10), stack=True,
        )  # fmt: skip
    many = fit_many(
        partial(models.mlp, (64, 16, 10)), DIGITS, runs=1, epochs=1, loss=F.cross_entropy,
        transform=Mixup(10), device="cpu", progress=False,
    )  # fmt: skip
    assert many["val_loss"][0].tolist() == weights(Mixup(10))[1].columns["val_loss"]
