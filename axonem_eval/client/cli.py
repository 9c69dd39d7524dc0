"""`axonem`: log in, submit, follow and read results on the command line.

Results go to stdout, progress and errors to stderr. Exit 0: success; 1: the input was refused or rejected, or the
server cannot be reached; 2: wrong usage.
"""

import argparse
import getpass
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

try:
    import httpx
    import yaml  # noqa: F401  (read by method; a missing one is better told now than after an upload)
except ModuleNotFoundError as error:
    # The script is installed without its extra, too: what people meet first must say what to do.
    package = {"yaml": "PyYAML"}.get(error.name or "", error.name)
    raise SystemExit(f"axonem needs {package}: pip install 'axonem[client]'") from None

from axonem_eval.client import config, output, submit
from axonem_eval.client.errors import ClientError, ServerRefused
from axonem_eval.client.method import assign_files, read_method
from axonem_eval.client.server import Server
from axonem_eval.version import add_version

EPILOG = """Exit status: 0 success, 1 refused, rejected, failed or not reachable, 2 wrong usage.
The variables AXONEM_SERVER and AXONEM_TOKEN override what `axonem login` has stored."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = build_parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except ServerRefused as error:
        print(f"axonem: {error}", file=sys.stderr)
        return 1
    except ClientError as error:
        for line in str(error).splitlines():
            print(f"axonem: {line}", file=sys.stderr)
        return 1
    except httpx.HTTPError as error:
        print(f"axonem: the server does not answer: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\naxonem: stopped. Run the same command again to continue.", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def build_parser() -> argparse.ArgumentParser:
    """The parser of `axonem` with all its commands."""
    parser = argparse.ArgumentParser(
        prog="axonem",
        description="Submit segmentations to a benchmark server.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_version(parser)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text, epilog=EPILOG)
        command.set_defaults(run=run)
        command.add_argument("--json", action="store_true", help="print one JSON object, with lengths in nm")
        return command

    login = add(
        "login", run_login, "Store a personal API token for a server. Make the token on the server's page “API tokens”."
    )
    login.add_argument("url", metavar="URL", help="address of the server, such as https://benchmark.example.org")
    login.add_argument("--token-stdin", action="store_true", help="read the token from stdin instead of asking")

    _add_submit_options(
        add(
            "submit",
            run_submit,
            "Check, upload and submit one file per volume. After an interruption, run it again: it continues.",
        )
    )
    status = add("status", run_status, "List the submissions of your teams, or show one.")
    status.add_argument("code", metavar="CODE", nargs="?", help="code of a submission (default: list all)")
    status.add_argument("--watch", action="store_true", help="follow the evaluation to its end")
    _add_server(status)

    _add_leaderboard_options(add("leaderboard", run_leaderboard, "Print a benchmark's leaderboard."))
    pair = add(
        "compare", run_compare, "Compare two entries of a phase, and test whether their difference is more than chance."
    )
    pair.add_argument("a", metavar="A", help="code of the first entry")
    pair.add_argument("b", metavar="B", help="code of the second entry")
    _add_server(pair)
    return parser


def _add_submit_options(submit: argparse.ArgumentParser) -> None:
    submit.add_argument(
        "method", metavar="METHOD", type=Path, help="method.yaml or method.toml; docs/submitting.md describes it"
    )
    submit.add_argument(
        "files", metavar="FILE", nargs="*", help="label files in the order of the volumes, or VOLUME=FILE"
    )
    submit.add_argument("--watch", action="store_true", help="follow the evaluation and print the result")
    submit.add_argument("--no-check", action="store_true", help="send the files without a check")
    _add_server(submit)


def _add_leaderboard_options(board: argparse.ArgumentParser) -> None:
    board.add_argument("slug", metavar="SLUG", help="short name of the benchmark, as in its address")
    board.add_argument("--phase", default="", help="short name of the phase (default: the current one)")
    board.add_argument("--page", type=int, default=1, help="page of the table (default 1)")
    board.add_argument(
        "--sort",
        default="rank",
        help="column: rank, mean, percent, low, date, erl-VOLUME.um; largest first: --sort=-mean",
    )
    board.add_argument("--find", default="", metavar="TEXT", help="show only methods and teams with TEXT in their name")
    board.add_argument("--best", action="store_true", help="show only the best entry of each team")
    board.add_argument("--superseded", action="store_true", help="also show entries that newer ones replace")
    _add_server(board)


def _add_server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--server", metavar="URL", help="address of the server (default: that of the last login)")


def _print(value: Any, text: str, *, as_json: bool) -> None:
    print(json.dumps(value, indent=2) if as_json else text)


def run_login(arguments: argparse.Namespace) -> int:
    """Check a token with the server and store it."""
    url = config.clean_url(arguments.url)
    if arguments.token_stdin:
        token = sys.stdin.readline().strip()
    else:
        token = os.environ.get("AXONEM_TOKEN") or getpass.getpass(f"API token for {url}: ").strip()
    if not token.isascii() or not token.isprintable() or not token:
        raise ClientError("This is not a token. Copy it from the server's page “API tokens”; it begins with axonem_.")
    login = config.Login(url, token)
    me = submit.reachable(Server(login))
    path = config.save_login(login)
    scopes = ", ".join(me["token"]["scopes"])
    _print(me, f"Logged in at {url} as {me['email']} ({scopes}). Stored in {path}.", as_json=arguments.json)
    return 0


def run_submit(arguments: argparse.Namespace) -> int:
    """Upload the files of a method, and submit it."""
    method = read_method(arguments.method)
    server = Server(config.load_login(arguments.server))
    benchmark = server.get(f"/benchmarks/{method.benchmark}")
    phase = submit.phase_of(benchmark, method.phase)
    files = assign_files(arguments.files, method, phase["volumes"])
    with closing(output.Bars()) as bars:
        if not arguments.no_check:
            complaints = submit.check_files(files, benchmark, bars)
            if complaints:
                bars.close()
                raise ClientError("\n".join(c.message for c in complaints) + "\nNothing was sent.")
        codes, already = submit.upload_files(server, method, phase, files, bars)
        if already:
            submission = server.get(f"/submissions/{already}")
        else:
            submission = submit.create_submission(server, method, phase, codes)
        bars.close()
        print(f"{'already submitted' if already else 'submitted'}: {server.url}{submission['page']}", file=sys.stderr)
        if arguments.watch:
            submission = submit.follow(server, submission["code"], bars)
    if arguments.watch:
        return _report(server, submission, as_json=arguments.json)
    _print({"submission": submission}, submission["code"], as_json=arguments.json)
    return 0


def _report(server: Server, submission: dict[str, Any], *, as_json: bool) -> int:
    """Print the state of a submission. Returns 1 if it was rejected or failed."""
    rows = submit.evaluations(server, submission["code"]) if submission["status"] == "scored" else []
    if as_json:
        print(json.dumps({"submission": submission, "evaluations": rows}, indent=2))
    else:
        print(f"{submission['code']}  {submission['method']}  {submission['status']}, {submission['visibility']}")
        if rows:
            print(output.result_table(rows, submission["headline"]))
        elif submission["status"] in ("uploaded", "running"):
            print(f"{submission['stage']} ({submission['percent']}%)")
    for file in submission["files"]:
        for warning in file["warnings"]:
            print(f"axonem: warning: {file['volume']}: {warning}", file=sys.stderr)
    for complaint in submission["complaints"]:
        volume = f"{complaint['volume']}: " if complaint["volume"] else ""
        print(f"axonem: {volume}{complaint['message']}", file=sys.stderr)
    if submission["status"] == "failed":
        print(f"axonem: failed on the server's side, incident {submission['incident_id']}", file=sys.stderr)
    return 1 if submission["status"] in ("rejected", "failed") else 0


def run_status(arguments: argparse.Namespace) -> int:
    """Print one submission, or a list of all."""
    server = Server(config.load_login(arguments.server))
    if not arguments.code:
        page = server.get("/submissions")
        text = output.submissions_table(page["items"]) if page["items"] else "You have not submitted anything yet."
        _print(page, text, as_json=arguments.json)
        return 0
    with closing(output.Bars()) as bars:
        if arguments.watch:
            submission = submit.follow(server, arguments.code, bars)
        else:
            submission = server.get(f"/submissions/{arguments.code}")
    return _report(server, submission, as_json=arguments.json)


def run_leaderboard(arguments: argparse.Namespace) -> int:
    """Print a page of a benchmark's leaderboard."""
    server = Server(config.load_login(arguments.server))
    query = {"page": arguments.page, "sort": arguments.sort, "q": arguments.find}
    query |= {"rows": "best" if arguments.best else "all", "superseded": int(arguments.superseded)}
    query |= {"phase": arguments.phase} if arguments.phase else {}
    board = server.get(f"/benchmarks/{arguments.slug}/leaderboard", **query)
    _print(board, output.leaderboard_table(board), as_json=arguments.json)
    return 0


def run_compare(arguments: argparse.Namespace) -> int:
    """Print how two entries differ, with a paired bootstrap."""
    server = Server(config.load_login(arguments.server))
    with closing(output.Bars()) as bars:
        pair = submit.compare(server, arguments.a, arguments.b, bars)
    _print(pair, output.comparison_text(pair), as_json=arguments.json)
    if pair["state"] != "ready":
        print(f"axonem: {pair['message']}", file=sys.stderr)
    return 0 if pair["state"] == "ready" else 1
