"""Runs that are no stack: one after another, or in processes."""

import multiprocessing
import pickle
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any

import torch
from torch import nn

from l2g.data import Split, Splits
from l2g.history import History
from l2g.population.runs import Plan, Run, set_modes
from l2g.training import bar, fit


def train_apart(runs: Sequence[Run], plan: Plan) -> None:
    """Train the runs in as many processes as PyTorch would use threads, or one after another."""
    workers = min(len(runs), _processes(plan))
    if workers > 1:
        _train_in_processes(runs, plan, workers)
    else:
        for i in bar(range(1, len(runs) + 1), plan.progress, unit="run"):
            _train_alone(runs[i - 1], plan)


def _train_alone(run: Run, plan: Plan) -> None:
    def keep(history: History, model: nn.Module) -> None:
        run.history = history

    y = plan.train.y if run.targets is None else run.targets
    train = Split(plan.train.x[run.train], y[run.train])
    val = Split(plan.val.x[run.val], plan.val.y[run.val])
    set_modes(run.model, run.learning)
    try:
        fit(
            run.model,
            Splits(train, val, val, "run"),
            optimizer=run.optimizer,
            penalty=partial(plan.penalty, **run.strengths),
            seed=run.seed,
            early_stopping=run.stopping,
            after_epoch=[keep, *plan.after_epoch],
            progress=False,
            **plan.options_of_fit(),
        )
    except FloatingPointError:
        run.history.diverged = True


def _processes(plan: Plan) -> int:
    """As many as PyTorch would use threads, where a copy of this process can go on alone.

    Hooks must run here, where their effects are seen; a GPU's driver does not survive the copy.
    """
    alone = sys.platform == "linux" and not torch.cuda.is_available() and not plan.after_epoch
    inside = multiprocessing.current_process().daemon
    return torch.get_num_threads() if alone and not inside else 1


def _train_in_processes(runs: Sequence[Run], plan: Plan, workers: int) -> None:
    """Copies of this process (fork) need no pickling of what they start from, lambdas included."""
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(workers, context, _begin, (runs, plan)) as pool:
        results = pool.map(_one_of_them, range(len(runs)))
        for i in bar(range(1, len(runs) + 1), plan.progress, unit="run"):
            try:
                runs[i - 1].history, weights = pickle.loads(next(results))
            except BrokenProcessPool as error:
                raise RuntimeError(
                    f"a process that trained run {i - 1} or a later one was killed, most likely "
                    "for lack of memory: take a smaller batch_size, or set OMP_NUM_THREADS=1"
                ) from error
            runs[i - 1].model.load_state_dict(weights)


_inherited: Any = None


def _begin(runs: Sequence[Run], plan: Plan) -> None:
    global _inherited
    _inherited = runs, plan
    torch.set_num_threads(1)


def _one_of_them(i: int) -> bytes:
    runs, plan = _inherited
    _train_alone(runs[i], plan)
    return pickle.dumps((runs[i].history, runs[i].model.state_dict()))
