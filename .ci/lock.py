"""Write requirements.lock: the newest version of everything that pyproject.toml allows, as pip resolves it here.

    .venv/bin/python .ci/lock.py        (`make lock`); run `make test` afterwards, then commit it

The lock is a file of constraints, for `pip install -c requirements.lock`: a line applies only where its package is
installed, so packages of other platforms do no harm. PyTorch and what it brings for GPUs differ from index to index
and are left out; pyproject.toml pins torch.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXTRAS = "server,groundtruth,baselines,view,client,s3,tensorboard"
LEFT_OUT = re.compile(r"axonem$|setuptools$|torch$|triton$|nvidia-|cuda-")
HEAD = "# Versions that the tests ran with. Used as `pip install -c requirements.lock`; renewed by `make lock`.\n"


def main() -> None:
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-"]
    command += ["--disable-pip-version-check", "-e", f".[{EXTRAS}]", "--group", "dev"]
    report = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout)
    found = {package["metadata"]["name"].lower(): package["metadata"]["version"] for package in report["install"]}
    pins = [f"{name}=={version}\n" for name, version in sorted(found.items()) if not LEFT_OUT.match(name)]
    (ROOT / "requirements.lock").write_text(HEAD + "".join(pins))
    print(f"requirements.lock: {len(pins)} packages")


if __name__ == "__main__":
    main()
