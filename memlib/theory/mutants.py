"""Mutation testing of the checks: change one constant or flip one comparison, and see them fail.

A check that still passes after such a change proves less than it says. `mutants` finds, in the
source of the functions that a check runs (those of its own module), every comparison and every
number; `survivors` runs the check with each of them changed.
"""

import ast
import inspect
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from types import FunctionType
from typing import Any

from memlib.theory.claims import Check, Claim, Kind, Outcome, judge, perform
from memlib.theory.evidence import SOLVER_WORK

FLIPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE,
    ast.LtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Lt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}

NUMBERS = (int, float, Fraction)

#: What a number is changed to; a site is killed when one of the changes is noticed.
CHANGES: tuple[Callable[[Any], Any], ...] = (
    lambda c: c + 1,
    lambda c: c - 1,
    lambda c: 2 * c + 3,
    lambda c: -c,
    lambda c: c / 2,
)

#: Seconds of processor time after which a changed check is given up, and z3's work for one
#: question. A change that is given up counts as not noticed.
PATIENCE, SOLVER_PATIENCE = 10.0, 30_000_000


@dataclass(frozen=True)
class Site:
    """One place where a check can be changed: where it is, and the checks changed there."""

    name: str
    variants: tuple[Check, ...]


@dataclass(frozen=True)
class Report:
    """How the mutants of one claim fared. `survivors` names the sites whose change went unseen."""

    claim: str
    checks: int
    sites: int
    survivors: tuple[str, ...]


def functions(check: Check) -> dict[str, FunctionType]:
    """The functions of the check's own module that it runs, directly or through one another."""
    run = check.run
    assert isinstance(run, FunctionType), "a check runs a plain function"
    module, found = run.__module__, dict[str, FunctionType]()
    names = list(_names(run.__code__))
    if run.__name__ != "<lambda>":
        names.append(run.__name__)
    while names:
        name = names.pop()
        value = run.__globals__.get(name)
        if name in found or not isinstance(value, FunctionType) or value.__module__ != module:
            continue
        found[name] = value
        names += _names(value.__code__)
    return found


def _names(code: Any) -> set[str]:
    """All global names in a code object and in those nested in it."""
    nested = [_names(const) for const in code.co_consts if inspect.iscode(const)]
    return set(code.co_names).union(*nested)


def mutants(check: Check) -> Iterator[Site]:
    """Every place where a check can be changed.

    Args:
        check: Its `run` is a function, or a lambda that calls some, of the claim's module.

    Yields:
        One site per comparison and per number in the source of those functions, and per number
        among the module's constants that they read. Numbers in f-strings are left out: they format
        what is told, not what is decided. So are all numbers of a search: they say how large the
        haystack is.
    """
    run, found = check.run, functions(check)
    assert isinstance(run, FunctionType)
    trees = {name: _parsed(function) for name, function in found.items()}
    for name, tree in trees.items():
        for node, changes in _places(tree):
            if check.kind == Kind.SEARCHED and not isinstance(node, ast.Compare):
                continue
            variants = []
            for change in changes:
                undo = change()
                variants.append(_rebuilt(check, trees))
                undo()
            where = f"{name}:{node.lineno} {ast.unparse(node)}"
            yield Site(where, tuple(variants))
    if check.kind == Kind.SEARCHED:
        return
    read = set(_names(run.__code__)).union(*(_names(f.__code__) for f in found.values()))
    for name in sorted(read):
        value = run.__globals__.get(name)
        if name.isupper() and type(value) in NUMBERS and name in _written(run.__module__):
            variants = [_rebuilt(check, trees, {name: new}) for new in _changed(value)]
            yield Site(f"{name} = {value}", tuple(variants))


