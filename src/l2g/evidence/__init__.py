"""Evidence: sentences that a run must bear out, comparisons over runs, checked exercises."""

from typing import Any

from l2g.evidence.claims import ClaimError, answer, claim, verdict
from l2g.evidence.comparisons import Comparison, compare

__all__ = ["ClaimError", "Comparison", "answer", "check", "claim", "compare", "verdict"]


def check(name: str, obj: Any) -> None:
    """Check an answer to an exercise by randomized tests; print the outcome, never fail.

    Prints ✓ when all tests pass, ○ while the stub is untouched (it raises NotImplementedError or
    returns nothing), else ✗ with a hint that fits the mistake and the smallest counterexample.

    Args:
        name: the exercise, e.g. "log_softmax".
        obj: the function that the exercise asks for.

    Raises:
        ValueError: there is no exercise of that name.
    """
    from l2g import exercises

    _, report = exercises.examine(exercises.find(name), obj)
    print(report)
