"""The command line of the study; see the package for what it does."""

import argparse
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from l2g import data
from l2g.data import Split, Splits
from l2g.evaluation import choose_device
from l2g.study import cifar, pets
from l2g.study.conditions import REPAIRED, REPORTED, Condition
from l2g.study.records import origin, read_record, write_record
from l2g.study.repaired import REGIMES, Regime, train_repaired
from l2g.study.reported import train_as_reported
from l2g.study.runner import go_on, recorded, summary, to_come
from l2g.study.search import Run, Search, outcomes

TUNING_SEED = 100
FIRST = ["reported", *REGIMES]  # what the first edition of chapter 19 rests on
SEARCHES: dict[str, Mapping[str, Search]] = {
    "tuned": cifar.TUNED,
    "augmentation": cifar.AUGMENTATION,
    "pets": pets.PETS,
}


@dataclass(frozen=True)
class Scale:
    """What a full run and a quick one differ in."""

    images: int | None
    reported_seeds: int
    seeds: int
    epochs: int | None


FULL = Scale(images=None, reported_seeds=3, seeds=5, epochs=None)
QUICK = Scale(images=300, reported_seeds=1, seeds=2, epochs=2)


class Study:
    """The runs of the first edition, tuned with one seed, each with the file of its record."""

    def __init__(self, folder: Path, splits: Splits, scale: Scale, device: torch.device) -> None:
        self.folder, self.splits, self.scale, self.device = folder, splits, scale, device

    def units(self, parts: list[str], only: list[str] | None) -> Iterator[Callable[[], None]]:
        """What can be done independently of each other: shares of the work for several ranks."""
        for part in parts:
            if part == "reported":
                for seed in range(self.scale.reported_seeds):
                    for name in REPORTED:
                        if not only or name in only:
                            yield partial(self.reported, name, seed)
            else:
                for name, condition in REPAIRED.items():
                    if not only or name in only:
                        yield partial(self.repaired, condition, self.regime(part))

    def regime(self, name: str) -> Regime:
        regime = REGIMES[name]
        return replace(regime, epochs=self.scale.epochs or regime.epochs)

    def reported(self, name: str, seed: int) -> None:
        train, val = self.splits.train, self.splits.val
        both = Split(torch.cat([train.x, val.x]), torch.cat([train.y, val.y]))

        def train_it(checkpoint: Path) -> dict[str, Any]:
            history = train_as_reported(
                name,
                both,
                self.splits.test,
                seed=seed,
                epochs=self.scale.epochs or 400,
                checkpoint=checkpoint,
                device=self.device,
            )
            return {"history": history.to_dict()}

        about = {"part": "reported", "condition": name, "seed": seed}
        self.run(Path("reported", name, f"seed{seed}.json"), about, train_it)

    def repaired(self, condition: Condition, regime: Regime) -> None:
        """Tune on validation data, then run the setting that was best with every seed."""
        folder, tried = Path(regime.name, condition.name), []
        common: dict[str, Any] = {"part": regime.name, "condition": condition.name}
        for i, setting in enumerate(condition.grid):
            train_it = self.trainer(condition, setting, regime, TUNING_SEED, final=False)
            about = common | {"seed": TUNING_SEED, "setting": setting}
            tried.append(self.run(folder / f"tune{i}.json", about, train_it))
        setting = max(tried, key=lambda record: record["val"]["accuracy"])["setting"]
        for seed in range(self.scale.seeds):
            train_it = self.trainer(condition, setting, regime, seed, final=True)
            about = common | {"seed": seed, "setting": setting}
            self.run(folder / f"seed{seed}.json", about, train_it)

    def trainer(
        self,
        condition: Condition,
        setting: dict[str, float],
        regime: Regime,
        seed: int,
        final: bool,
    ) -> Callable[[Path], dict[str, Any]]:
        return lambda checkpoint: train_repaired(
            condition,
            setting,
            self.splits,
            regime,
            seed=seed,
            final=final,
            checkpoint=checkpoint,
            device=self.device,
        )

    def run(
        self, name: Path, about: dict[str, Any], train_it: Callable[[Path], dict[str, Any]]
    ) -> dict[str, Any]:
        """The record of a run, after running it if there is none."""
        path = self.folder / name
        if not path.exists():
            print(f"{time.strftime('%H:%M:%S')}  {name}", flush=True)
            checkpoint = path.with_suffix(".checkpoint")
            checkpoint.parent.mkdir(parents=True, exist_ok=True)
            result = train_it(checkpoint)
            record = {**about, "origin": origin(self.device), **result}
            record["seconds"] = sum(result["history"]["seconds"])
            write_record(path, record)
            checkpoint.unlink()
        return read_record(path)


