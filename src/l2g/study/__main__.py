"""The command line of the study; see the package for what it does."""

import argparse
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from l2g import data
from l2g.data import Split, Splits
from l2g.evaluation import choose_device
from l2g.study.conditions import REPAIRED, REPORTED, Condition
from l2g.study.records import origin, read_record, write_record
from l2g.study.repaired import REGIMES, Regime, train_repaired
from l2g.study.reported import train_as_reported

TUNING_SEED = 100


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
    """The runs of the study, each with the file of its record."""

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


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m l2g.study", description=__doc__)
    parts = ["reported", *REGIMES]
    parser.add_argument("--quick", action="store_true", help="a few images and epochs, to try it")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of records")
    parser.add_argument("--part", action="append", choices=parts, help="one part; may be repeated")
    names = sorted({*REPORTED, *REPAIRED})
    parser.add_argument("--only", action="append", choices=names, help="one condition; repeatable")
    parser.add_argument("--device", help="cuda, mps or cpu; by default the first there is")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    given = arguments(argv)
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    device = choose_device(given.device)
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    scale = QUICK if given.quick else FULL
    splits = first_images(data.load("cifar100"), scale.images)
    folder = given.results / "quick" if given.quick else given.results / "cifar100"
    study = Study(folder, splits, scale, device)
    units = list(study.units(given.part or ["reported", *REGIMES], given.only))[rank::world]
    for i, unit in enumerate(units, start=1):
        print(f"unit {i} of {len(units)}" + (f" of rank {rank}" if world > 1 else ""), flush=True)
        unit()


if __name__ == "__main__":
    main()