@cache
def _written(module: str) -> frozenset[str]:
    """The names that a module assigns at its top level, and does not import."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    targets = [
        target
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        for target in (target.elts if isinstance(target, ast.Tuple) else [target])
    ]
    return frozenset(target.id for target in targets if isinstance(target, ast.Name))


def _parsed(function: FunctionType) -> ast.FunctionDef:
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    (definition,) = tree.body
    assert isinstance(definition, ast.FunctionDef)
    return definition


def _changed(value: Any) -> list[Any]:
    values = [change(Fraction(value) if isinstance(value, int) else value) for change in CHANGES]
    whole = [int(v) if isinstance(value, int) and v == int(v) else v for v in values]
    kept = [v for v in whole if v != value and type(v) is type(value)]
    return list(dict.fromkeys(kept))


def _places(tree: ast.AST) -> Iterator[tuple[Any, list[Callable[[], Callable[[], None]]]]]:
    """Each node that can be changed, with functions that change it and return how to undo it."""
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.JoinedStr):
            continue
        if isinstance(node, ast.FunctionDef):
            stack += node.body  # not the annotations
            stack += [d for d in (*node.args.defaults, *node.args.kw_defaults) if d is not None]
            continue
        stack += ast.iter_child_nodes(node)
        if isinstance(node, ast.Compare):
            for k, op in enumerate(node.ops):
                yield node, [_setter(node.ops, k, FLIPPED[type(op)]())]
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
            yield node, [_value_setter(node, value) for value in _changed(node.value)]


def _setter(ops: list[ast.cmpop], k: int, new: ast.cmpop) -> Callable[[], Callable[[], None]]:
    def change() -> Callable[[], None]:
        old, ops[k] = ops[k], new
        return lambda: ops.__setitem__(k, old)

    return change


def _value_setter(node: ast.Constant, new: Any) -> Callable[[], Callable[[], None]]:
    def change() -> Callable[[], None]:
        old, node.value = node.value, new
        return lambda: setattr(node, "value", old)

    return change


def _rebuilt(
    check: Check, trees: dict[str, ast.FunctionDef], constants: dict[str, Any] | None = None
) -> Check:
    """The check with its functions compiled anew from `trees`, in a copy of its module's names."""
    run = check.run
    assert isinstance(run, FunctionType)
    names = {**run.__globals__, **(constants or {})}
    module = ast.fix_missing_locations(ast.Module(list(trees.values()), []))
    exec(compile(module, "<mutant>", "exec"), names)
    if run.__name__ in trees:
        return replace(check, run=names[run.__name__])
    copy = FunctionType(run.__code__, names, run.__name__, run.__defaults__, run.__closure__)
    return replace(check, run=copy)


def survivors(claim: Claim, patience: float = PATIENCE) -> Report:
    """Run every mutant of a claim's checks.

    Args:
        claim: A claim whose verdict is earned.
        patience: Seconds of processor time that one changed check may take.

    Returns:
        The number of checks and sites, and the sites at which no change cost the claim its
        verdict. Cost: up to five runs of a check per site; use the main thread (it sets an alarm).

    Raises:
        ValueError: The verdict is not earned to begin with.
    """
    outcomes = tuple(perform(check) for check in claim.checks)
    if missing := judge(claim, outcomes):
        raise ValueError(f"{claim.id} is not earned before any change: {missing[0]}")
    unseen, sites = [], 0
    limit = SOLVER_WORK.set(SOLVER_PATIENCE)
    try:
        for k, check in enumerate(claim.checks):
            for site in mutants(check):
                sites += 1
                if not any(_noticed(claim, outcomes, k, v, patience) for v in site.variants):
                    unseen.append(f"{check.statement} {site.name}")
    finally:
        SOLVER_WORK.reset(limit)
    return Report(claim.id, len(claim.checks), sites, tuple(unseen))


def _noticed(
    claim: Claim, outcomes: tuple[Outcome, ...], k: int, variant: Check, patience: float
) -> bool:
    try:
        with _alarm(patience):
            changed = perform(variant)
    except _Late:
        return False
    data = changed.evidence.data
    if "unknown" in (data.get("answer"), data.get("hypotheses")):
        return False
    outcome = replace(changed, check=claim.checks[k])
    return bool(judge(claim, (*outcomes[:k], outcome, *outcomes[k + 1 :])))


class _Late(BaseException):
    """A changed check took too long. Not an `Exception`: the check must not catch it."""


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise `_Late` after that much processor time: a busy machine changes nothing."""

    def late(*_: object) -> None:
        raise _Late

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
