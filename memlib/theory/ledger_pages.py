"""The pages of the ledger, as MyST: an index, one page per paper, and the solver's questions."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import metadata
from pathlib import Path

import memlib
from memlib.theory.claims import PAPERS, Claim, Outcome, Result
from memlib.theory.code_notes import code_notes_page
from memlib.theory.icml.versions import versions_page
from memlib.theory.ledger import VERDICTS, anchor, badge, counts
from memlib.theory.rosetta import rosetta_page

FOLDER = "ledger"
BOOK = "Memorization, Machine-Checked"


def ledger_pages(results: Sequence[Result], root: Path | None = None) -> Mapping[str, str]:
    """The ledger as files: what each is called, and what is in it.

    Args:
        results: What `memlib.theory.ledger.run` returned.
        root: Folder of the first page (`book/`). A claim links to its chapter if the chapter is
            there.

    Returns:
        `ledger.md`, the index; `ledger/PAPER.md` for each paper, with one label per claim
        (`anchor`), to which every page of the book can link; `ledger/smt/CLAIM-N.smt2`, the
        questions that z3 answered; and beside the papers `ledger/versions.md`,
        `ledger/code-notes.md` and `ledger/rosetta.md`.
    """
    files = {
        "ledger.md": index_page(results),
        f"{FOLDER}/versions.md": versions_page(results),
        f"{FOLDER}/code-notes.md": code_notes_page(),
        f"{FOLDER}/rosetta.md": rosetta_page(),
    }
    for paper in PAPERS:
        files[f"{FOLDER}/{paper}.md"] = paper_page(paper, results, root)
    for result in results:
        for number, outcome in _questions(result):
            files[f"{FOLDER}/{_smt_name(result.claim, number)}"] = _smt_file(result, outcome)
    return files


def page_of(claim: Claim) -> str:
    """The address of a claim's entry, from a page beside the index: `ledger/orders.html#...`."""
    return f"{FOLDER}/{claim.paper}.html#{anchor(claim.id)}"


def link(claim_id: str, present: set[str], text: str = "") -> str:
    """A link to a claim's ledger entry, or its id alone if it is not among those `present`."""
    if claim_id not in present:
        return f"`{claim_id}`"
    return f"[{text or claim_id}](#{anchor(claim_id)})"


# The index ---------------------------------------------------------------------------------------


def index_page(results: Sequence[Result]) -> str:
    """The first page: counts by paper and verdict, what verdicts mean, and a table per paper."""
    found = counts(results)
    whole = Counter(result.claim.verdict for result in results)
    checks = sum(len(result.outcomes) for result in results)
    verdicts = [f"[{badge(v)}]{{.verdict .verdict-{v}}}" for v in VERDICTS]
    lines = [
        "(ledger)=",
        "# The ledger",
        "",
        f"Each of these {len(results)} claims was put on trial by code when this page was built.",
        f"The verdict is earned: had one of the {checks} checks not come out as it is told here, "
        "the build would have failed.",
        "[](how-we-checked.md) says what a verdict means, and what one has to trust.",
        "",
        "| Paper | " + " | ".join(verdicts) + " | All |",
        "| :-- |" + " --: |" * (len(verdicts) + 1),
    ]
    for paper, count in found.items():
        numbers = [str(count[v] or "–") for v in VERDICTS]
        lines.append(f"| [{short(paper)}](#ledger-{paper}) | " + " | ".join(numbers))
        lines[-1] += f" | {count.total()} |"
    numbers = [str(whole[v] or "–") for v in VERDICTS]
    lines += [f"| **All** | {' | '.join(numbers)} | {whole.total()} |", ""]
    lines += ["| Verdict | It means |", "| :-- | :-- |"]
    lines += [f"| {v} | {m} |" for v, (_, m) in zip(verdicts, VERDICTS.values(), strict=True)]
    lines.append("")
    for paper in found:
        lines += [f"## {PAPERS[paper]}", ""]
        lines += [
            "| Claim | Verdict, evidence | What holds | Effect |",
            "| :-- | :-- | :-- | :-- |",
        ]
        lines += [_row(result) for result in results if result.claim.paper == paper] + [""]
    return "\n".join(lines).rstrip() + "\n"


def short(paper: str) -> str:
    """What stands before the parentheses of a paper's title."""
    return PAPERS[paper].partition(" (")[0]


