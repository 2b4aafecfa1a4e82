"""The studies that search: what is still to run, follows from the records alone."""

import sys

import numpy as np
import pytest
import torch
from killing import kill_at

from l2g.data import Split, Splits
from l2g.study import __main__, cifar, runner
from l2g.study.records import RECORDED, pack_answers, read_record, unpack_answers
from l2g.study.search import Axis, Run, Search, outcome, outcomes

RATES = Axis((1, 2, 3, 4, 5, 6, 7), first=(3, 4))
PADDING = Axis((0, 1, 2, 4), first=(1, 2))


def recorded(search, records, accuracy, inherited=None, limit=1000):
    """Make the missing runs, at most ``limit``, with an accuracy that a function gives."""
    made = []
    while runs := outcome(search, records, inherited or {}).missing:
        for run in runs:
            if len(made) == limit:
                return made
            assert run.name not in records
            records[run.name] = {"val": {"accuracy": accuracy(dict(run.setting), run.seed)}}
            made.append(run)
    return made


def at(peak):
    return lambda setting, seed: -abs(setting["lr"] - peak)


# --- What is still to run -------------------------------------------------------------------------


def test_every_setting_is_tuned_with_every_seed_and_then_run_with_the_final_seeds():
    search = Search(name="none", axes={"lr": Axis((1, 2, 3, 4), first=(1, 2, 3))}, finals=4)
    records = {}
    made = recorded(search, records, at(2))
    tuning = {(run.setting, run.seed) for run in made if not run.final}
    assert tuning == {((("lr", lr),), seed) for lr in (1, 2, 3) for seed in (100, 101, 102)}
    finals = [run for run in made if run.final]
    assert [run.seed for run in finals] == [0, 1, 2, 3]
    assert {run.setting for run in finals} == {(("lr", 2),)}
    assert len(made) == len(records) == 9 + 4
    found = outcome(search, records, {})
    assert found.missing == []
    assert found.chosen == {"lr": 2}
    assert len(found.finals) == 4
    assert found.tried == [({"lr": 1}, -1), ({"lr": 2}, 0), ({"lr": 3}, -1)]


def test_the_mean_over_the_seeds_decides_and_not_the_luck_of_one():
    accuracy = {1: (0.9, 0.1, 0.1), 2: (0.4, 0.4, 0.4), 3: (0.1, 0.5, 0.1)}
    search = Search(name="none", axes={"lr": Axis((1, 2, 3), first=(1, 2, 3))})
    records = {}
    recorded(search, records, lambda setting, seed: accuracy[setting["lr"]][seed % 100 % 3])
    assert outcome(search, records, {}).chosen == {"lr": 2}


@pytest.mark.parametrize(("peak", "tried"), [(3, {2, 3, 4}), (5, {3, 4, 5, 6}), (4, {3, 4, 5})])
def test_a_grid_grows_until_its_winner_lies_inside(peak, tried):
    search, records = Search(name="none", axes={"lr": RATES}), {}
    recorded(search, records, at(peak))
    found = outcome(search, records, {})
    assert {setting["lr"] for setting, _ in found.tried} == tried
    assert found.chosen == {"lr": peak}
    assert found.at_end == []


def test_a_winner_at_the_end_of_its_ladder_is_named():
    search, records = Search(name="none", axes={"lr": RATES}), {}
    recorded(search, records, at(100))
    found = outcome(search, records, {})
    assert found.chosen == {"lr": 7}
    assert found.at_end == ["lr"]


def test_a_grid_grows_along_both_axes_and_only_around_the_winner():
    search, records = Search(name="crop", axes={"lr": RATES, "padding": PADDING}, finals=1), {}
    made = recorded(search, records, lambda s, seed: -abs(s["lr"] - 4) - abs(s["padding"] - 2))
    tried = {tuple(dict(run.setting).values()) for run in made if not run.final}
    first = {(3, 1), (3, 2), (4, 1), (4, 2)}
    assert tried == first | {(5, 2), (4, 4)}
    assert outcome(search, records, {}).chosen == {"lr": 4, "padding": 2}


