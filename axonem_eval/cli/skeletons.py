"""`axonem-eval diagnose`, `export` and `view`: their options and what they do."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from axonem_eval.cli.options import add_label_options, warn
from axonem_eval.cli.report import AddCommand, shown_command
from axonem_eval.cli.tables import demand_folder, demand_table_path, write_table
from axonem_eval.errors import InputError
from axonem_eval.spec import FloatTriple

if TYPE_CHECKING:
    from axonem_eval.skeletons import MeasuredSkeletons, SkeletonGraph


def add_skeleton_commands(add: AddCommand, float_triple: Callable[[str], FloatTriple]) -> None:
    """Add the commands to the command line. ``add(name, run, text)`` makes one command."""
    diagnose = add("diagnose", run_diagnose, "List likely errors of a segmentation, without ground truth.")
    diagnose.add_argument(
        "segmentation", metavar="SEG", help="label file, or a bundle that `axonem-eval skeletonize` wrote"
    )
    diagnose.add_argument(
        "--voxel-size", type=float_triple, metavar="Z,Y,X", help="voxel size in nm, if the file states none"
    )
    diagnose.add_argument("-o", "--output", metavar="HTML", help="page to write (one self-contained file)")
    diagnose.add_argument(
        "--segments", metavar="TABLE", help="also write a table with a row per segment: .csv, .json or .parquet"
    )
    diagnose.add_argument("--skeletons", metavar="BUNDLE", help="also write the skeletons (.npz)")
    diagnose.add_argument("--top", type=int, default=100, help="number of places in each list (default 100)")
    add_work_options(diagnose)
    add_label_options(diagnose)
    diagnose.add_argument("--json", action="store_true", help="print one JSON object, with lengths in nm")

    export = add("export", run_export, "Write the skeletons of a bundle for other programs.")
    export.add_argument("bundle", metavar="BUNDLE", help="bundle of skeletons (.npz)")
    export.add_argument("folder", metavar="FOLDER", help="new or empty folder to write to")
    export.add_argument("--format", choices=("swc", "precomputed"), default="swc", help="file format (default swc)")
    export.add_argument("--unit", choices=("nm", "um"), default="nm", help="unit of SWC coordinates (default nm)")

    view = add("view", run_view, "Open a segmentation with skeletons and errors in Neuroglancer on this machine.")
    view.add_argument("segmentation", metavar="SEG")
    view.add_argument(
        "--ground-truth", metavar="GT", help="bundle of ground-truth skeletons; marks splits, omissions and mergers"
    )
    view.add_argument("--skeletons", metavar="BUNDLE", help="skeletons of the segmentation; marks likely errors")
    view.add_argument("--raw", metavar="EM", help="integer volume of the same shape, shown below the labels")
    view.add_argument("--voxel-size", type=float_triple, metavar="Z,Y,X", help="voxel size in nm, if no file states it")
    view.add_argument(
        "--trust-voxel-size", action="store_true", help="continue although the file states another voxel size"
    )
    view.add_argument(
        "--tolerance", type=int, default=50, metavar="NODES", help="merge tolerance (default 50; 1 is the strict ERL)"
    )
    view.add_argument("--port", type=int, default=0, help="port to serve on (default: any free one)")
    view.add_argument("--browser", action="store_true", help="open the address in the default browser")


def add_work_options(parser: argparse.ArgumentParser) -> None:
    """Options of commands that make skeletons."""
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count() or 1, help="number of processes (default: one per core)"
    )
    parser.add_argument(
        "--work-dir",
        metavar="FOLDER",
        help="store progress in FOLDER; after a kill the same command continues from it (default: a temporary folder)",
    )


def run_diagnose(arguments: argparse.Namespace) -> None:
    """`axonem-eval diagnose`."""
    from axonem_eval.diagnosis import diagnose
    from axonem_eval.report import render_diagnosis

    for path in filter(None, (arguments.output, arguments.skeletons)):
        demand_folder(path)
    if arguments.segments:
        demand_table_path(arguments.segments)
    skeletons = _skeletons_of(arguments)
    diagnosis = diagnose(skeletons)
    if arguments.skeletons:
        skeletons.save(arguments.skeletons)
    if arguments.segments:
        write_table(Path(arguments.segments), diagnosis.per_segment())
    data = diagnosis.to_json(arguments.top)
    if arguments.output:
        page = render_diagnosis(data, title=Path(arguments.segmentation).name, command=shown_command())
        Path(arguments.output).write_text(page, encoding="utf-8")
    print(json.dumps(data, indent=2) if arguments.json else "\n".join(diagnosis.lines()))
    _say_written([arguments.output, arguments.segments, arguments.skeletons])


def _skeletons_of(arguments: argparse.Namespace) -> "MeasuredSkeletons | SkeletonGraph":
    from axonem_eval.cli.main import ProgressBar
    from axonem_eval.skeletonize import skeletonize_volume

    if arguments.segmentation.endswith(".npz"):
        return load_skeletons(arguments.segmentation)
    bar = ProgressBar()
    skeletons = skeletonize_volume(
        arguments.segmentation,
        arguments.voxel_size or _stated_voxel_size(arguments.segmentation),
        processes=arguments.processes,
        work_dir=arguments.work_dir,
        background_ids=arguments.background_ids,
        trust_voxel_size=arguments.trust_voxel_size,
        on_progress=bar,
        on_warning=warn,
    )
    bar.close()
    return skeletons


def load_skeletons(path: str) -> "MeasuredSkeletons | SkeletonGraph":
    """Skeletons of a bundle, with radius and volume if it has them."""
    from axonem_eval.skeletons import MeasuredSkeletons, SkeletonGraph

    try:
        return MeasuredSkeletons.load(path)
    except InputError as error:
        if error.complaints[0].code != "not_measured":
            raise
        return SkeletonGraph.load(path)


def _stated_voxel_size(path: str) -> FloatTriple:
    from axonem_eval.volumes import open_labels

    with open_labels(path) as volume:
        size, warnings = volume.info.voxel_size_nm_zyx, volume.info.warnings
    if size is None:
        why = next((line for line in warnings if "understood" in line), f"{path}: the file states no voxel size")
        raise InputError.of("no_voxel_size", f"{why}; give it with --voxel-size Z,Y,X in nm")
    return size


def run_export(arguments: argparse.Namespace) -> None:
    """`axonem-eval export`."""
    from axonem_eval.skeletons import export_precomputed, export_swc

    skeletons = load_skeletons(arguments.bundle)
    if arguments.format == "swc":
        n = export_swc(skeletons, arguments.folder, unit=arguments.unit)
    else:
        n = export_precomputed(skeletons, arguments.folder)
    print(f"{n:,} skeletons written to {arguments.folder}")


def run_view(arguments: argparse.Namespace) -> None:
    """`axonem-eval view`: serve until interrupted."""
    import signal
    import threading
    import webbrowser

    from axonem_eval.cli.main import ProgressBar
    from axonem_eval.skeletons import SkeletonGraph
    from axonem_eval.viewer import open_view

    bar = ProgressBar()
    view = open_view(
        arguments.segmentation,
        voxel_size_nm_zyx=arguments.voxel_size,
        ground_truth=SkeletonGraph.load(arguments.ground_truth) if arguments.ground_truth else None,
        predicted=SkeletonGraph.load(arguments.skeletons) if arguments.skeletons else None,
        raw=arguments.raw,
        tolerance_nodes=arguments.tolerance,
        trust_voxel_size=arguments.trust_voxel_size,
        port=arguments.port,
        on_progress=bar,
    )
    bar.close()
    ended = threading.Event()
    for how in (signal.SIGINT, signal.SIGTERM):  # a shell's background jobs ignore Ctrl-C unless told
        signal.signal(how, lambda *_: ended.set())
    print(f"{view.url}\nOpen this address in a browser on this machine. Ctrl-C ends it.", flush=True)
    if arguments.browser:
        webbrowser.open(view.url)
    ended.wait()
    view.close()


def _say_written(paths: Sequence[Any]) -> None:
    for path in paths:
        if path:
            print(f"written to {path}", file=sys.stderr)