def first_images(splits: Splits, n: int | None) -> Splits:
    train, val, test = [Split(s.x[:n], s.y[:n]) for s in (splits.train, splits.val, splits.test)]
    return Splits(train, val, test, splits.name, splits.classes)


def searches_of(part: str, quick: bool) -> Mapping[str, Search]:
    """The searches of a part; a quick one tunes with one seed and makes two final runs."""
    searches = SEARCHES[part]
    if quick:
        return {k: replace(s, seeds=s.seeds[:1], finals=2) for k, s in searches.items()}
    return searches


def trainer_of(
    part: str, folder: Path, quick: bool, device: torch.device
) -> Callable[[Run], dict[str, Any]]:
    """What makes the runs of a part, with its data in memory."""
    if part == "pets":
        return pets.trainer(folder, device, epochs=2 if quick else None)
    splits = first_images(data.load("cifar100"), QUICK.images if quick else None)
    return partial(cifar.train, splits=splits, device=device, quick=quick)


def show_status(results: Path, parts: list[str], quick: bool) -> None:
    """How far every search of these parts is, one line each."""
    for part in parts:
        searches, records = searches_of(part, quick), recorded(results / part)
        found = outcomes(searches, records)
        seconds = [record["seconds"] for record in records.values()]
        left = sum(to_come(found[name], search) for name, search in searches.items())
        hours = f", {left * fmean(seconds) / 3600:.1f} hours at their pace" if seconds else ""
        print(f"{part}: {len(records)} runs recorded, at least {left} to come{hours}")
        for name, search in searches.items():
            print("  " + summary(name, found[name], search))


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m l2g.study", description=__doc__)
    parts = [*FIRST, *SEARCHES]
    parser.add_argument(
        "parts", nargs="*", metavar="part", help=", ".join(parts) + "; by default all"
    )
    parser.add_argument("--quick", action="store_true", help="a few images and epochs, to try it")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of records")
    names = sorted({*REPORTED, *REPAIRED}.union(*SEARCHES.values()))
    parser.add_argument(
        "--only", action="append", metavar="condition", choices=names, help="one; repeatable"
    )
    parser.add_argument("--device", help="cuda, mps or cpu; by default the first there is")
    parser.add_argument("--status", action="store_true", help="run nothing, say how far it is")
    given = parser.parse_args(argv)
    unknown = [part for part in given.parts if part not in parts]
    if unknown:
        parser.error(f"part must be one of {', '.join(parts)}; got {unknown[0]!r}")
    given.parts = given.parts or parts
    return given


def main(argv: list[str] | None = None) -> None:
    given = arguments(argv)
    results = given.results / "quick" if given.quick else given.results
    searched = [part for part in given.parts if part in SEARCHES]
    if given.status:
        show_status(results, searched, given.quick)
        return
    device = choose_device(given.device)
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    first = [part for part in given.parts if part in FIRST]
    if first:
        first_edition(first, given, device)
    made_by = origin(device)  # now: the code may change while this process runs
    rank = int(os.environ.get("RANK", 0))
    for part in searched if rank == 0 else []:  # whose runs depend on each other
        about = {"part": part, "origin": made_by}
        train = trainer_of(part, results / part, given.quick, device)
        searches = searches_of(part, given.quick)
        go_on(results / part, searches, train, about=about, names=given.only)


def first_edition(parts: list[str], given: argparse.Namespace, device: torch.device) -> None:
    """The parts that were tuned with one seed, shared among the ranks of torchrun."""
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    scale = QUICK if given.quick else FULL
    splits = first_images(data.load("cifar100"), scale.images)
    folder = given.results / "quick" if given.quick else given.results / "cifar100"
    study = Study(folder, splits, scale, device)
    units = list(study.units(parts, given.only))[rank::world]
    for i, unit in enumerate(units, start=1):
        print(f"unit {i} of {len(units)}" + (f" of rank {rank}" if world > 1 else ""), flush=True)
        unit()


if __name__ == "__main__":
    main()
