"""How an answer is judged: it runs on every case, and its values and its ways are looked at."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from l2g.exercises.exercise import Exercise, Inputs
from l2g.exercises.hints import general_hint
from l2g.exercises.reports import counterexample, crash
from l2g.exercises.rules import Seen, Watch, names_and_loops
from l2g.exercises.trials import Trial, run, untouched


@dataclass(frozen=True)
class Verdict:
    """How an answer stands, and the report to print."""

    status: Literal["solved", "wrong", "not started"]
    report: str


def judge(exercise: Exercise, answer: Any) -> Verdict:
    """Run an answer on every case. Exceptions in it are caught, and part of the report."""
    if answer is None or answer is ...:
        return Verdict("not started", f"○ {exercise.name}: not started yet")
    if not callable(answer):
        got = type(answer).__name__
        return Verdict("wrong", f"✗ {exercise.name}: pass a function, got {got}")
    trials, broken = _tried(exercise, answer)
    if all(untouched(trial.got) for trial in trials):
        remark = _missing_return(answer, trials)
        return Verdict("not started", f"○ {exercise.name}: not started yet{remark}")
    failed = sorted((trial for trial in trials if not trial.passed), key=lambda trial: trial.size)
    if failed:
        also = f"\n  and {broken}" if broken else ""
        return Verdict("wrong", _report(exercise, trials, failed) + also)
    if broken:
        return Verdict("wrong", f"✗ {exercise.name}: the values are right, but {broken}")
    return Verdict("solved", f"✓ {exercise.name}: passed {len(trials)} tests")


def _tried(exercise: Exercise, answer: Callable[..., Any]) -> tuple[list[Trial], str | None]:
    """The answer on every case, and the first sentence of a rule that it breaks."""
    if not exercise.rules:
        return [Trial(exercise, x, run(answer, x, exercise.probe)) for x in exercise.cases()], None
    trials, broken = [], None
    code, loops = names_and_loops(answer)
    for inputs in exercise.cases():
        got, watch = _watched(exercise, answer, inputs)
        trials.append(Trial(exercise, inputs, got))
        seen = Seen(inputs, watch.calls, watch.largest, code, loops)
        broken = broken or next(filter(None, (rule(seen) for rule in exercise.rules)), None)
    return trials, broken


def _watched(exercise: Exercise, answer: Callable[..., Any], inputs: Inputs) -> tuple[Any, Watch]:
    watch = Watch()
    names = inspect.signature(exercise.reference).parameters

    def answer_alone(*given: Any) -> Any:
        counted = [watch.counted(*pair) for pair in zip(names, given, strict=False)]
        with watch:
            return answer(*counted)

    return run(answer_alone, inputs, exercise.probe), watch


def _report(exercise: Exercise, trials: list[Trial], failed: list[Trial]) -> str:
    crashed = [trial for trial in failed if isinstance(trial.got, Exception)]
    if crashed:
        return crash(crashed[0])
    known = _known_mistake(exercise, trials)
    hint, example = (known, failed[0]) if known else general_hint(trials, failed)
    headline = f"✗ {exercise.name}: wrong in {len(failed)} of {len(trials)} tests"
    return f"{headline}\n  hint: {hint}\n{counterexample(example)}"


def _known_mistake(exercise: Exercise, trials: list[Trial]) -> str | None:
    for hint, wrong in exercise.mistakes.items():
        if all(trial.gave(run(wrong, trial.inputs, exercise.probe)) for trial in trials):
            return hint
    return None


def _missing_return(answer: Callable[..., Any], trials: list[Trial]) -> str:
    """A remark for a function that uses other names, so does something, and gives None."""
    names_used = getattr(getattr(answer, "__code__", None), "co_names", ())
    works = names_used and all(trial.got is None for trial in trials)
    return ", or its `return` is missing: it gives None" if works else ""
