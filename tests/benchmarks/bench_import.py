"""What `import memlib` costs beside `import torch`: fresh interpreters, interleaved, medians."""

import statistics
import subprocess
import sys

from tests.benchmarks import Outcome

TIMED = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def seconds(module: str) -> float:
    """Return the wall time of one import in a fresh interpreter."""
    command = [sys.executable, "-c", TIMED.format(module)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main(repeats: int = 5) -> list[Outcome]:
    """Measure, print, and return what became of the target."""
    taken: dict[str, list[float]] = {"torch": [], "memlib": [], "memlib.stability": []}
    for _ in range(repeats):
        for module, times in taken.items():
            times.append(seconds(module))
    median = {module: statistics.median(times) for module, times in taken.items()}
    for module, value in median.items():
        print(f"import {module:<18} {value:6.3f} s  {value / median['torch']:6.3f} x torch")
    ratio = median["memlib"] / median["torch"]
    return [Outcome("import memlib over import torch", ratio, 2, ratio <= 2)]


if __name__ == "__main__":
    main()
