"""`axonem-eval skeletonize`, `import`, `diagnose`, `export` and `view`: their options and what they do."""

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from axonem_eval.cli.options import (
    ProgressBar,
    add_grid,
    add_json,
    add_label_options,
    add_labels,
    add_processes,
    add_tolerance,
    float_triple,
    id_list,
    int_triple,
    offset_triple,
    print_result,
    read_options,
    shown_command,
    submission_rule,
)
from axonem_eval.cli.tables import require_folder, require_table_path, write_table
from axonem_eval.errors import InputError
from axonem_eval.files import require_target
from axonem_eval.spec import FloatTriple, VolumeSpec

if TYPE_CHECKING:
    from axonem_eval.skeletons import SkeletonGraph


def _add_skeletonize(skeletonize: argparse.ArgumentParser) -> None:
    add_labels(skeletonize, "labels", "LABELS")
    skeletonize.add_argument("--voxel-size", type=float_triple, required=True, metavar="Z,Y,X", help="voxel size in nm")
    skeletonize.add_argument("-o", "--output", required=True, metavar="GT", help="bundle to write (.npz)")
    skeletonize.add_argument(
        "--target-voxel-nm",
        type=float,
        default=30.0,
        metavar="NM",
        help="downsample to near this voxel size before skeletonizing (default 30 nm)",
    )
    skeletonize.add_argument(
        "--ids", type=id_list, default=(), metavar="ID,ID", help="labels that become skeletons (default: all)"
    )
    skeletonize.add_argument(
        "--ends-inside",
        type=int,
        default=0,
        metavar="VOXELS",
        help="let branches end this many (downsampled) voxels below the surface of the label (default 0)",
    )
    add_grid(skeletonize)
    _add_work_options(skeletonize)
    add_label_options(skeletonize)
    _add_min_length(skeletonize)
    add_json(skeletonize)


def _add_import(importer: argparse.ArgumentParser) -> None:
    importer.add_argument(
        "skeletons",
        metavar="SKELETONS",
        help="em_erl .npz file, SWC file, folder or .zip of SWC files, folder of precomputed or osteoid files, "
        "networkx pickle of AxonEM, XPRESS or NISB, HDF5 file with a group for each skeleton",
    )
    importer.add_argument("--voxel-size", type=float_triple, required=True, metavar="Z,Y,X", help="voxel size in nm")
    importer.add_argument(
        "--shape", type=int_triple, required=True, metavar="Z,Y,X", help="shape of the volume in voxels"
    )
    importer.add_argument("-o", "--output", required=True, metavar="GT", help="bundle to write (.npz)")
    importer.add_argument(
        "--unit", choices=("nm", "um", "voxel"), default="nm", help="unit of the coordinates in the files (default nm)"
    )
    importer.add_argument(
        "--axes", choices=("xyz", "zyx"), default="xyz", help="order of SWC and precomputed axes (default xyz)"
    )
    importer.add_argument(
        "--offset",
        type=offset_triple,
        metavar="Z,Y,X",
        help="corner of the volume in the coordinates of a pickle or HDF5 file, in nm",
    )
    importer.add_argument(
        "--drop-outside",
        action="store_true",
        help="leave out nodes of a pickle or HDF5 file that lie outside the volume, with their edges",
    )
    importer.add_argument(
        "--anyway",
        action="store_true",
        help="import skeletons that lie in a corner of the volume, or whose files state another unit or voxel size",
    )
    add_grid(importer)
    _add_min_length(importer)
    add_json(importer)


def _add_diagnose(diagnose: argparse.ArgumentParser) -> None:
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
    diagnose.add_argument(
        "--top", type=int, default=100, metavar="N", help="number of places in each list (default 100)"
    )
    _add_work_options(diagnose)
    add_label_options(diagnose)
    add_json(diagnose)


def _add_export(export: argparse.ArgumentParser) -> None:
    export.add_argument("bundle", metavar="BUNDLE", help="bundle of skeletons (.npz)")
    export.add_argument("folder", metavar="FOLDER", help="new or empty folder to write to")
    export.add_argument("--format", choices=("swc", "precomputed"), default="swc", help="file format (default swc)")
    export.add_argument("--unit", choices=("nm", "um"), default="nm", help="unit of SWC coordinates (default nm)")


def _add_view(view: argparse.ArgumentParser) -> None:
    add_labels(view)
    view.add_argument(
        "--ground-truth", metavar="GT", help="bundle of ground-truth skeletons; marks splits, omissions and mergers"
    )
    view.add_argument("--skeletons", metavar="BUNDLE", help="skeletons of the segmentation; marks likely errors")
    view.add_argument(
        "--raw", metavar="EM", help="grey values to show below the labels: an integer volume of the same shape"
    )
    view.add_argument("--voxel-size", type=float_triple, metavar="Z,Y,X", help="voxel size in nm, if no file states it")
    view.add_argument(
        "--trust-voxel-size", action="store_true", help="continue although the file states another voxel size"
    )
    add_tolerance(view)
    view.add_argument("--port", type=int, default=0, help="port to serve on (default: any free one)")
    view.add_argument("--browser", action="store_true", help="open the address in the default browser")


def _add_min_length(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--min-length-um",
        type=float,
        default=0.0,
        metavar="UM",
        help="leave out shorter skeletons; AxonEM scores axons of 5 um or more (default 0: keep all)",
    )


def _add_work_options(parser: argparse.ArgumentParser) -> None:
    """Options of commands that make skeletons."""
    add_processes(parser)
    parser.add_argument(
        "--work-dir",
        metavar="FOLDER",
        help="store progress in FOLDER; after a kill the same command continues from it (default: a temporary folder)",
    )


