"""Run a command with DATABASE_URL naming a PostgreSQL server that lives as long as the command.

    python tests/with_postgres.py pytest tests/server

Exit 77 with a reason where no PostgreSQL is installed.
"""

import glob
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path


def find_binaries() -> Path | None:
    """Folder of initdb and pg_ctl."""
    found = shutil.which("initdb")
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    if folders:
        return Path(folders[-1])
    return Path(found).parent if found else None


def main(command: list[str]) -> int:
    binaries = find_binaries()
    if binaries is None:
        print("no PostgreSQL here (apt-get install postgresql); its test run is left out", file=sys.stderr)
        return 77
    folder = Path(tempfile.mkdtemp(prefix="axonem-postgres-"))
    as_user: dict[str, object] = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        as_user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    environment = {**os.environ, "HOME": str(folder), "LC_ALL": "C.UTF-8"}
    data = folder / "data"

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [str(binaries / program), *arguments],
            check=True, stdout=subprocess.DEVNULL, env=environment, cwd=folder, **as_user,
        )  # fmt: skip

    run("initdb", "-D", str(data), "-U", "axonem", "--auth=trust", "--no-sync")
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off -c max_connections=200"
    run("pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        url = f"postgres://axonem@{str(folder).replace('/', '%2F')}/postgres"
        return subprocess.run(command, env={**os.environ, "DATABASE_URL": url}).returncode
    finally:
        run("pg_ctl", "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
