"""What Section 6 of `unique` reads off its Table 1, counted."""

from fractions import Fraction

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict

Row = tuple[str, ...]

#: Table 1: correlation with retraining in five settings, `(method, target, lambda)` to a row.
LINEAR: dict[tuple[str, str], Row] = {
    ("weights", "none"): ("0.987", "0.193", "0.870", "0.895", "0.968"),
    ("weights", "1000"): ("0.977", "-0.012", "0.964", "0.940", "0.816"),
    ("predictions", "none"): ("0.993", "0.033", "0.875", "0.877", "0.895"),
    ("predictions", "1000"): ("0.993", "0.070", "0.974", "0.931", "0.519"),
}
INFLUENCE: dict[tuple[str, str], Row] = {
    ("weights", "none"): ("0.935", "0.319", "0.736", "0.675", "0.897"),
    ("weights", "1000"): ("0.978", "0.069", "0.979", "0.858", "0.912"),
    ("predictions", "none"): ("0.920", "0.647", "0.770", "0.530", "0.715"),
    ("predictions", "1000"): ("0.990", "0.407", "0.954", "0.753", "0.506"),
}
TARGETS = ("weights", "predictions")
REGULARIZED, PLAIN = "1000", "none"


def numbers(rows: list[Row]) -> list[Fraction]:
    """All entries of some rows, exactly."""
    return [Fraction(entry) for row in rows for entry in row]


def of(table: dict[tuple[str, str], Row], decay: str) -> list[Fraction]:
    """The entries of a method with or without regularization, weights first."""
    return numbers([table[target, decay] for target in TARGETS])


def compare(first: list[Fraction], second: list[Fraction]) -> tuple[int, int, int]:
    """How often the second is larger, equal, smaller."""
    pairs = list(zip(first, second, strict=True))
    larger, equal = sum(b > a for a, b in pairs), sum(b == a for a, b in pairs)
    return larger, equal, len(pairs) - larger - equal


def _regularization() -> Evidence:
    before, after = of(LINEAR, PLAIN), of(LINEAR, REGULARIZED)
    counts = compare(before, after)
    means = [sum(values) / len(values) for values in (before, after)]
    summary = (
        rf"Linearization, $\lambda=10^3$ against $\lambda=0$ in Table 1: better in {counts[0]} "
        rf"cases, equal in {counts[1]}, worse in {counts[2]}; the mean correlation goes from "
        rf"{float(means[0]):.3f} to {float(means[1]):.3f}."
    )
    expected = [Fraction("0.7586"), Fraction("0.7172")]
    reverse = compare(after, before) == (4, 1, 5)
    return Evidence(reverse and counts == (5, 1, 4) and means == expected, summary)


def _influence_functions() -> Evidence:
    counts = compare(of(INFLUENCE, PLAIN), of(INFLUENCE, REGULARIZED))
    summary = (
        rf"For influence functions: better in {counts[0]} cases, worse in {counts[2]} (at "
        r"$\lambda=0$ they were run with a damping of 0.01)."
    )
    return Evidence(counts == (7, 0, 3), summary)


TABLE_1 = Claim(
    id="unique/table-1-regularization",
    title="Regularization and the accuracy of linearization",
    paper="unique",
    location="Section 6, Accuracy of the linearized network approximation",
    printed=r"""
"Adding regularization also keeps the solution close to initialization, and generally increases the
accuracy of the approximation." """,
    assumptions=(),
    verdict=Verdict.GAP,
    holds=r"""
In Table 1 it increases the correlation for linearization in 5 of 10 cases, and lowers it in 4; the
mean falls. For pretrained CNN and ResNet-18 it helps, for ResNet-50 it hurts in both rows (0.968 to
0.816, 0.895 to 0.519).
""",
    proof="Counted from the printed table.",
    rebuttal=r"""
*Closer to initialization, the Taylor expansion is better.* It is, for the network; the correlation
is with small differences of retrained networks, which regularization makes smaller still. The
table's entries come from one run each, as far as is said.
""",
    tried=r"""
Counted from the printed table: for linearization 5 of 10 entries rise and 4 fall, for influence
functions 7 of 10 rise. "Generally" names no number, so that the count does not refute it.
""",
    effect=r"""
Table 1 does not show that regularization makes linearization more accurate in general, and for the
largest network it shows the opposite. The main point, that linearization is accurate for pretrained
networks, it does support: the correlation is above 0.8 in 11 of 12 cases.
""",
    prior_art="None needed.",
    chapter="part4/linearized-networks",
    gist="In Table 1 it helps linearization in 5 of 10 cases and hurts in 4.",
    checks=(
        Check(Kind.EXACT, Role.FAILING_STEP, "Linearization, counted.", _regularization),
        Check(Kind.EXACT, Role.SUPPORTS, "Influence functions, counted.", _influence_functions),
    ),
)


def _most() -> Evidence:
    counts = [compare(of(INFLUENCE, decay), of(LINEAR, decay)) for decay in (PLAIN, REGULARIZED)]
    wins = sum(count[0] for count in counts)
    whole = sum(sum(count) for count in counts)
    summary = rf"Linearization correlates better in {wins} of {whole} cases of Table 1."
    return Evidence(counts == [(8, 0, 2), (5, 0, 5)], summary)


def _not_regularized_weights() -> Evidence:
    key = ("weights", REGULARIZED)
    counts = compare(numbers([INFLUENCE[key]]), numbers([LINEAR[key]]))
    summary = (
        rf"For weights with regularization it is better in {counts[0]} of {sum(counts)} cases only."
    )
    return Evidence(counts == (1, 0, 4), summary)


MOST = Claim(
    id="unique/table-1-influence",
    title="Linearization against influence functions",
    paper="unique",
    location="Section 6, Accuracy of the linearized network approximation",
    printed=r"""
"Furthermore, in most cases linearization gives better results compared to influence functions" """,
    assumptions=(),
    verdict=Verdict.HOLDS,
    holds=r"""
In 13 of the 20 cases of Table 1; in 12 of the 15 without the row for weights with regularization,
where influence functions are better in 4 of 5.
""",
    proof="Counted from the printed table.",
    rebuttal="",
    effect="None; the exception is worth knowing.",
    prior_art="None needed.",
    chapter="part4/linearized-networks",
    gist="In 13 of 20 cases of Table 1; for regularized weights in 1 of 5.",
    checks=(
        Check(Kind.EXACT, Role.SUPPORTS, "Counted.", _most),
        Check(Kind.EXACT, Role.SHARP, "The exception.", _not_regularized_weights),
    ),
)


CLAIMS = (TABLE_1, MOST)
