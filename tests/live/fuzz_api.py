"""Call every operation of the API as its description allows, and as it does not, in every role.

    python -m tests.live.fuzz_api --examples 40

No answer may be a 5xx, of another shape than described, or of an undocumented status. Starts a server of its own.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.browser.running_server import free_port
from tests.live.live_server import LiveServer

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "server" / "run_schemathesis.sh"
ROLES = ("nobody", "reader", "participant", "reviewer", "organiser", "owner", "administrator")
# Entries that everybody sees, and one that nobody but its team does, are there to be asked for.
MAKE_PEOPLE = """
import json
from evalserver.accounts.services import create_token
from evalserver.benchmarks.models import Phase
from evalserver.benchmarks.roles import give_role
from tests.factories import make_scored, make_submission, make_user
phase = Phase.objects.get(benchmark__slug=SLUG)
public, private = make_scored(phase, 5000), make_submission(phase)
tokens = {}
for role in ROLES:
    user = make_user(role, is_staff=role == "administrator", is_superuser=role == "administrator")
    if role in ("reviewer", "organiser", "owner"):
        give_role(benchmark=phase.benchmark, email=user.email, name=role)
    scopes = ["read"] if role == "reader" else ["read", "submit"]
    tokens[role] = create_token(user=user, name="t", scopes=scopes)[1]
print(json.dumps(tokens))
"""


def tokens(server: LiveServer) -> dict[str, str]:
    """A token for each role; none for nobody."""
    roles = [role for role in ROLES if role != "nobody"]
    code = MAKE_PEOPLE.replace("SLUG", repr(server.benchmark)).replace("ROLES", repr(roles))
    made = server.manage("shell", "--no-imports", "-c", code).splitlines()[-1]
    return {"nobody": "", **json.loads(made)}


def breaches(url: str, token: str, examples: int, home: Path) -> str:
    """What schemathesis finds wrong, empty where nothing is; raises where it did not call every operation."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(home)}
    run = subprocess.run(
        ["bash", str(SCRIPT), url, token, str(examples)], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    found = re.search(r"(\d+) selected / (\d+) total", run.stdout)
    if not found or found.group(1) != found.group(2) or int(found.group(2)) < 16:
        raise RuntimeError(f"not every operation was called:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
    return run.stdout[-6000:] if run.returncode else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=40, help="of each operation (%(default)s)")
    parser.add_argument("--roles", default=",".join(ROLES), help="(%(default)s)")
    options = parser.parse_args()
    os.environ["API_REQUESTS_PER_MINUTE"] = "1000000"
    bad = False
    with tempfile.TemporaryDirectory() as folder, LiveServer(Path(folder) / "server", free_port()) as server:
        known = tokens(server)
        for role in options.roles.split(","):
            found = breaches(server.url, known[role], options.examples, Path(folder))
            print(f"{role}: {found or 'no breach'}", flush=True)
            bad |= bool(found)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
