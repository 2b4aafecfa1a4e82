"""Data: the sets, the splits, the batches, and a cache that is never half-written."""

import tarfile
from http.client import IncompleteRead

import numpy as np
import pytest
import torch

from l2g import cache, data
from l2g.data import Split, batches, load, to_float

CACHED = ("mnist", "fashion_mnist", "cifar100")


@pytest.mark.parametrize("name", ["digits", "blobs", "moons", "sine"])
def test_splits_are_disjoint_complete_and_seeded(name):
    splits, again, other = load(name, seed=3), load(name, seed=3), load(name, seed=4)
    parts = [splits.train, splits.val, splits.test]
    rows = torch.cat([p.x.flatten(1) for p in parts])
    # The digits hold a few images twice; synthetic points never repeat.
    assert len(rows.unique(dim=0)) >= len(rows) - (1 if name == "digits" else 0)
    assert torch.equal(splits.train.x, again.train.x)
    assert torch.equal(splits.test.y, again.test.y)
    assert not torch.equal(splits.train.x, other.train.x)


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("digits", (1124, 224, 449)),
        ("blobs", (1875, 375, 750)),
        ("moons", (375, 75, 150)),
        ("sine", (125, 25, 50)),
    ],
)
def test_a_quarter_is_for_test_and_a_sixth_of_the_others_for_validation(name, sizes):
    splits = load(name)
    assert tuple(len(part.y) for part in (splits.train, splits.val, splits.test)) == sizes


def test_digits_are_the_known_set():
    splits = load("digits")
    parts = [splits.train, splits.val, splits.test]
    x, y = torch.cat([p.x for p in parts]), torch.cat([p.y for p in parts])
    assert x.shape == (1797, 1, 8, 8)
    assert x.dtype == torch.float32
    assert (x.min(), x.max()) == (0, 1)
    assert y.bincount().tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert splits.classes == tuple("0123456789")
    assert (16 * x).sum() == 561_718


def test_loading_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    for name in ("digits", "blobs", "moons", "sine"):
        load(name)
    assert torch.equal(before, torch.get_rng_state())


def test_blobs_have_the_stated_centres_and_spread():
    splits = load("blobs", n=40_000, classes=5, dim=3, spread=0.5, seed=7)
    centres = data.blob_centres(5, 3, seed=7)
    for k in range(5):
        points = splits.train.x[splits.train.y == k]
        assert torch.allclose(points.mean(0), centres[k], atol=0.04)
        assert points.std(0).sub(0.5).abs().max() < 0.03


def test_blobs_keep_their_stated_centres_where_every_seed_is_shifted(monkeypatch):
    class Shifted(torch.Generator):  # as when a chapter is executed under other seeds
        def manual_seed(self, seed):
            super().manual_seed(seed + 1000)
            return self

    monkeypatch.setattr(torch, "Generator", Shifted)
    x, y = load("blobs", n=4_000, classes=5, spread=0.1).train
    assert (x - data.blob_centres(5, 2)[y]).norm(dim=1).max() < 1


def test_sine_has_the_stated_noise():
    splits = load("sine", n=40_000, noise=0.3)
    noise = splits.train.y - (2 * torch.pi * splits.train.x).sin()
    assert abs(noise.mean()) < 0.01
    assert abs(noise.std() - 0.3) < 0.01


