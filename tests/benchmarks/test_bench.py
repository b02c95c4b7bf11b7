"""What `make bench` says of the targets."""

import pytest

from scripts import bench
from tests.benchmarks import Outcome


def test_a_missed_target_fails_the_benchmarks(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    met, missed = Outcome("quick", 1.0, 2, True), Outcome("slow", 3.0, 2, False)
    for outcomes, status in (([met], 0), ([met, missed], 1)):
        module = type("Module", (), {"main": staticmethod(lambda outcomes=outcomes: outcomes)})
        monkeypatch.setattr(bench.importlib, "import_module", lambda name, module=module: module)
        assert bench.main() == status
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines if "MISSED" in line} == {"slow"}
