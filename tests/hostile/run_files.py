"""Read all hostile files and print a table: file, bytes, verdict, CPU seconds, peak MB. Exits 1 where one is wrong.

python -m tests.hostile.run_files [-v] [PART OF A NAME ...]
"""

import sys
import tempfile
from pathlib import Path

from tests.hostile.make_files import selected
from tests.hostile.measure import Measurer


def main() -> int:
    """Make and read the files, one at a time."""
    options = [a for a in sys.argv[1:] if a.startswith("-")]
    cases = selected([a for a in sys.argv[1:] if not a.startswith("-")])
    if "--here" in options:
        cases = [case for case in cases if not (case.confined or case.slow)]
    wrong, cpu = [], 0.0
    print(f"{'file':<52} {'bytes':>9} {'CPU s':>6} {'MB':>5}  verdict")
    with tempfile.TemporaryDirectory() as folder, Measurer(confined="--here" not in options) as read:
        for case in cases:
            path = Path(folder) / case.name
            case.make(path)
            found = read(case, path)
            cpu += found.cpu_seconds
            cost = f"{path.stat().st_size:>9,} {found.cpu_seconds:>6.1f} {found.peak_mb:>5.0f}"
            print(f"{case.name:<52} {cost}  {found.verdict}", flush=True)
            if "-v" in options and found.message:
                print(f"    {found.message}")
            wrong += [f"{case.name}: {fault}" for fault in found.faults(case)]
            path.unlink()
    print(f"\n{len(cases)} files, {cpu:.0f} s of CPU, {len(wrong)} faults", *wrong, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