def test_noiseless_moons_lie_on_two_half_circles():
    x, y = load("moons", noise=0.0).train
    centre = torch.tensor([[0, 0], [1, 0.5]])[y]
    assert torch.allclose((x - centre).norm(dim=1), torch.ones(len(y)), atol=1e-6)
    assert (((x - centre)[:, 1] >= -1e-6) == (y == 0)).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: load("digitz"), ["name", "digits", "'digitz'"]),
        (lambda: load(["digits"]), ["name", "digits"]),
        (lambda: load("digits", n=5), ["digits", "none", "n"]),
        (lambda: load("blobs", spred=1), ["spread", "spred"]),
        (lambda: load("blobs", n=2), ["n", "2"]),
        (lambda: load("blobs", classes=0), ["classes", "0"]),
        (lambda: load("sine", noise=float("nan")), ["noise", "nan"]),
        (lambda: load("moons", noise=-1), ["noise", "-1"]),
        (lambda: load("blobs", spread=0), ["spread", "above 0", "0"]),
        (lambda: data.blob_centres(3, 0), ["dim", "at least 1", "0"]),
        (lambda: list(batches(load("sine").train, 0)), ["batch_size", "0"]),
        (lambda: list(batches(Split(torch.zeros(0, 2), torch.zeros(0)), 4)), ["0 and 0"]),
        (lambda: list(batches(Split(torch.zeros(3, 2), torch.zeros(2)), 4)), ["3 and 2"]),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError) as error:
        call()
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: load("moons", n=10.5), "n must be an integer, got 10.5"),
        (lambda: load("moons", n="9"), "n must be an integer, got '9'"),
        (lambda: load("moons", n=True), "n must be an integer, got True"),
        (lambda: load("blobs", classes=2.0), "classes must be an integer, got 2.0"),
        (lambda: load("blobs", dim=None), "dim must be an integer, got None"),
        (lambda: load("blobs", spread="wide"), "spread must be a number, got 'wide'"),
        (lambda: load("moons", noise=None), "noise must be a number, got None"),
        (lambda: load("moons", seed=1.5), "seed must be an integer, got 1.5"),
        (lambda: load("moons", seed=None), "seed must be an integer, got None"),
        (lambda: data.blob_centres(2.5), "classes must be an integer, got 2.5"),
        (lambda: list(batches(load("sine").train, 2.5)), "batch_size must be an integer, got 2.5"),
        (lambda: list(batches(load("sine").train, "4")), "batch_size must be an integer, got '4'"),
    ],
)
def test_what_is_no_number_is_named(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_batches_keep_the_order_or_draw_a_new_one():
    split = Split(torch.arange(10.0).unsqueeze(1), torch.arange(10))
    kept = list(batches(split, 4))
    assert [len(b.y) for b in kept] == [4, 4, 2]
    assert torch.equal(torch.cat([b.y for b in kept]), split.y)
    generator = torch.Generator().manual_seed(0)
    first, second = (
        torch.cat([b.y for b in batches(split, 4, generator=generator)]) for _ in range(2)
    )
    assert torch.equal(first.sort().values, split.y)
    assert not torch.equal(first, second)
    for x, y in batches(split, 3, generator=generator):
        assert torch.equal(x.squeeze(1), y.float())


def test_uint8_becomes_float_between_0_and_1():
    x = torch.tensor([0, 51, 255], dtype=torch.uint8)
    assert torch.allclose(to_float(x), torch.tensor([0, 0.2, 1]))
    assert to_float(x.double()).dtype == torch.float64
    assert x.tolist() == [0, 51, 255]


# --- The cache ------------------------------------------------------------------------------------


def arrays(n_train=12, n_test=6):
    rng = np.random.default_rng(0)
    return {
        "train_images": rng.integers(0, 256, (n_train, 8, 8, 3), dtype=np.uint8),
        "train_labels": np.arange(n_train) % 3,
        "test_images": rng.integers(0, 256, (n_test, 8, 8, 3), dtype=np.uint8),
        "test_labels": np.arange(n_test) % 3,
        "class_names": np.array(["ant", "bee", "cat"]),
    }


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("L2G_DATA_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def forbid_download(*_):
    raise AssertionError("the cache should have served")


def test_an_image_set_is_decoded_once_and_stays_uint8(home, monkeypatch):
    monkeypatch.setattr(cache, "_download", lambda *_: arrays())
    first = load("cifar10")
    assert [p.name for p in home.iterdir()] == ["cifar10.npz"]
    monkeypatch.setattr(cache, "_download", forbid_download)
    second = load("cifar10")
    assert torch.equal(first.train.x, second.train.x)
    assert second.train.x.dtype == torch.uint8
    assert second.train.x.shape == (10, 3, 8, 8)
    assert second.classes == ("ant", "bee", "cat")
    expected = torch.from_numpy(arrays()["test_images"]).permute(0, 3, 1, 2)
    assert torch.equal(second.test.x, expected)


def test_no_split_keeps_the_whole_set_in_memory(home, monkeypatch):
    monkeypatch.setattr(cache, "_download", lambda *_: arrays())
    splits = load("cifar10")
    for split in (splits.train, splits.val, splits.test):
        assert split.x.untyped_storage().nbytes() == split.x.numel()


def test_a_truncated_cache_file_is_named_and_left_alone(home, monkeypatch):
    monkeypatch.setattr(cache, "_download", lambda *_: arrays())
    load("cifar10")
    path = home / "cifar10.npz"
    whole = path.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"cifar10\.npz is damaged.*delete it"):
            load("cifar10")
        assert len(path.read_bytes()) == size


def test_a_cache_file_of_another_kind_is_refused(home):
    home.mkdir()
    np.savez(home / "mnist.npz", something=np.zeros(3))
    with pytest.raises(ValueError, match=r"mnist\.npz is damaged or not a cache file"):
        load("mnist")
    np.savez(home / "mnist.npz", **(arrays() | {"train_images": np.zeros((12, 8, 8))}))
    with pytest.raises(ValueError, match="train_images must be uint8"):
        load("mnist")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"train_images": np.uint8(0)}, ["train_images", "uint8 ()"]),
        ({"train_images": np.zeros((0, 8, 8, 3), np.uint8)}, ["train_images", "(0, 8, 8, 3)"]),
        ({"train_images": np.zeros((12, 64), np.uint8)}, ["train_images", "(12, 64)"]),
        ({"train_images": np.zeros((12, 1, 8, 8, 3), np.uint8)}, ["train_images", "1, 8, 8, 3)"]),
        ({"test_images": np.zeros((6, 9, 8, 3), np.uint8)}, ["test_images", "(6, 9, 8, 3)"]),
        ({"test_images": np.zeros((6, 8, 8), np.uint8)}, ["test_images", "(6, 8, 8)"]),
        ({"train_labels": np.full(12, np.nan)}, ["train_labels", "float64"]),
        ({"train_labels": np.array(["ant"] * 12)}, ["train_labels", "<U3"]),
        ({"train_labels": np.zeros((12, 2), int)}, ["train_labels", "(12, 2)"]),
        ({"train_labels": np.zeros(11, int)}, ["train_labels", "12 indices", "(11,)"]),
        ({"test_labels": np.full(6, 3)}, ["test_labels", "class_names (3,)"]),
        ({"test_labels": np.full(6, -1)}, ["test_labels", "class_names (3,)"]),
        ({"class_names": np.array("ant")}, ["class_names ()"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_cache_file_of_wrong_shapes_is_named(home, changed, words):
    home.mkdir()
    np.savez(home / "mnist.npz", **(arrays() | changed))
    with pytest.raises(ValueError) as error:
        load("mnist")
    assert all(word in str(error.value) for word in [*words, "mnist.npz", "delete it"])


@pytest.mark.parametrize("content", ["junk", "array", "compressed"])
def test_what_is_no_cache_file_at_all_is_named(home, content):
    home.mkdir()
    path = home / "mnist.npz"
    if content == "junk":
        path.write_bytes(100 * b"x")
    elif content == "array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    else:
        np.savez_compressed(path, **arrays())
        whole = bytearray(path.read_bytes())
        for position in range(100, 400):
            whole[position] ^= 255
        path.write_bytes(whole)
    with pytest.raises(ValueError, match=r"mnist\.npz is damaged or not a cache file") as error:
        load("mnist")
    assert "pickle" not in str(error.value)  # NumPy's advice to load it unsafely


def test_an_unreadable_cache_file_is_not_called_damaged(home):
    (home / "mnist.npz").mkdir(parents=True)
    with pytest.raises(PermissionError, match=r"mnist\.npz cannot be read: Is a directory"):
        load("mnist")


def test_an_unwritable_cache_is_said_before_the_download(home, monkeypatch):
    home.write_text("a file where the folder should be")
    monkeypatch.setattr(cache, "_download", forbid_download)
    with pytest.raises(PermissionError, match=r"cannot be written.*L2G_DATA_HOME"):
        load("mnist")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            RuntimeError("Error downloading x:\nTried a, got:\nno route"),
            "x: Tried a, got: no route",
        ),
        (OSError("no route to host"), "no route to host"),
        (TimeoutError(), "TimeoutError"),
        (IncompleteRead(b""), "IncompleteRead"),
        (EOFError("Compressed file ended"), "Compressed file ended"),
        (tarfile.ReadError("unexpected end of data"), "unexpected end of data"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_without_cache_and_network_both_are_named(home, monkeypatch, error, reason):
    import torchvision

    class Offline:
        def __init__(self, *_, **__):
            raise error

    monkeypatch.setattr(torchvision.datasets, "MNIST", Offline)
    with pytest.raises(FileNotFoundError) as caught:
        load("mnist")
    assert str(home / "mnist.npz") in str(caught.value)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(home.iterdir()) == []


def test_a_full_disk_leaves_nothing_behind(home, monkeypatch):
    def full(file, **_):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "_download", lambda *_: arrays())
    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        load("cifar10")
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("name", CACHED)
def test_real_image_sets_from_the_cache(name):
    if not (data.cache_home() / f"{name}.npz").exists():
        pytest.skip(
            f"{name}.npz is not in {data.cache_home()}: set L2G_DATA_HOME to have it tested"
        )
    splits = load(name)
    sizes = [len(part.y) for part in (splits.train, splits.val, splits.test)]
    assert sizes[2] == 10_000
    assert sum(sizes) == (60_000 if name == "cifar100" else 70_000)
    assert splits.train.x.dtype == torch.uint8
    if name == "cifar100":
        assert splits.test.y.bincount().tolist() == [100] * 100
