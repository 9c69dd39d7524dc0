"""The command line `baselines`.

Progress goes to stderr, results to stdout. Exit status: 0 success, 1 a fault in the input, 2 wrong usage.
"""

import argparse
import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from axonem_eval.errors import InputError
from axonem_eval.extras import missing_package
from axonem_eval.version import add_version
from baselines.common.blockwise import OtherJob

if TYPE_CHECKING:
    from baselines.common.cluster import Cluster
    from baselines.common.evaluate import Scores
    from baselines.common.run import Run
    from baselines.common.stages import Method

SHIPPED = Path(__file__).parent / "configs"


def build_parser() -> argparse.ArgumentParser:
    """All commands and options."""
    parser = argparse.ArgumentParser(
        prog="baselines",
        description="Reproduce the reference baselines: from grey values to a scored and submitted segmentation.",
        epilog="Every command continues an interrupted run. docs/baselines.md describes the configurations.",
    )
    add_version(parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("config", metavar="CONFIG", help="a TOML file, or the name of a shipped one")
        command.add_argument(
            "-o", "--output", type=Path, metavar="FOLDER", help="folder for results (default: runs/NAME)"
        )
        command.add_argument("--quiet", action="store_true", help="no progress bars")
        command.add_argument("--json", action="store_true", help="print one JSON object")
        return command

    train = add("train", "Train the network. An interrupted training continues where it stopped.")
    train.add_argument("--fold", type=int, metavar="N", help="train only this fold, counted from 0")
    predict = add("predict", "Run the network over the test volumes.")
    segment = add("segment", "Segment what the network predicted, and write the labels to HDF5.")
    evaluate = add("evaluate", "Score the segmentation by ERL, ARAND and VOI.")
    picture = add("picture", "Draw a section as PNG: EM, affinities (U-Net), segmentation, ground truth.")
    neuroglancer = add("neuroglancer", "Write the labels as a precomputed folder, which Neuroglancer shows.")
    for command in (predict, segment, evaluate, picture, neuroglancer):
        command.add_argument("--volume", help="name of a test volume, or `validate` (default: all test volumes)")
    picture.add_argument("--section", type=int, default=0, help="z of the section (default 0)")
    picture.add_argument("--scale", type=int, default=1, help="pixels per voxel (default 1)")
    reproduce = add("reproduce", "Run all stages, from data to scored labels. With --submit, also submit them.")
    reproduce.add_argument(
        "--submit", action="store_true", help="submit the labels afterwards; log in first with `axonem login`"
    )
    for command in (predict, segment, reproduce):
        _add_cluster(command)
    submit = add("submit", "Submit the labels as any participant does. Log in first with `axonem login`.")
    for command in (predict, segment, reproduce, submit):
        text = "file of grey values to segment as this test volume; repeatable (default: the configured volumes)"
        command.add_argument("--em", metavar="VOLUME=FILE", type=_named_file, action="append", default=[], help=text)
    for command in (reproduce, submit):
        command.add_argument("--server", help="address of the server (default: that of the last login)")
        command.add_argument(
            "--benchmark", help="short name of the benchmark, as in its address (default: that of the configuration)"
        )
        command.add_argument("--reference", action="store_true", help="mark the entry as a reference (organisers only)")
    text = "Write the weights of a checkpoint in half precision, to ship them."
    export = commands.add_parser("export", help=text, description=text)
    export.add_argument("checkpoint", metavar="CHECKPOINT", type=Path, help="last.pt of a run")
    export.add_argument("target", metavar="TARGET", type=Path, help="file to write (.pt)")
    return parser


def _add_cluster(command: argparse.ArgumentParser) -> None:
    where = command.add_mutually_exclusive_group()
    text = "compute in N processes of this machine (default: in this one)"
    where.add_argument("--workers", type=_positive, default=0, metavar="N", help=text)
    text = "compute on the workers of a Dask scheduler, tcp://HOST:PORT"
    where.add_argument("--scheduler", default="", metavar="ADDRESS", help=text)


def _named_file(text: str) -> tuple[str, Path]:
    name, _, path = text.partition("=")
    if not (name and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not VOLUME=FILE; expected the like of a=a-em.h5")
    return name, Path(path)


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes; expected 1 or more")
    return number


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    options = build_parser().parse_args(arguments)
    try:
        if options.command == "export":
            from baselines.affinity_unet.networks import export_weights

            print(f"{options.target}: {export_weights(options.checkpoint, options.target):,} bytes")
            return 0
        return _do(options)
    except InputError as error:
        for complaint in error.complaints:
            print(complaint.message, file=sys.stderr)
        return 1
    except OtherJob as error:
        print(error, file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        line = missing_package(error, "baselines")
        if line is None:
            raise
        print(f"baselines: {line}", file=sys.stderr)
        return 1


def find_config(name: str) -> Path:
    """A TOML file by path, or a shipped configuration by name."""
    shipped = SHIPPED / f"{name}.toml"
    return shipped if not name.endswith(".toml") and shipped.exists() else Path(name)


def _open(options: argparse.Namespace, cluster: "Cluster") -> "tuple[Method[Any], Run[Any]]":
    """The method and the run that the command line names."""
    from baselines.common.config_file import load_config, with_test_files
    from baselines.methods import METHODS

    config = load_config(find_config(options.config))
    files = dict(getattr(options, "em", []))
    if files:
        config = with_test_files(config, files)
    folder = options.output or Path("runs") / config.name
    if cluster.scheduler:  # its workers may have another current folder
        folder, config = folder.absolute(), replace(config, folder=str(Path(config.folder).absolute()))
    # Makes it again, whichever stage runs now.
    given = [word for name, path in files.items() for word in ("--em", f"{name}={path}")]
    command = shlex.join(["baselines", "reproduce", options.config, *given])
    method = METHODS[config.method]
    run = method.open_run(config, folder, command=command, quiet=options.quiet)
    run.compute_on(cluster)
    return method, run


def _do(options: argparse.Namespace) -> int:
    """Run the chosen command on the workers that it asks for; returns the exit status."""
    from baselines.common.cluster import Cluster

    with Cluster(getattr(options, "workers", 0), getattr(options, "scheduler", "")) as cluster:
        return _do_on(cluster, options)


def _do_on(cluster: "Cluster", options: argparse.Namespace) -> int:
    from baselines.common.stages import evaluate_volume, export_precomputed

    method, run = _open(options, cluster)
    names = [options.volume] if getattr(options, "volume", None) else run.tests
    if options.command == "train":
        _print(options, {"checkpoint": str(method.train(_part(run, options.fold)))})
    elif options.command == "predict":
        _print(options, {name: str(method.predict(run, name)) for name in names})
    elif options.command == "segment":
        _print(options, {name: str(method.segment(run, name)) for name in names})
    elif options.command == "picture":
        files = {name: run.folder / f"{name}-{options.section}.png" for name in names}
        made = {n: method.picture(run, n, options.section, file, scale=options.scale) for n, file in files.items()}
        _print(options, {name: str(path) for name, path in made.items()})
    elif options.command == "neuroglancer":
        _print(options, {name: str(export_precomputed(run, name)) for name in names})
    elif options.command == "evaluate":
        _print_scores(options, run, {name: evaluate_volume(run, name) for name in names})
    elif options.command == "reproduce":
        _print_scores(options, run, method.reproduce(run))
    if options.command == "submit" or getattr(options, "submit", False):
        return _submit(options, run, method.title)
    return 0


def _submit(options: argparse.Namespace, run: "Run[Any]", title: str) -> int:
    from baselines.common.submit import submit

    return submit(
        options.benchmark or run.config.benchmark,
        {name: run.labels(name) for name in run.tests},
        method=f"{title} ({run.config.name})",
        provenance=run.provenance.path,
        server=options.server or "",
        reference=options.reference,
    )


def _part(run: "Run[Any]", fold: int | None) -> "Run[Any]":
    """The run, or one of its folds."""
    if fold is None:
        return run
    count = len(run.folds)
    if not 0 <= fold < count:
        numbers = f"0 to {count - 1}" if count else "no [[folds]]"
        raise InputError.of("no_fold", f"{run.config.name}: no fold {fold}; the configuration has {numbers}")
    return run.folds[fold]


def _print(options: argparse.Namespace, values: dict[str, str]) -> None:
    if options.json:
        print(json.dumps(values))
    else:
        for name, value in values.items():
            print(f"{name}: {value}")


def _print_scores(options: argparse.Namespace, run: "Run[Any]", scores: "dict[str, Scores]") -> None:
    from baselines.common.evaluate import lines
    from baselines.common.stages import published_scores

    if options.json:
        print(json.dumps(scores))
        return
    rows = []
    for name, row in scores.items():
        rows += [(f"{run.config.name}, {name}", row), *published_scores(run, name).items()]
    if rows:
        print("\n".join(lines(rows)))
    for name in run.tests:
        print(f"segmentation of {name}: {run.labels(name)}")
    print(f"provenance: {run.provenance.path}")


if __name__ == "__main__":
    sys.exit(main())
