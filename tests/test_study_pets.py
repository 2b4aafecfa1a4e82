"""The study of 370 photographs: its folds, its records, and features that travel."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from l2g.models import Pretrained
from l2g.study import __main__, pets
from l2g.study.records import read_record
from l2g.study.search import Run

CPU = torch.device("cpu")
LABELS = torch.arange(37).repeat_interleave(10)


def test_five_runs_answer_every_photograph_once_and_every_breed_alike():
    for repetition in range(3):
        seeds = range(5 * repetition, 5 * repetition + 5)
        held_out = [pets.fold_of(LABELS, seed)[1] for seed in seeds]
        assert torch.cat(held_out).sort().values.tolist() == list(range(370))
        for index in held_out:
            assert LABELS[index].bincount().tolist() == [2] * 37
    for seed in range(5):
        train, held_out = pets.fold_of(LABELS, seed)
        assert not set(train.tolist()) & set(held_out.tolist())
        assert len(train) == 296


def test_repetitions_differ_and_those_of_tuning_are_not_used_again():
    folds = {seed: pets.fold_of(LABELS, seed)[1].tolist() for seed in range(0, 105, 5)}
    assert len({tuple(fold) for fold in folds.values()}) == len(folds)
    for search in pets.PETS.values():
        assert not {s // 5 for s in search.seeds} & {s // 5 for s in range(search.finals)}
        assert search.finals % 5 == 0


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Stand-ins for the photographs (three breeds) and for the network, which is tiny."""
    folder = tmp_path / "oxford_pets_sample" / "images"
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for breed, colour in {"Abyssinian": 60, "pug": 130, "Birman": 220}.items():
        for i in range(10):
            pixels = generator.integers(colour - 30, colour + 30, size=(40, 50, 3))
            name = folder / f"{breed}_{i}.jpg"
            Image.fromarray(pixels.astype(np.uint8)).save(name)
    monkeypatch.setenv("L2G_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(pets, "pretrained", tiny)
    return tmp_path


def tiny(name, n_classes, *, weights=True, seed=None):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0 if weights else 1000 + (seed or 0))
        body = nn.Sequential(
            nn.Conv2d(3, 6, 8, stride=8), nn.ReLU(), nn.Conv2d(6, 6, 1), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )  # fmt: skip
        torch.manual_seed(seed or 0)
        return Pretrained(body, 6, n_classes)


def made(home, name, setting, seed=0, final=True):
    train = pets.trainer(home / "records", CPU, epochs=2)
    return train(Run(name, tuple(setting.items()), seed, final))


SETTINGS = {
    "frozen_128": {"l2": 1e-3},
    "frozen_192": {"l2": 1e-3},
    "one_rate": {"l2": 1e-3, "lr": 1e-2},
    "discriminative": {"l2": 1e-3, "lr": 1e-2, "ratio": 10},
    "scratch": {"lr": 1e-2},
}


@pytest.mark.parametrize("name", pets.PETS)
def test_a_final_run_records_what_it_held_out_and_what_it_said(home, name):
    record = made(home, name, SETTINGS[name], seed=6)
    photographs = pets.read_pets(32)
    held_out = pets.fold_of(photographs.y, 6)[1]
    found = record["test"]
    assert found["photographs"] == held_out.tolist()
    right = torch.tensor(found["predicted"]) == photographs.y[held_out]
    assert found["accuracy"] == pytest.approx(right.double().mean().item())
    assert "val" not in record
    again = made(home, name, SETTINGS[name], seed=6)
    assert again["test"] == found


def test_a_tuning_run_has_figures_of_validation_only(home):
    record = made(home, "frozen_128", {"l2": 0.1}, seed=101, final=False)
    assert record.keys() == {"val"}


def test_frozen_features_tell_bright_from_dark_and_travel_without_the_photographs(home):
    record = made(home, "frozen_128", {"l2": 1e-5})
    assert record["test"]["accuracy"] > 0.9
    found = pets.read_features(128, folder=home / "records")
    assert found["features"].shape == (30, 6)
    assert found["features"].dtype == torch.float32
    assert found["classes"] == ("Abyssinian", "Birman", "pug")
    assert found["labels"].tolist() == [0] * 10 + [1] * 10 + [2] * 10
    assert found["files"][0] == "Abyssinian_0.jpg"
    assert found["origin"].keys() >= {"torch", "hardware", "commit", "scikit-learn", "seconds"}
    for file in (home / "oxford_pets_sample" / "images").iterdir():
        file.unlink()
    assert made(home, "frozen_128", {"l2": 1e-5}) == record


def test_the_ratio_sets_the_rates_of_the_groups():
    model = tiny("", 3)
    lrs = [group["lr"] for group in pets._groups(model, {"lr": 1e-2, "ratio": 100})]
    assert lrs == pytest.approx([1e-4, 1e-3, 1e-2])
    assert [group["lr"] for group in pets._groups(model, {"lr": 1e-2})] == [1e-2] * 3


def test_rates_by_depth_and_weights_from_scratch_change_the_run(home):
    one = made(home, "one_rate", SETTINGS["one_rate"])
    apart = made(home, "discriminative", SETTINGS["discriminative"])
    scratch = made(home, "scratch", {"lr": 1e-2})
    losses = {record["test"]["loss"] for record in (one, apart, scratch)}
    assert len(losses) == 3
    level = made(home, "discriminative", SETTINGS["discriminative"] | {"ratio": 1})
    assert level["test"] == one["test"]


def test_fine_tuning_starts_from_the_frozen_body_and_its_best_head(home):
    frozen = made(home, "frozen_128", {"l2": 1e-3})["test"]
    tuned = made(home, "one_rate", {"l2": 1e-3, "lr": 1e-9})["test"]
    assert tuned["predicted"] == frozen["predicted"]
    assert tuned["loss"] == pytest.approx(frozen["loss"], rel=1e-2)  # features in half precision


def test_features_that_were_not_recorded_are_asked_for(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"`python -m l2g\.study pets` makes them"):
        pets.read_features(999, folder=tmp_path)


def test_the_command_tunes_and_records_and_runs_nothing_twice(home, capsys):
    command = ["pets", "--quick", "--device", "cpu", "--results", str(home / "r")]
    command += ["--only", "frozen_128", "--only", "one_rate"]
    __main__.main(command)
    files = list((home / "r" / "quick" / "pets").rglob("*.json"))
    assert {path.parts[-3] for path in files} == {"frozen_128", "one_rate"}
    assert sum(path.name.startswith("seed") for path in files) == 4
    assert read_record(files[0])["part"] == "pets"
    capsys.readouterr()
    __main__.main(command)
    assert ".json" not in capsys.readouterr().out