def test_a_search_that_stops_anywhere_goes_on_to_the_same_records():
    search = Search(name="crop", axes={"lr": RATES, "padding": PADDING})
    noise = np.random.default_rng(0).normal(size=(20, 20, 200))

    def accuracy(setting, seed):
        return -abs(setting["lr"] - 5) + noise[setting["lr"], setting["padding"], seed]

    whole = {}
    order = [run.name for run in recorded(search, whole, accuracy)]
    assert len(order) > 20
    for limit in (1, 7):
        records, made = {}, []
        while stretch := recorded(search, records, accuracy, limit=limit):
            made += [run.name for run in stretch]
        assert made == order  # nothing twice, nothing left out
        assert records == whole


def test_what_is_to_come_is_counted_down_to_nothing():
    search, records = Search(name="none", axes={"lr": RATES}, finals=4), {}
    assert runner.to_come(outcome(search, records, None), search) == 2 * 3 + 4  # it waits
    assert runner.to_come(outcome(search, records, {}), search) == 2 * 3 + 4
    recorded(search, records, at(4), limit=6)
    assert runner.to_come(outcome(search, records, {}), search) == 3 + 4  # a neighbour
    recorded(search, records, at(4))
    assert runner.to_come(outcome(search, records, {}), search) == 0


def test_a_follower_waits_and_then_takes_over_what_was_chosen():
    crop = Search(name="crop", axes={"lr": RATES, "strength": PADDING})
    both = Search(name="both", axes={"lr": RATES}, follows="crop", inherits={"padding": "strength"})
    searches, records = {"crop": crop, "both": both}, {}
    assert outcomes(searches, records)["both"].missing == []
    recorded(crop, records, lambda s, seed: -abs(s["strength"] - 2))
    missing = outcomes(searches, records)["both"].missing
    assert {run.setting for run in missing} == {
        (("padding", 2), ("lr", 3)),
        (("padding", 2), ("lr", 4)),
    }
    recorded(both, records, at(4), {"padding": 2})
    assert outcomes(searches, records)["both"].chosen == {"padding": 2, "lr": 4}


# --- Records --------------------------------------------------------------------------------------


def test_answers_come_back_as_they_were_packed():
    right = torch.rand(10_001, generator=torch.Generator().manual_seed(0)) < 0.3
    packed = pack_answers(right)
    assert len(packed["bits"]) < 10_001 / 8 * 1.4
    assert unpack_answers(packed).tolist() == right.tolist()


def go_on(folder, search, **options):
    about = {"part": "fake", "origin": {"torch": "0"}}
    made = []

    def train(run):
        made.append(run.name)
        if len(made) > options.get("limit", 1000):
            raise KeyboardInterrupt
        return {"val": {"accuracy": at(4)(dict(run.setting), run.seed)}}

    runner.go_on(folder, {search.name: search}, train, about=about)
    return made


def test_what_is_recorded_says_what_was_run(tmp_path, capsys):
    go_on(tmp_path, Search(name="none", axes={"lr": RATES}, finals=2))
    record = read_record(tmp_path / "none" / "lr=4" / "seed1.json")
    assert record["seconds"] >= 0
    wanted = {"part": "fake", "condition": "none", "kind": "final", "seed": 1}
    assert record.items() >= wanted.items()
    assert record["setting"] == {"lr": 4}
    assert read_record(tmp_path / "none" / "lr=5" / "tune102.json")["kind"] == "tuning"
    assert "chosen: lr 4; 2 of 2 final runs" in capsys.readouterr().out


def test_an_interrupted_study_loses_the_run_in_hand_only(tmp_path):
    search = Search(name="none", axes={"lr": RATES}, finals=2)
    whole = go_on(tmp_path / "whole", search)
    with pytest.raises(KeyboardInterrupt):
        go_on(tmp_path / "parts", search, limit=5)
    assert len(list((tmp_path / "parts").rglob("*.json"))) == 5
    before = {p: p.read_bytes() for p in (tmp_path / "parts").rglob("*.json")}
    assert go_on(tmp_path / "parts", search) == whole[5:]
    assert all(path.read_bytes() == content for path, content in before.items())
    assert go_on(tmp_path / "parts", search) == []


