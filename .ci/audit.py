"""Look up the locked versions in PyPI's list of known vulnerabilities. Exit status 77 where it cannot be reached.

pip-audit gets an environment of its own: what it needs must not change what the tests run with.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

VERSION = "2.10.1"
UNREACHABLE = 77
NETWORK = ("ConnectionError", "Max retries", "ServiceError", "Could not find a version", "HTTPError", "No matching")


def main() -> int:
    root = Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [f"{folder}/bin/python", "-m", "pip", "install", "--quiet", f"pip-audit=={VERSION}"]
        audit = [f"{folder}/bin/pip-audit", "--no-deps", "--disable-pip", "-r", str(root / "requirements.lock")]
        for command in (pip, audit):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                said = done.stdout + done.stderr
                print(said[-4000:])
                if any(word in said for word in NETWORK):
                    print("The list of vulnerabilities cannot be reached from here: not audited.")
                    return UNREACHABLE
                return 1
        print(done.stdout + done.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
