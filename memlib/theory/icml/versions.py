"""The draft of `orders` beside its published version: which statement became which."""

from collections.abc import Sequence
from dataclasses import dataclass

from memlib.theory.claims import Claim, Result
from memlib.theory.ledger import anchor, badge


@dataclass(frozen=True)
class Pair:
    """One subject in both versions. `None`: this version does not have it."""

    subject: str
    draft: str | None
    published: str | None
    difference: str


#: In the order of the published text; what only the draft has comes last.
PAIRS = (
    Pair(
        "Memorization",
        "orders/eq-2",
        "orders-icml/eq-1",
        "The absolute value is gone; both are now Feldman's signed score.",
    ),
    Pair(
        "Stability",
        "orders/eq-1",
        "orders-icml/eq-4",
        "From the mean loss on a fresh sample to the loss at every sample, seed by seed: much "
        "stronger, and for Gibbs loss already a bound on memorization.",
    ),
    Pair(
        "Stability of SGD",
        "orders/remark-assumptions",
        "orders-icml/stability-of-sgd",
        "The same remark; the assumption that it supports is now the stronger one.",
    ),
    Pair(
        "CSL",
        "orders/eq-3",
        "orders-icml/eq-5",
        r"One term less: $w_0$ to $w_{T_{max}-1}$. CSG is gone.",
    ),
    Pair(
        "Learning condition",
        "orders/eq-4",
        "orders-icml/eq-6",
        "The gradient is taken in $x$, and an expectation over a random iterate is added.",
    ),
    Pair(
        "Learning time",
        "orders/eq-4",
        "orders-icml/eq-7",
        "The minimum is written out, and the experiments use it.",
    ),
    Pair(
        "Learning time in the experiments",
        "orders/learning-time-two-definitions",
        "orders-icml/eq-7",
        "The draft describes no other than the first correct epoch; the published figures use "
        "Eq. (7), and the first correct epoch is only a baseline.",
    ),
    Pair(
        "Input and weight gradients",
        "orders/lemma-d.1",
        "orders-icml/lemma-5.1",
        r"The same lemma; $s_X$ is called $s_P$, and the full weight gradient is on the right.",
    ),
    Pair(
        "One step of SGD",
        "orders/lemma-a.1",
        "orders-icml/eq-40",
        "Variance and second moment are told apart, and smoothness is in $w$.",
    ),
    Pair(
        "Convergence of the input gradient",
        "orders/thm-b.1",
        "orders-icml/thm-5.2",
        r"From an appendix to a theorem, with the rate $1/\sqrt T$ and no condition on the inputs.",
    ),
    Pair(
        "From weights to one sample",
        "orders/thm-b.1",
        "orders-icml/eq-45",
        "The gradient of the batch becomes the gradient of one sample.",
    ),
    Pair(
        "Learning times and losses",
        "orders/eq-33",
        "orders-icml/eq-59",
        "Two upper bounds are no longer subtracted; one is still set equal to the threshold.",
    ),
    Pair(
        "Memorization as a difference of losses",
        "orders/e2-mem-loss",
        "orders-icml/eq-65",
        "The same identity, now for the best seed.",
    ),
    Pair(
        "The best weight",
        None,
        "orders-icml/eq-58",
        "New: the best of all seeds at the end of training.",
    ),
    Pair("The loss at the start", None, "orders-icml/d.2-start", "New."),
    Pair(
        "Learning time and memorization",
        "orders/thm-4.1",
        "orders-icml/thm-5.3",
        "Reversed: memorization is now bounded by learning time, in expectation; no reference "
        "sample, no confidence.",
    ),
    Pair(
        "The constant",
        None,
        "orders-icml/kappa-t",
        r"New: $\kappa_T$ takes the place of $T_{max}L/\mathbb E\ell(w_0)$.",
    ),
    Pair(
        "Without stability",
        None,
        "orders-icml/eq-11",
        "New.",
    ),
    Pair("Cross-entropy", None, "orders-icml/d.2.1", "New: the theorems with $L=1$."),
    Pair(
        "CSL bounds learning time",
        "orders/thm-4.2",
        "orders-icml/thm-5.4",
        r"The reference sample gives way to an offset $\xi$, in which CSL cancels.",
    ),
    Pair(
        "Subsets of small CSL",
        "orders/interpreting-4.2",
        "orders-icml/subsets",
        "From single samples to subsets of small CSL.",
    ),
    Pair(
        "Steps of the proof",
        None,
        "orders-icml/d.3-chain",
        r"New: from $T_{z_i}$ through $T_{max}$ to the loss.",
    ),
    Pair("The offset", None, "orders-icml/xi", r"New: takes the place of $C_6$ in Theorem 4.4."),
    Pair(
        "CSL and memorization",
        "orders/thm-4.4",
        "orders-icml/thm-5.5",
        "Reversed: CSL was a lower bound on memorization and is now an upper one.",
    ),
    Pair("Not trivial", None, "orders-icml/eq-71", "New."),
    Pair(
        "Reading of the theorems",
        "orders/takeaway-linear",
        "orders-icml/takeaways",
        "The linear relations are now conditional on tight bounds.",
    ),
    Pair(
        "Early and less memorized",
        "orders/interpreting-4.1",
        "orders-icml/reading-order",
        "From single samples to groups, and read out of two more theorems.",
    ),
    Pair(
        "Cost of CSL",
        "orders/c3-free",
        "orders-icml/csl-is-free",
        "The same sentence in both; CSG is gone.",
    ),
    Pair(
        "Table of costs",
        "orders/c3-costs",
        "orders-icml/table-5",
        "The same numbers for CSL, curvature and the ensemble.",
    ),
    Pair("CSG bounds learning time", "orders/thm-4.3", None, "Dropped, with CSG."),
    Pair("The final gradient", "orders/thm-4.5", None, "Dropped."),
    Pair("Curvature", "orders/thm-4.6", None, "Dropped, with the lemma on second derivatives."),
    Pair("Hessians in inputs and weights", "orders/lemma-d.2", None, "Dropped."),
)


