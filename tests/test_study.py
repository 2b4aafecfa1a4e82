"""The CIFAR-100 study: its records, its resumption after a kill, and both of its protocols."""

import errno
import json
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from killing import kill_at
from torch import nn

from l2g import files, models
from l2g.data import Split
from l2g.study import REPAIRED, REPORTED, __main__, read_records, records, repaired, reported
from l2g.study.records import read_record, write_record

RECORD = {"part": "small", "condition": "none", "seed": 0, "val": {"loss": 1.5}}
CPU = torch.device("cpu")


# --- Records --------------------------------------------------------------------------------------


def test_a_record_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "small" / "none.json"
    write_record(path, RECORD)
    assert read_record(path) == {"format": records.FORMAT, **RECORD}
    assert [file.name for file in path.parent.iterdir()] == ["none.json"]
    (found,) = read_records(tmp_path)
    assert found["path"] == "small/none.json"


def test_a_record_is_never_overwritten(tmp_path):
    path = tmp_path / "r.json"
    write_record(path, RECORD)
    with pytest.raises(FileExistsError, match="recorded already; delete it to run it again"):
        write_record(path, RECORD | {"seed": 1})
    assert read_record(path)["seed"] == 0


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"format": 1}', "\0" * 40])
def test_damaged_records_are_named(tmp_path, damage):
    path = tmp_path / "r.json"
    path.write_text(damage)
    with pytest.raises(ValueError, match=r"record .*r\.json is damaged; delete it to run it again"):
        read_records(tmp_path)
    assert path.read_text() == damage


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_truncated_records_are_named(tmp_path, cut):
    path = tmp_path / "r.json"
    write_record(path, RECORD)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(ValueError, match="is damaged"):
        read_record(path)


def test_a_number_changed_by_hand_is_noticed(tmp_path):
    path = tmp_path / "r.json"
    write_record(path, RECORD)
    path.write_text(path.read_text().replace("1.5", "1.4"))
    with pytest.raises(ValueError, match="was changed after it was written"):
        read_record(path)


def test_a_record_of_another_version_is_told_apart_from_a_damaged_one(tmp_path):
    path = tmp_path / "r.json"
    write_record(path, RECORD)
    content = json.loads(path.read_text()) | {"format": 99}
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"has format 99, this version reads 1; move it away"):
        read_record(path)


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match=r"r\.json cannot be written: No space left on device"):
        write_record(tmp_path / "r.json", RECORD)
    assert list(tmp_path.iterdir()) == []