def run_skeletonize(arguments: argparse.Namespace) -> None:
    """`axonem-eval skeletonize`."""
    from axonem_eval.skeletonize import SkeletonOptions, skeletonize_labels
    from axonem_eval.skeletons import place_on_grid

    require_target(arguments.output, arguments.labels)
    with closing(ProgressBar()) as bar:
        skeletons = skeletonize_labels(
            arguments.labels,
            arguments.voxel_size,
            SkeletonOptions(
                label_ids=arguments.ids,
                ends_inside_voxels=max(0, arguments.ends_inside),
                min_length_um=arguments.min_length_um,
                target_voxel_nm=arguments.target_voxel_nm,
            ),
            reading=read_options(arguments),
            processes=arguments.processes,
            work_dir=arguments.work_dir,
            on_progress=bar,
        )
    skeletons = place_on_grid(skeletons, submission_rule(arguments, skeletons.spec))
    skeletons.save(arguments.output)
    _print_saved(skeletons, arguments)


def run_import(arguments: argparse.Namespace) -> None:
    """`axonem-eval import`."""
    from axonem_eval.sandbox import unpickle_confined
    from axonem_eval.skeletons import ImportOptions, import_any, place_on_grid

    require_target(arguments.output, arguments.skeletons)
    spec = VolumeSpec(arguments.shape, arguments.voxel_size)
    rule = submission_rule(arguments, spec)
    graph = import_any(
        arguments.skeletons,
        spec,
        ImportOptions(arguments.unit, arguments.axes, arguments.anyway),
        unpickle=unpickle_confined,
        offset_nm_zyx=arguments.offset,
        drop_outside=arguments.drop_outside,
        min_length_um=arguments.min_length_um,
    )
    graph = place_on_grid(graph, rule, drop_outside=arguments.drop_outside)
    graph.save(arguments.output)
    _print_saved(graph, arguments)


def _print_saved(graph: Any, arguments: argparse.Namespace) -> None:
    data = {
        "output": arguments.output,
        "skeletons": graph.n_skeletons,
        "nodes": graph.n_nodes,
        "edges": graph.n_edges,
        "length_nm": float(graph.skeleton_length_nm.sum()),
        "gt_erl_nm": graph.gt_erl_nm,
        "mean_node_spacing_nm": graph.mean_node_spacing_nm,
        "checksum": graph.checksum(),
        "notes": graph.notes,
    }
    spacing = graph.mean_node_spacing_nm
    lines = [
        f"{graph.n_skeletons:,} skeletons, {graph.n_nodes:,} nodes, {data['length_nm'] / 1e3:,.1f} um of cable",
        f"mean node spacing {spacing:.1f} nm: 50 nodes are {spacing * 0.05:.2f} um",
        f"ground-truth ERL {graph.gt_erl_nm / 1e3:.3f} um",
        *(f"note: {note}" for note in graph.notes),
        f"written to {arguments.output}",
    ]
    print_result(arguments.json, data, lines)


def run_diagnose(arguments: argparse.Namespace) -> None:
    """`axonem-eval diagnose`."""
    from axonem_eval.diagnosis import diagnose, diagnosis_json, summary_lines
    from axonem_eval.report import render_diagnosis

    for path in filter(None, (arguments.output, arguments.skeletons)):
        require_folder(path)
    if arguments.segments:
        require_table_path(arguments.segments)
    skeletons = _skeletons_of(arguments)
    diagnosis = diagnose(skeletons)
    if arguments.skeletons:
        skeletons.save(arguments.skeletons)
    if arguments.segments:
        write_table(Path(arguments.segments), diagnosis.per_segment())
    data = diagnosis_json(diagnosis, arguments.top)
    if arguments.output:
        page = render_diagnosis(data, title=Path(arguments.segmentation).name, command=shown_command())
        Path(arguments.output).write_text(page, encoding="utf-8")
    print(json.dumps(data, indent=2) if arguments.json else "\n".join(summary_lines(diagnosis)))
    _say_written([arguments.output, arguments.segments, arguments.skeletons])


def _skeletons_of(arguments: argparse.Namespace) -> "SkeletonGraph":
    from axonem_eval.skeletonize import skeletonize_labels
    from axonem_eval.skeletons import SkeletonGraph

    if arguments.segmentation.endswith(".npz"):
        return SkeletonGraph.load(arguments.segmentation)
    with closing(ProgressBar()) as bar:
        skeletons = skeletonize_labels(
            arguments.segmentation,
            arguments.voxel_size or _stated_voxel_size(arguments.segmentation),
            reading=read_options(arguments),
            processes=arguments.processes,
            work_dir=arguments.work_dir,
            on_progress=bar,
        )
    return skeletons


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
    from axonem_eval.skeletons import SkeletonGraph, export_precomputed, export_swc

    skeletons = SkeletonGraph.load(arguments.bundle)
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

    from axonem_eval.skeletons import SkeletonGraph
    from axonem_eval.viewer import Shown, open_view

    with closing(ProgressBar()) as bar:
        shown = Shown(
            arguments.segmentation,
            voxel_size_nm_zyx=arguments.voxel_size,
            trust_voxel_size=arguments.trust_voxel_size,
            ground_truth=SkeletonGraph.load(arguments.ground_truth) if arguments.ground_truth else None,
            predicted=SkeletonGraph.load(arguments.skeletons) if arguments.skeletons else None,
            raw=arguments.raw,
        )
        view = open_view(shown, tolerance_nodes=arguments.tolerance, port=arguments.port, on_progress=bar)
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


COMMANDS = {
    "skeletonize": (_add_skeletonize, run_skeletonize),
    "import": (_add_import, run_import),
    "diagnose": (_add_diagnose, run_diagnose),
    "export": (_add_export, run_export),
    "view": (_add_view, run_view),
}