def test_a_damaged_record_stops_the_study_and_is_left_alone(tmp_path):
    search = Search(name="none", axes={"lr": RATES}, finals=2)
    go_on(tmp_path, search)
    damaged = tmp_path / "none" / "lr=4" / "tune101.json"
    damaged.write_text("{")
    with pytest.raises(ValueError, match=r"tune101\.json is damaged; delete it to run it again"):
        go_on(tmp_path, search)
    assert damaged.read_text() == "{"


# --- The searches on CIFAR-100 --------------------------------------------------------------------

SEARCHES = cifar.TUNED | cifar.AUGMENTATION


def test_a_follower_stands_behind_the_one_that_it_follows():
    for searches in (cifar.TUNED, cifar.AUGMENTATION):
        names = list(searches)
        for name, search in searches.items():
            assert search.follows is None or names.index(search.follows) < names.index(name)


@pytest.mark.parametrize("name", SEARCHES)
def test_ladders_rise_and_the_first_values_lie_on_them_side_by_side(name):
    search = SEARCHES[name]
    assert len(search.grid()) == 6  # as many for the baseline as for its rivals
    for axis in search.axes.values():
        assert list(axis.ladder) == sorted(set(axis.ladder))
        start = axis.ladder.index(axis.first[0])
        assert axis.ladder[start : start + len(axis.first)] == axis.first
        assert 0 < start + 1 < len(axis.ladder)


def fake_splits(n=300):
    generator = torch.Generator().manual_seed(0)

    def split(n):
        x = torch.randint(256, (n, 3, 32, 32), generator=generator, dtype=torch.uint8)
        return Split(x, torch.randint(100, (n,), generator=generator))

    return Splits(split(n), split(60), split(50), "cifar100", None)


SPLITS = fake_splits()


def quick(name, setting, final=True):
    run = Run(name, tuple(setting.items()), 0, final)
    return cifar.train(run, SPLITS, torch.device("cpu"), quick=True)


def a_setting(name):
    """The last of the settings that are tried first, with what it would inherit."""
    search = SEARCHES[name]
    supplied = a_setting(search.follows) if search.follows else {}
    return {key: supplied[of] for key, of in search.inherits.items()} | search.grid()[-1]


@pytest.mark.parametrize("name", SEARCHES)
def test_every_condition_trains_and_keeps_its_answers(name):
    record = quick(name, a_setting(name))
    for measured in (record["test"], record["test_last"]):
        right = unpack_answers(measured["answers"])
        assert right.shape == (50,)
        assert right.mean() == pytest.approx(measured["accuracy"])
    assert len(record["history"]["seconds"]) == 2


@pytest.mark.parametrize("name", ["none", "augmentation", "combined"])
def test_a_schedule_ends_at_its_last_epoch_and_bites(name):
    constant, cosine = a_setting(name), a_setting(f"cosine_{name}")
    found = quick(f"cosine_{name}", cosine)
    assert found["best_epoch"] == 1
    assert found["test"] == found["test_last"]
    assert found["val"]["loss"] == found["history"]["columns"]["val_loss"][-1]
    same = {k: v for k, v in cosine.items() if k != "epochs"}
    at_constant_rate = quick(name, constant | same)
    assert found["history"]["columns"] != at_constant_rate["history"]["columns"]


def test_the_parts_of_the_combination_differ_from_it_and_from_each_other():
    names = [name for name in SEARCHES if name.startswith("combined")]
    assert len(names) == 4
    setting = {"lr": 1e-3, "strength": 0.1, "padding": 2}
    settings = {name: dict(setting) for name in names}
    settings["combined_without_smoothing"]["strength"] = 2
    curves = [quick(name, s)["history"]["columns"]["running_loss"] for name, s in settings.items()]
    assert len({tuple(curve) for curve in curves}) == 4


def test_how_far_the_combination_crops_is_what_it_inherits():
    near, far = (
        quick("combined", {"lr": 1e-3, "strength": 0.1, "padding": p}, final=False) for p in (1, 8)
    )
    assert near["history"]["columns"] != far["history"]["columns"]