def versions_table(results: Sequence[Result]) -> str:
    """The table of both versions, as Markdown; each verdict is that of the text in its column.

    Args:
        results: What `memlib.theory.ledger.run` returned. A claim that is not among them is shown
            by its id alone.
    """
    claims = {result.claim.id: result.claim for result in results}
    lines = ["| Subject | Draft | Published | What changed |", "| :-- | :-- | :-- | :-- |"]
    for pair in PAIRS:
        cells = [pair.subject, _cell(pair.draft, claims), _cell(pair.published, claims)]
        lines.append("| " + " | ".join([*cells, pair.difference]) + " |")
    return "\n".join(lines) + "\n"


def _cell(claim_id: str | None, claims: dict[str, Claim]) -> str:
    if claim_id is None:
        return "–"
    if claim_id not in claims:
        return f"`{claim_id}`"
    claim = claims[claim_id]
    verdict = f"[{badge(claim.verdict)}]{{.verdict .verdict-{claim.verdict}}}"
    return f"[{claim.title}](#{anchor(claim.id)}), {verdict}"


def versions_page(results: Sequence[Result]) -> str:
    """The page `ledger/versions.md`: an account of both texts, and the table."""
    both = [pair for pair in PAIRS if pair.draft and pair.published]
    new = [pair for pair in PAIRS if pair.draft is None]
    dropped = [pair for pair in PAIRS if pair.published is None]
    lines = [
        "(versions)=",
        "# The draft and the published version",
        "",
        "*Memorization and the orders of loss* is an anonymous draft; a revised text was "
        "published as",
        "*Towards memorization estimation: fast, formal and free* at ICML 2025.",
        "This book discusses the draft, because it has the richer theory.",
        "A verdict on one text says nothing about the other, so each has been tried by itself.",
        "",
        f"Of {len(PAIRS)} subjects, {len(both)} are in both texts, {len(new)} only in the "
        f"published",
        f"one, and {len(dropped)} were dropped.",
        "The revision repaired several points that are held against the draft here: memorization "
        "is",
        "signed, learning time is a minimum, variance is told from second moment, and the "
        "experiments",
        "use the learning time of the theory.",
        "",
        versions_table(results).rstrip(),
        "",
        "What holds in place of each statement is in the [ledger](../ledger.md).",
    ]
    return "\n".join(lines) + "\n"