def _row(result: Result) -> str:
    claim = result.claim
    kinds = Counter(outcome.check.kind for outcome in result.outcomes)
    evidence = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
    cells = [
        f"{claim.title} {link(claim.id, {claim.id})}",
        f"[{badge(claim.verdict)}]{{.verdict .verdict-{claim.verdict}}} {evidence}",
        claim.gist or first_sentence(claim.holds),
        first_sentence(claim.effect),
    ]
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def first_sentence(text: str) -> str:
    """The first sentence of a text, on one line, for the cell of a table; without a display."""
    line = " ".join(text.partition("$$")[0].split())
    return re.split(r"(?<=[.?!])\s+(?=[A-Z*$`])", line, maxsplit=1)[0]


# A paper -----------------------------------------------------------------------------------------


def paper_page(paper: str, results: Sequence[Result], root: Path | None = None) -> str:
    """The entries of one paper's claims."""
    entries = [result for result in results if result.claim.paper == paper]
    lines = [f"(ledger-{paper})=", f"# {PAPERS[paper]}", ""]
    if not entries:
        lines += [f"{short(paper)}: no claim is on trial here. Back to the [ledger](../ledger.md)."]
    else:
        lines += [
            f"{short(paper)}: {len(entries)} {'claim' if len(entries) == 1 else 'claims'} of the "
            "[ledger](../ledger.md), each with its evidence.",
            "",
        ]
    for result in entries:
        lines += _entry(result, results, root)
    return "\n".join(lines).rstrip() + "\n"


def _entry(result: Result, results: Sequence[Result], root: Path | None) -> list[str]:
    claim = result.claim
    earned = "" if result.earned else " **(not earned)**"
    lines = [f"({anchor(claim.id)})=", f"## {claim.title}", ""]
    lines += [
        f"`{claim.id}` · {claim.location} · "
        f"[{badge(claim.verdict)}]{{.verdict .verdict-{claim.verdict}}}{earned}",
        "",
    ]
    if not result.earned:
        lines += [f"- {reason}" for reason in result.missing] + [""]
    title = "The statement" if claim.paper == "book" else "As printed"
    lines += [f"::::{{admonition}} {title}", ":class: as-printed", "", claim.printed.strip()]
    if claim.assumptions:
        lines += ["", "Assumptions: " + "; ".join(claim.assumptions) + "."]
    lines += ["::::", "", labeled("What holds", claim.holds), ""]
    lines += ["**Evidence.**", ""]
    lines += [evidence_line(outcome) for outcome in result.outcomes] + [""]
    lines += _dropdown("Proof", [claim.proof.strip()])
    lines += _dropdown("To check it elsewhere: derivations and solver questions", _attached(result))
    for label, text in (
        ("The authors' best answer, and ours", claim.rebuttal),
        ("How we tried to refute it", claim.tried),
        ("Effect", claim.effect),
        ("Prior art", claim.prior_art),
    ):
        if text:
            lines += [labeled(label, text), ""]
    lines += _links(claim, results, root)
    return lines + _dropdown("Cite this", ["```bibtex", bibtex(claim), "```"])


def _dropdown(title: str, content: Sequence[str]) -> list[str]:
    if not any(content):
        return []
    return [f"::::{{admonition}} {title}", ":class: dropdown", "", *content, "::::", ""]


def labeled(label: str, text: str) -> str:
    """A text behind its label in bold; a formula that stands alone begins a line of its own."""
    text = text.strip()
    return f"**{label}.**" + ("\n\n" if text.startswith("$$") else " ") + text


def evidence_line(outcome: Outcome) -> str:
    """What one check found, as an item of a list."""
    check, evidence = outcome.check, outcome.evidence
    line = f"- {_mark(evidence.passed)} **{check.role}** ({check.kind}): {check.statement}"
    line += f" {evidence.summary}"
    if evidence.assumptions:
        met = "; ".join(f"{_mark(ok)} {name}" for name, ok in evidence.assumptions.items())
        line += f" Checked on this instance: {met}."
    return line


def _mark(passed: bool) -> str:
    return "✓" if passed else "✗"