@pytest.mark.parametrize(
    ("images", "epochs", "patience"), [(1250, 320, 80), (5000, 80, 20), (10_000, 80, 20)]
)
def test_fewer_images_get_as_many_steps(images, epochs, patience):
    search = next(s for s in SEARCHES.values() if s.images == images)
    regime = cifar.regime_of(search)
    assert (regime.train, regime.epochs, regime.patience) == (images, epochs, patience)


def test_a_run_that_diverges_is_a_result_and_never_wins():
    record = quick("none", {"lr": 1e30}, final=False)
    assert record["val"]["accuracy"] == 0
    assert "diverged" in record["diverged"]


@pytest.mark.parametrize("part", __main__.SEARCHES)
def test_what_the_repository_has_recorded_is_what_the_searches_ask_for(part):
    folder, searches = RECORDED / part, __main__.SEARCHES[part]
    records = runner.recorded(folder)
    for name, record in records.items():
        final = record["kind"] == "final"
        run = Run(record["condition"], tuple(record["setting"].items()), record["seed"], final)
        assert run.name == name
        assert record["part"] == part
        assert len(record["origin"]["commit"]) == 40, name  # from a commit, not from a draft
        assert record["origin"]["torch"]
        assert record["seconds"] > 0
        if final and "diverged" not in record and part != "pets":
            for figures in (record["test"], record["test_last"]):
                right = unpack_answers(figures["answers"])
                assert len(right) == 10_000
                assert right.mean() == pytest.approx(figures["accuracy"])
    for name, found in outcomes(searches, records).items():
        chosen = {f"{name}/{','.join(f'{k}={v:g}' for k, v in (found.chosen or {}).items())}"}
        finals = {file.rsplit("/", 1)[0] for file in records if f"{name}/" == file[: len(name) + 1]}
        finals = {f for f in finals if f"{f}/seed0.json" in records}
        assert finals <= chosen  # none is left of a choice that tuning has overturned


def test_the_records_stay_small():
    assert sum(path.stat().st_size for path in RECORDED.rglob("*") if path.is_file()) < 30e6


# --- The command ----------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A small stand-in for the cache of CIFAR-100."""
    generator, arrays = np.random.default_rng(0), {}
    for part, n in {"train": 400, "test": 60}.items():
        arrays[f"{part}_images"] = generator.integers(256, size=(n, 32, 32, 3), dtype=np.uint8)
        arrays[f"{part}_labels"] = generator.integers(100, size=n)
    names = [f"class {k}" for k in range(100)]
    np.savez(tmp_path / "cifar100.npz", class_names=names, **arrays)
    monkeypatch.setenv("L2G_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("TQDM_DISABLE", "1")
    return tmp_path


QUICK = ["tuned", "--quick", "--device", "cpu", "--only", "none", "--results"]


def test_a_killed_study_goes_on_and_says_how_far_it_is(home, capsys):
    results = home / "r"
    command = [sys.executable, "-m", "l2g.study", *QUICK, str(results)]
    kill_at("lr=0.002", command)
    before = {path: path.read_bytes() for path in results.rglob("*.json")}
    assert len(before) == 3
    __main__.main(["tuned", "--quick", "--status", "--results", str(results)])
    assert "3 runs recorded" in capsys.readouterr().out
    __main__.main([*QUICK, str(results)])
    assert all(path.read_bytes() == content for path, content in before.items())
    finals = results.rglob("seed*.json")
    assert sorted(path.name for path in finals) == ["seed0.json", "seed1.json"]
    for path in results.rglob("*.json"):
        record = read_record(path)
        assert record["origin"].keys() >= {"torch", "hardware", "commit", "python"}
        assert ("test" in record) == path.name.startswith("seed")
    capsys.readouterr()
    __main__.main([*QUICK, str(results)])
    assert ".json" not in capsys.readouterr().out  # nothing is run again


def test_an_unknown_part_lists_the_known_ones(capsys):
    with pytest.raises(SystemExit):
        __main__.main(["tunde"])
    assert "part must be one of reported, small, full, tuned" in capsys.readouterr().err
