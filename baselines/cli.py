"""The command line `baselines`: train, predict, segment, evaluate, submit, reproduce.

Progress goes to stderr, results to stdout. Exit status: 0 done, 1 the input is at fault, 2 wrong usage.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from axonem_eval.errors import InputError
from axonem_eval.extras import missing_package
from baselines.common.blockwise import OtherJob

if TYPE_CHECKING:
    from baselines.affinity_unet.experiment import Experiment

SHIPPED = Path(__file__).parent / "configs"


def build_parser() -> argparse.ArgumentParser:
    """All commands and options."""
    parser = argparse.ArgumentParser(prog="baselines", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("config", metavar="CONFIG", help="a TOML file, or the name of a shipped one")
        command.add_argument("-o", "--output", type=Path, help="folder for results (default: runs/NAME)")
        command.add_argument("--quiet", action="store_true", help="no progress bars")
        command.add_argument("--json", action="store_true", help="print one JSON object")
        return command

    train = add("train", "train to the configured number of steps, from where an earlier run stopped")
    train.add_argument("--fold", type=int, metavar="N", help="one fold alone, so that each may have its own processor")
    for name, text in (
        ("predict", "predict affinities; start it several times to share the work"),
        ("segment", "segment predicted affinities at the chosen threshold, into HDF5"),
        ("evaluate", "score a segmentation by ERL, ARAND and VOI"),
    ):
        add(name, text).add_argument("--volume", help="validate, or a test volume's name (default: all of those)")
    picture = add("picture", "a section as PNG: EM, affinities, segmentation, ground truth")
    picture.add_argument("--volume")
    picture.add_argument("--section", type=int, default=0, help="z of the section")
    picture.add_argument("--scale", type=int, default=1, help="pixels a voxel")
    reproduce = add("reproduce", "everything from data to scored labels, and to a server with --submit")
    reproduce.add_argument("--submit", action="store_true", help="then submit it to a server (see axonem login)")
    submit = add("submit", "submit segmentations with the participant's client (see axonem login)")
    for command in (reproduce, submit):
        command.add_argument("--server", help="address of the server, where it is not that of the last login")
        command.add_argument("--benchmark", help="its slug, where it is not the configuration's")
        command.add_argument("--reference", action="store_true", help="mark it as a reference entry (organisers alone)")
    export = commands.add_parser("export", help="write a small checkpoint to ship")
    export.add_argument("checkpoint", type=Path)
    export.add_argument("target", type=Path)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    options = build_parser().parse_args(arguments)
    try:
        if options.command == "export":
            from baselines.affinity_unet.experiment import export_weights

            print(f"{options.target}: {export_weights(options.checkpoint, options.target):,} bytes")
            return 0
        return _run(options)
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


def _experiment(options: argparse.Namespace) -> "Experiment":
    from baselines.affinity_unet.experiment import Experiment
    from baselines.common.config import load_config

    config = load_config(find_config(options.config))
    folder = options.output or Path("runs") / config.name
    command = f"baselines reproduce {options.config}"  # makes it again, whichever step runs now
    return Experiment(config, folder, command=command, quiet=options.quiet)


def _run(options: argparse.Namespace) -> int:
    experiment = _experiment(options)
    names = [options.volume] if getattr(options, "volume", None) else experiment.tests
    if options.command == "train":
        _print(options, {"checkpoint": str(_part(experiment, options.fold).train())})
    elif options.command == "predict":
        _print(options, {name: str(experiment.predict(name)) for name in names})
    elif options.command == "segment":
        _print(options, {name: str(experiment.segment(name)) for name in names})
    elif options.command == "picture":
        made = {name: experiment.folder / f"{name}-{options.section}.png" for name in names}
        for name, path in made.items():
            experiment.picture(name, options.section, path, scale=options.scale)
        _print(options, {name: str(path) for name, path in made.items()})
    elif options.command == "evaluate":
        _print_scores(options, experiment, {name: experiment.evaluate(name) for name in names})
    elif options.command == "reproduce":
        _print_scores(options, experiment, experiment.reproduce())
    if options.command == "submit" or getattr(options, "submit", False):
        from baselines.common.submit import submit

        return submit(
            options.benchmark or experiment.config.benchmark,
            {name: experiment.folder / f"{name}.h5" for name in experiment.tests},
            method=f"Affinity U-Net ({experiment.config.name})",
            provenance=experiment.folder / "provenance.json",
            server=options.server or "",
            reference=options.reference,
        )
    return 0


def _part(experiment: "Experiment", fold: int | None) -> "Experiment":
    """The experiment, or one of its folds."""
    if fold is None:
        return experiment
    count = len(experiment.folds)
    if not 0 <= fold < count:
        numbers = f"0 to {count - 1}" if count else "no [[folds]]"
        raise InputError.of("no_fold", f"{experiment.config.name}: no fold {fold}; the configuration has {numbers}")
    return experiment.folds[fold]


def _print(options: argparse.Namespace, values: dict) -> None:
    if options.json:
        print(json.dumps(values))
    else:
        for name, value in values.items():
            print(f"{name}: {value}")


def _print_scores(options: argparse.Namespace, experiment: "Experiment", scores: dict) -> None:
    from baselines.common.evaluate import lines

    if options.json:
        print(json.dumps(scores))
        return
    rows = []
    for name, row in scores.items():
        rows += [(f"{experiment.config.name}, {name}", row), *experiment.published(name).items()]
    print("\n".join(lines(rows)))
    for name in scores:
        print(f"segmentation of {name}: {experiment.folder / name}.h5")
    print(f"provenance: {experiment.folder / 'provenance.json'}")


if __name__ == "__main__":
    sys.exit(main())
