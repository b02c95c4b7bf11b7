"""Deals the tests to the workers; writes the browser report, pages × checks, from tests/site."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

REPORT = Path(__file__).resolve().parents[1] / "_build" / "site-report.md"
HEAD = """# The browser report

{passed} of {total} tests of the built site passed, in headless Chromium; {skipped} were skipped.
A number says how many things the check looked at on that page: ✓ all are right, ✗ some are wrong,
– there is none, ? the check did not run.
"""


class ByFileOrPage(LoadFileScheduling):
    """A worker takes a file of tests at a time, or all tests of one page of the site."""

    def _split_scope(self, nodeid: str) -> str:
        page = re.search(r"^tests/site/.*\[([\w./-]+\.html)", nodeid)
        return page[1] if page else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFileOrPage:
    """The one above, whatever `--dist` says."""
    return ByFileOrPage(config, log)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Notes which page and which check a test of the site is about."""
    outcome: Any = yield
    if item.get_closest_marker("site"):
        params = getattr(getattr(item, "callspec", None), "params", {})
        if {"name", "check"} <= set(params):
            page, check = params["name"], params["check"]
        else:  # a test of the site as a whole
            page, check = "", item.name.split("[")[0].removeprefix("test_").replace("_", " ")
        outcome.get_result().user_properties.extend([("page", page), ("check", check)])


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Writes the report and says where it is."""
    outcomes: dict[tuple[str, str], Counter[str]] = {}
    seen: dict[tuple[str, str], int] = {}
    failures = []
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            properties = dict(getattr(report, "user_properties", []))
            if "check" not in properties:
                continue
            place = (properties["page"], properties["check"])
            outcomes.setdefault(place, Counter())[outcome] += 1
            seen[place] = properties.get("seen", 0)
            if outcome in ("failed", "error"):
                failures.append(f"- `{report.nodeid}`\n\n```text\n{report.longreprtext}\n```\n")
    if not outcomes or not REPORT.parent.exists():
        return
    total = sum(outcomes.values(), Counter())
    pages = sorted({page for page, _ in outcomes if page})
    checks = list(dict.fromkeys(check for page, check in outcomes if page))
    lines = [
        HEAD.format(passed=total["passed"], total=total.total(), skipped=total["skipped"]),
        "| page | " + " | ".join(checks) + " |",
        "| :-- |" + " :-: |" * len(checks),
    ]
    for page in pages:
        cells = [cell(outcomes.get((page, check)), seen.get((page, check), 0)) for check in checks]
        lines.append(f"| {page} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "| the site as a whole | passed | failed | skipped |",
        "| :-- | --: | --: | --: |",
    ]
    for (page, check), counts in sorted(outcomes.items()):
        if not page:
            failed = counts["failed"] + counts["error"]
            lines.append(f"| {check} | {counts['passed']} | {failed} | {counts['skipped']} |")
    lines += ["", *(["## What failed", "", *failures] if failures else [])]
    REPORT.write_text("\n".join(lines), "utf-8")
    terminalreporter.write_line(f"The browser report (pages × checks): {REPORT}")


def cell(counts: Counter[str] | None, seen: int) -> str:
    """A cell of the table, from the outcomes of one check on one page."""
    if not counts or not (counts["passed"] or counts["failed"] or counts["error"]):
        return "?"
    if counts["failed"] or counts["error"]:
        return "✗"
    return f"✓ {seen}" if seen else "–"