def _attached(result: Result) -> list[str]:
    """The derivations of a claim, and links to the questions that a solver answered."""
    lines: list[str] = []
    for outcome in result.outcomes:
        if "steps" in outcome.evidence.data:
            lines += [f"{outcome.check.statement} Each step was verified by sympy:", ""]
            lines += _steps(outcome)
    for number, outcome in _questions(result):
        name = _smt_name(result.claim, number)
        lines += [
            f"- {outcome.check.statement} Any SMT solver answers "
            f"`{outcome.evidence.data['answer']}` to {{download}}`this question <{name}>`."
        ]
    return lines


def _steps(outcome: Outcome) -> list[str]:
    """A derivation, each reason above its formula: side by side they are wider than a page."""
    lines = []
    for number, (reason, formula) in enumerate(outcome.evidence.data["steps"], start=1):
        lines += [f"*{number}: {reason}.*", "", "$$", formula, "$$", ""]
    return lines


def _questions(result: Result) -> list[tuple[int, Outcome]]:
    """The outcomes that have a question for a solver, numbered by their check."""
    numbered = enumerate(result.outcomes, start=1)
    return [(number, o) for number, o in numbered if "smt2" in o.evidence.data]


def _smt_name(claim: Claim, number: int) -> str:
    return f"smt/{anchor(claim.id)}-{number}.smt2"


def _smt_file(result: Result, outcome: Outcome) -> str:
    data = outcome.evidence.data
    head = [result.claim.id, outcome.check.statement, f"Expected answer: {data['answer']}"]
    comments = [f"; {line}" for text in head for line in text.split("\n")]
    return "\n".join([*comments, str(data["smt2"]).strip()]) + "\n"


def bibtex(claim: Claim) -> str:
    """How to cite a claim's entry: its id, its verdict and the version of memlib."""
    project = metadata("memlib")
    addresses = dict(line.split(", ", 1) for line in project.get_all("Project-URL") or [])
    fields = {
        "author": f"{{{project['Author']}}}",
        "title": f"{claim.title} (claim {claim.id}, verdict: {claim.verdict})",
        "howpublished": f"{BOOK}: the ledger",
        "note": f"Version {memlib.__version__}",
        "url": addresses["Homepage"],
    }
    rows = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@misc{{mmc:{claim.id},", *rows, "}"])


def _links(claim: Claim, results: Sequence[Result], root: Path | None) -> list[str]:
    present = {result.claim.id for result in results}
    used_by = [result.claim.id for result in results if claim.id in result.claim.uses]
    parts = []
    for label, ids in (("Uses", claim.uses), ("Used by", used_by)):
        if ids:
            parts.append(f"{label}: " + ", ".join(link(name, present) for name in ids))
    if root is not None and (root / f"{claim.chapter}.md").exists():
        parts.append(f"Taught in [](../{claim.chapter}.md)")
    if claim.checks:
        module = claim.checks[0].run.__module__
        parts.append(f"Code: `{module.replace('.', '/')}.py`")
    return [" · ".join(parts) + ".", ""] if parts else []


# A notebook --------------------------------------------------------------------------------------


def notebook_entry(result: Result) -> str:
    """One claim's entry in plain Markdown, which notebooks render without the book."""
    claim = result.claim
    state = "" if result.earned else ", **not earned**"
    quoted = claim.printed.strip()
    if claim.assumptions:
        quoted += "\n\nAssumptions: " + "; ".join(claim.assumptions) + "."
    lines = [f"### {claim.title}", "", f"`{claim.id}` · {claim.location} · "]
    lines[-1] += f"**{badge(claim.verdict)}**{state}"
    lines += ["", *(f"- {reason}" for reason in result.missing), ""]
    lines += [f"> {line}".rstrip() for line in quoted.split("\n")]
    lines += ["", labeled("What holds", claim.holds), "", "**Evidence.**", ""]
    lines += [evidence_line(outcome) for outcome in result.outcomes] + [""]
    for outcome in result.outcomes:
        if "steps" in outcome.evidence.data:
            lines += [outcome.check.statement, "", *_steps(outcome)]
    for label, text in (
        ("Proof", claim.proof),
        ("The authors' best answer, and ours", claim.rebuttal),
        ("How we tried to refute it", claim.tried),
        ("Effect", claim.effect),
        ("Prior art", claim.prior_art),
    ):
        if text:
            lines += [labeled(label, text), ""]
    return "\n".join(lines).rstrip() + "\n"