def test_no_records_at_all(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there are no records in .*: `make study`"):
        read_records(tmp_path / "results")


def test_the_records_of_the_repository_are_whole_and_say_where_they_come_from():
    found = read_records()
    assert found
    for record in found:
        origin = record["origin"]
        assert len(origin["commit"]) == 40, record["path"]  # from a commit, not from a draft
        assert origin["torch"]
        assert origin["hardware"]
        assert record["part"] in record["path"]
        assert record["condition"] in record["path"]
        epochs = {len(column) for column in record["history"]["columns"].values()}
        assert epochs == {len(record["history"]["seconds"])}


# --- As reported ----------------------------------------------------------------------------------


def fake_images(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(256, (n, 3, 32, 32), generator=generator, dtype=torch.uint8)
    return Split(x, torch.randint(100, (n,), generator=generator))


def run_reported(tmp_path, name="none", epochs=2, seed=0):
    return reported.train_as_reported(
        name, fake_images(300), fake_images(200, 1), seed=seed, epochs=epochs,
        checkpoint=tmp_path / f"{name}.checkpoint", device=CPU,
    )  # fmt: skip


@pytest.mark.parametrize("name", REPORTED)
def test_the_reported_protocol_by_hand(tmp_path, name):
    found = run_reported(tmp_path, name)
    slots, weight_decay = REPORTED[name]
    model = models.TinyConvNet(100, output=nn.Sigmoid, seed=0, **slots)
    assert sum(p.numel() for p in model.parameters()) == (44_632 if name == "batchnorm" else 44_548)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=weight_decay)
    train, test = fake_images(300), fake_images(200, 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for epoch in range(2):
            model.train()
            total = correct = 0
            for start in range(0, 300, 128):  # the order of the file
                x, y = train.x[start : start + 128] / 255, train.y[start : start + 128]
                outputs = model(x)
                loss = F.cross_entropy(outputs, y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item() * len(x)
                correct += (outputs.argmax(1) == y).sum().item()
            assert found["running_loss"][epoch] == pytest.approx(total / 300, rel=1e-5)
            assert found["running_accuracy"][epoch] == pytest.approx(correct / 300)
            model.eval()
            with torch.no_grad():
                outputs = model(test.x / 255)
            loss = F.cross_entropy(outputs, test.y).item()
            assert found["test_loss"][epoch] == pytest.approx(loss, rel=1e-5)


def test_ties_and_large_outputs_are_counted(monkeypatch):
    rows = torch.full((4, 100), -5.0)
    rows[0, [3, 7]] = torch.tensor([20.0, 30.0])  # both are exactly 1 after the sigmoid
    rows[1, 5] = 30.0
    rows[2, [1, 2, 9]] = torch.tensor([3.0, 2.5, 2.0])  # 0.95, 0.92, 0.88
    split = Split(torch.zeros(4, 3, 32, 32), torch.tensor([7, 5, 2, 0]))
    monkeypatch.setattr(reported, "_outputs", lambda model, x: (rows.sigmoid(), rows))
    model = models.TinyConvNet(100)
    found = reported._measured(model, split, split)
    assert found["tied"] == 2 / 4  # the first row, and the last, all of whose outputs are equal
    assert found["above_0.9"] == (2 + 1 + 2 + 0) / 4
    assert found["accuracy_before_sigmoid"] == 3 / 4  # 7, 5 and 0: the first of equals
    assert found["test_accuracy"] == 2 / 4  # 3 comes before 7
    assert found["test_loss"] == pytest.approx(F.cross_entropy(rows.sigmoid(), split.y).item())


def test_outputs_are_the_sigmoid_of_what_the_network_computes_before():
    model = models.TinyConvNet(100, output=nn.Sigmoid, seed=0).eval()
    split = fake_images(30)
    with torch.no_grad():
        outputs, logits = reported._outputs(model, split.x)
        torch.testing.assert_close(outputs, model(split.x / 255))
    torch.testing.assert_close(logits, torch.logit(outputs), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("losses", "stale"),
    [
        ([], False),
        ([1.0] + [2.0] * 19, False),
        ([1.0] + [2.0] * 20, True),
        ([1.0] * 30, False),  # a tie counts as an improvement, as it did in the original
        ([3.0, 1.0] + [2.0] * 20, True),
    ],
)
def test_patience_is_that_of_the_original(losses, stale):
    assert reported._stale(losses) == stale


def test_a_reported_run_that_is_killed_goes_on(tmp_path, monkeypatch):
    whole = run_reported(tmp_path / "", "dropout", epochs=3)
    (tmp_path / "dropout.checkpoint").unlink()
    measured, calls = reported._measured, []

    def killed(*args):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return measured(*args)

    monkeypatch.setattr(reported, "_measured", killed)
    with pytest.raises(KeyboardInterrupt):
        run_reported(tmp_path, "dropout", epochs=3)
    assert run_reported(tmp_path, "dropout", epochs=3) == whole


# --- Repaired -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REPAIRED)
def test_every_condition_has_the_same_budget_and_its_settings_bite(name):
    condition = REPAIRED[name]
    assert len(condition.grid) == len(REPAIRED["none"].grid) == 6
    assert len({tuple(sorted(setting.items())) for setting in condition.grid}) == 6
    split = fake_images(64)
    x, y = split.x / 255, split.y
    weights = []
    for candidate in (condition, REPAIRED["none"]):
        setting = condition.grid[-1]
        model = candidate.model(setting, seed=0).train()
        optimizer = candidate.make_optimizer(setting)(model.parameters())
        transform = candidate.transform(setting) or (lambda x, y: (x, y))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for _ in range(2):
                inputs, targets = transform(x, y)
                optimizer.zero_grad()
                F.cross_entropy(model(inputs), targets).backward()
                optimizer.step()
        weights.append(next(model.parameters()).detach())
    assert torch.equal(*weights) == (name == "none")


def test_regimes_never_touch_the_test_set_and_their_parts_are_disjoint():
    splits = __main__.data.Splits(
        fake_images(60), fake_images(20, 1), fake_images(30, 2), "cifar100"
    )
    small = repaired.Regime("small", train=40, val=10, epochs=1, patience=1).of(splits)
    assert torch.equal(small.train.x, splits.train.x[:40])
    assert torch.equal(small.val.x, splits.val.x[:10])
    assert small.test is splits.test


def run_repaired(tmp_path, **options):
    splits = __main__.data.Splits(
        fake_images(200), fake_images(60, 1), fake_images(60, 2), "cifar100"
    )
    regime = repaired.Regime("small", train=200, val=60, epochs=3, patience=9)
    options = {"seed": 0, "final": True, "checkpoint": tmp_path / "c", "device": CPU} | options
    return repaired.train_repaired(
        REPAIRED["none"], {"lr": 0.01, "strength": 0.0}, splits, regime, **options
    )


def test_a_final_run_measures_the_best_and_the_last_weights_on_the_test_set(tmp_path):
    found = run_repaired(tmp_path)
    losses = found["history"]["columns"]["val_loss"]
    assert found["best_epoch"] == losses.index(min(losses))
    assert found["val"]["loss"] == min(losses)
    assert found["parameters"] == 44_548
    best = found["best_epoch"] == len(losses) - 1
    assert (found["test"] == found["test_last"]) == best


def test_a_tuning_run_does_not_look_at_the_test_set(tmp_path, monkeypatch):
    monkeypatch.setattr(repaired, "predict", None)  # calling it would fail
    assert "test" not in run_repaired(tmp_path, final=False)


def test_a_repaired_run_that_was_killed_before_its_record_was_written_goes_on(tmp_path):
    first = run_repaired(tmp_path)
    again = run_repaired(tmp_path)  # from the checkpoint of the finished run
    assert again == first


# --- The command ----------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """A small stand-in for the cache of CIFAR-100."""
    generator, arrays = np.random.default_rng(0), {}
    for part, n in {"train": 900, "test": 120}.items():
        arrays[f"{part}_images"] = generator.integers(256, size=(n, 32, 32, 3), dtype=np.uint8)
        arrays[f"{part}_labels"] = generator.integers(100, size=n)
    names = [f"class {k}" for k in range(100)]
    folder = tmp_path_factory.mktemp("data")
    np.savez(folder / "cifar100.npz", class_names=names, **arrays)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("L2G_DATA_HOME", str(folder))
        environment.setenv("TQDM_DISABLE", "1")
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with the records of a share of the study."""
    folder = tmp_path_factory.mktemp("study")
    study(folder, *SHARE)
    return folder


def study(tmp_path, *arguments):
    __main__.main(["--quick", "--device", "cpu", "--results", str(tmp_path / "r"), *arguments])
    return read_records(tmp_path / "r")


SHARE = ["reported", "small", "--only", "none", "--only", "mixup"]


def test_the_quick_study_records_every_run_once(finished, capsys):
    found = read_records(finished / "r")
    names = [record["path"].removeprefix("quick/") for record in found]
    runs = [f"tune{i}.json" for i in range(6)] + ["seed0.json", "seed1.json"]
    expected = {f"small/{c}/{run}" for c in ("none", "mixup") for run in runs}
    assert set(names) == expected | {"reported/none/seed0.json"}
    for record in found:
        assert record["origin"].keys() >= {"torch", "hardware", "commit", "python"}
        assert record["seconds"] > 0
        is_final = record["part"] == "small" and record["seed"] != __main__.TUNING_SEED
        assert ("test" in record) == is_final
    before = {path: path.stat().st_mtime_ns for path in (finished / "r").rglob("*.json")}
    study(finished, *SHARE)
    assert ".json" not in capsys.readouterr().out  # nothing is run again
    assert before == {p: p.stat().st_mtime_ns for p in (finished / "r").rglob("*.json")}
    assert not list((finished / "r").rglob("*.checkpoint"))


def test_the_final_runs_take_the_setting_with_the_best_validation_accuracy(finished):
    mixed = [r for r in read_records(finished / "r") if r["condition"] == "mixup"]
    tuned = [r for r in mixed if "tune" in r["path"]]
    best = max(tuned, key=lambda record: record["val"]["accuracy"])
    finals = [r for r in mixed if "seed" in r["path"].split("/")[-1]]
    assert len(finals) == 2
    assert all(record["setting"] == best["setting"] for record in finals)
    assert {record["seed"] for record in tuned} == {__main__.TUNING_SEED}
    assert __main__.TUNING_SEED not in {record["seed"] for record in finals}


def test_ranks_share_the_work_without_overlap(tmp_path, monkeypatch):
    seen = []
    for rank in "01":
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", "2")
        seen.append([])
        for part in ("reported", "repaired"):
            monkeypatch.setattr(__main__.Study, part, lambda self, *of: seen[-1].append(repr(of)))
        __main__.main([*__main__.FIRST, "--quick", "--device", "cpu", "--results", str(tmp_path)])
    assert not set(seen[0]) & set(seen[1])
    assert len(seen[0] + seen[1]) == len(REPORTED) + 2 * len(REPAIRED)


def test_a_killed_study_goes_on_where_it_was(tmp_path):
    command = [sys.executable, "-m", "l2g.study", "--quick", "--device", "cpu", "--results"]
    command += [str(tmp_path / "r"), *SHARE]
    kill_at("small/mixup/tune3", command)
    records_then = set((tmp_path / "r").rglob("*.json"))
    assert 0 < len(records_then) < 17
    before = {path: path.read_bytes() for path in records_then}
    assert len(study(tmp_path, *SHARE)) == 17
    assert all(path.read_bytes() == content for path, content in before.items())


def test_a_damaged_record_stops_the_study_before_anything_is_overwritten(tmp_path):
    study(tmp_path, "reported", "--only", "none")
    (path,) = (tmp_path / "r").rglob("*.json")
    path.write_text("{")
    with pytest.raises(ValueError, match="is damaged; delete it to run it again"):
        study(tmp_path, "reported", "--only", "none")
    assert path.read_text() == "{"


def test_an_unknown_condition_lists_the_known_ones(capsys):
    with pytest.raises(SystemExit):
        __main__.main(["--only", "dropuot"])
    assert "invalid choice: 'dropuot' (choose from" in capsys.readouterr().err


def test_without_data_the_message_names_cache_and_download(tmp_path, monkeypatch):
    monkeypatch.setenv("L2G_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    message = r"'cifar100' is neither in the cache \(.*cifar100\.npz\) nor could it be downloaded"
    with pytest.raises(FileNotFoundError, match=message):
        __main__.main(["--quick"])


def test_the_commit_is_found_and_told_to_be_unknown_where_there_is_none(monkeypatch):
    assert records.origin(CPU)["commit"]

    def missing(*args, **kwargs):
        raise FileNotFoundError

    monkeypatch.setattr(records.subprocess, "run", missing)
    assert records.origin(CPU)["commit"] == "unknown"
