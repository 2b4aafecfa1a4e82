"""Evidence: sentences that a run must bear out, and comparisons over runs."""

from l2g.evidence.claims import ClaimError, answer, claim, verdict
from l2g.evidence.comparisons import Comparison, compare

__all__ = ["ClaimError", "Comparison", "answer", "claim", "compare", "verdict"]
