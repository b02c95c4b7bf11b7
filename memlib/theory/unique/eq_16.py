"""Functional information from a validation set (`unique` Eq. 16, 17)."""

from fractions import Fraction

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, derived, show
from memlib.theory.linearized import (
    Network,
    fraction,
    hessian,
    in_floats,
    minimum,
    rational,
    rows,
    without,
)

CHAPTER = "part4/information-in-predictions"
#: Trained on two samples; two validation inputs, with the same regularization.
TRAINED = Network(((1, 0), (0, 1)), (10, 12), Fraction(1))
VALIDATION = Network(((2, 1), (0, 1)), (0, 0), TRAINED.decay)


def quadratic() -> Derivation:
    """Two validation inputs, two weights: the squares of Eq. (16) are the form of Eq. (17)."""
    import sympy

    shift = sympy.Matrix(sympy.symbols("u v", real=True))
    j = sympy.Matrix(2, 2, sympy.symbols("j_1:5", real=True))
    decay = sympy.Symbol("lambda", real=True)
    h = j.T * j + decay * sympy.eye(2)  # the Hessian of the validation loss, as a sum
    changes = j * shift
    return Derivation(
        "Squares of changes",
        (
            Step(
                "for every Jacobian and shift",
                sum(c**2 for c in changes),
                (shift.T * (h - decay * sympy.eye(2)) * shift)[0],
            ),
        ),
    )


def sides(i: int, over: int) -> tuple[list[Fraction], Fraction]:
    """Changes of the predictions without sample i, and Eq. (17) with the Hessian over a number."""
    import sympy

    shift = minimum(TRAINED) - minimum(without(TRAINED, i))
    changes = [fraction(c) for c in rows(VALIDATION) * shift]
    plain = hessian(VALIDATION) - rational(VALIDATION.decay) * sympy.eye(shift.rows)
    form = fraction((shift.T * plain * shift)[0]) / over
    return changes, form / (2 * VALIDATION.samples)


def _computed() -> Evidence:
    import torch

    from memlib.information import GradientDescent, functional_sample_information

    inputs = torch.tensor(VALIDATION.jacobian, dtype=torch.float64)[:, None]
    descent = GradientDescent(decay=float(TRAINED.decay))
    found = functional_sample_information(in_floats(TRAINED), descent, evaluation=inputs)
    exact = [float(sides(i, 1)[1]) for i in range(TRAINED.samples)]
    errors = [abs(float(f) / e - 1) for f, e in zip(found, exact, strict=True)]
    summary = (
        r"`memlib.information`, which does not train again, has the squares: "
        rf"${found[0]:.6f}$ and ${found[1]:.6f}$."
    )
    return Evidence(max(errors) < 1e-12, summary)


def _separated() -> Evidence:
    printed, squared, forms = [], [], []
    for i in range(TRAINED.samples):
        changes, form = sides(i, 1)
        printed.append(Fraction(sum(abs(c) for c in changes), 2 * len(changes)))
        squared.append(Fraction(sum(c**2 for c in changes), 2 * len(changes)))
        forms.append(form)
    summary = (
        rf"Two samples, two validation inputs: Eq. (16) as printed gives {show(printed[0])} and "
        rf"{show(printed[1])}, with squares {show(squared[0])} and {show(squared[1])}, as does "
        "Eq. (17). The order of the samples turns over."
    )
    return Evidence(squared == forms == [25, 18] and printed == [Fraction(5, 2), 3], summary)


EQ_16 = Claim(
    id="unique/eq-16",
    title="Functional information estimated on a validation set",
    paper="unique",
    location="Section 5, Eq. (16)",
    printed=r"""
$$\text{F-SI}_\sigma(z_i,A)\approx\frac1{2\sigma^2n_{val}}\sum_{j=1}^{n_{val}}\|f_w(x_j^{val})-
f_{w_{-i}}(x_j^{val})\|.$$""",
    assumptions=(),
    verdict=Verdict.MISPRINT,
    holds=r"""
With the norm *squared*, as in Eq. (8); only then is Eq. (17) equal to it. It is an unbiased
estimate of Eq. (8) if the validation samples are independent of the training set.
""",
    proof=r"""
$\sum_j\|J_j\Delta\|^2=\Delta^T\bigl(\sum_jJ_j^TJ_j\bigr)\Delta$.
""",
    rebuttal=r"""
*An exponent was dropped; the next line and Table 1 have it.* Yes. It is listed because (16) is the
formula from which one would write code.
""",
    effect=r"""
None on Table 1, which squares. Without the square, scores would rank samples differently.
""",
    prior_art="None needed.",
    chapter=CHAPTER,
    gist="With the norm squared, as in Eq. (8) and (17).",
    uses=("unique/prop-4.2",),
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "With squares.", lambda: derived(quadratic())),
        Check(Kind.EXACT, Role.SEPARATES, "Two validation inputs.", _separated),
        Check(Kind.EXACT, Role.SUPPORTS, "What memlib computes.", _computed),
    ),
)


def _mean_hessian() -> Evidence:
    changes, form = sides(1, 1)
    _, other = sides(1, len(changes))
    squared = Fraction(sum(c**2 for c in changes), 2 * len(changes))
    summary = (
        rf"With $H_{{val}}$ the Hessian of the *sum* of validation losses (plus $\lambda I$), "
        rf"Eq. (17) gives {show(form)}, as the squares do; with the Hessian of their mean, "
        rf"{show(other)}: off by $n_{{val}}$."
    )
    return Evidence(form == squared == other * len(changes) and form > other, summary)


EQ_17 = Claim(
    id="unique/eq-17",
    title="Functional information through the Hessian of the validation loss",
    paper="unique",
    location="Section 5, Eq. (17)",
    printed=r"""
$$\dots=\frac1{2\sigma^2n_{val}}(w-w_{-i})^T(H_{val}-\lambda I)(w-w_{-i}).$$""",
    assumptions=("the network is linear in its weights",),
    verdict=Verdict.HOLDS,
    holds=r"""
As printed, with squares in (16) and $H_{val}=\sum_j\nabla f_j\nabla f_j^T+\lambda I$, the Hessian
of the sum of losses as in Section 1.
""",
    proof=r"""
$H_{val}-\lambda I=\sum_jJ_j^TJ_j$, and $f_w-f_{w_{-i}}=J(w-w_{-i})$ exactly.
""",
    rebuttal="",
    effect="None.",
    prior_art="None needed.",
    chapter=CHAPTER,
    gist=r"As printed, with $H_{val}$ the Hessian of the sum of losses.",
    uses=("unique/eq-16",),
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "With squares.", lambda: derived(quadratic())),
        Check(Kind.EXACT, Role.SHARP, "The sum, not the mean.", _mean_hessian),
    ),
)


CLAIMS = (EQ_16, EQ_17)
