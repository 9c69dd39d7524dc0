"""`axonem-eval`: info, check, skeletonize, import and score on the command line; the other commands are in cli_*.py.

Results go to stdout, progress and errors to stderr. Exit 0: success; 1: a fault in the input, one line for each;
2: wrong usage.
"""

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from axonem_eval.cli.options import add_label_options, warn
from axonem_eval.cli.report import AddCommand, add_report_commands
from axonem_eval.cli.skeletons import add_skeleton_commands, add_work_options
from axonem_eval.cli.tables import demand_folder
from axonem_eval.errors import InputError
from axonem_eval.extras import missing_package
from axonem_eval.spec import FloatTriple, Triple, VolumeSpec, format_triple

EPILOG = """Arrays and sizes are in the order z,y,x. Sizes are in nm. An HDF5 path may name a dataset: file.h5:main.
Exit status: 0 success, 1 a fault in the input (one line for each on stderr), 2 wrong usage."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = build_parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except InputError as error:
        for complaint in error.complaints:
            print(f"axonem-eval: {complaint.message}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        line = missing_package(error)
        if line is None:
            raise
        print(f"axonem-eval: {line}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The command line; the names are a contract that others build on."""
    parser = argparse.ArgumentParser(
        prog="axonem-eval",
        description="Score segmentations of axons by tolerant ERL, as the server does.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text, epilog=EPILOG)
        command.set_defaults(run=run)
        return command

    info = add("info", run_info, "Show what a label file contains, as the server reads it.")
    info.add_argument("labels", metavar="LABELS")
    _add_json(info)

    check = add("check", run_check, "Check that a segmentation fits its volume, as the server does.")
    check.add_argument("segmentation", metavar="SEG")
    check.add_argument("--ground-truth", metavar="GT", help="bundle of skeletons that states shape and voxel size")
    check.add_argument("--shape", type=int_triple, metavar="Z,Y,X", help="shape of the volume in voxels")
    check.add_argument("--voxel-size", type=float_triple, metavar="Z,Y,X", help="voxel size in nm")
    _add_json(check)

    _add_skeletonize(add)
    _add_import(add)
    _add_score(add)
    add_report_commands(add)
    add_skeleton_commands(add, float_triple)
    return parser


def _add_skeletonize(add: AddCommand) -> None:
    skeletonize = add("skeletonize", run_skeletonize, "Make a bundle of ground-truth skeletons from a label volume.")
    skeletonize.add_argument("labels", metavar="LABELS")
    skeletonize.add_argument("--voxel-size", type=float_triple, required=True, metavar="Z,Y,X", help="voxel size in nm")
    skeletonize.add_argument("-o", "--output", required=True, metavar="GT", help="bundle to write (.npz)")
    skeletonize.add_argument(
        "--target-voxel-nm",
        type=float,
        default=30.0,
        help="downsample to near this voxel size before skeletonizing (default 30 nm)",
    )
    add_work_options(skeletonize)
    add_label_options(skeletonize)
    _add_min_length(skeletonize)
    _add_json(skeletonize)


def _add_import(add: AddCommand) -> None:
    importer = add("import", run_import, "Make a bundle of ground-truth skeletons from skeletons of another program.")
    importer.add_argument(
        "skeletons",
        metavar="SKELETONS",
        help="em_erl .npz file, SWC file, folder or .zip of SWC files, folder of precomputed or osteoid files",
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
        "--anyway",
        action="store_true",
        help="import skeletons that lie in a corner of the volume, or whose files state another unit or voxel size",
    )
    _add_min_length(importer)
    _add_json(importer)


def _add_score(add: AddCommand) -> None:
    score = add("score", run_score, "Score a segmentation by tolerant ERL against a bundle of skeletons.")
    score.add_argument("segmentation", metavar="SEG")
    score.add_argument("--ground-truth", required=True, metavar="GT", help="bundle of ground-truth skeletons (.npz)")
    score.add_argument(
        "--tolerance", type=int, default=50, metavar="NODES", help="merge tolerance (default 50; 1 is the strict ERL)"
    )
    score.add_argument(
        "--no-merge-mask", metavar="MASK", help="label file; its non-zero voxels belong to no scored axon"
    )
    score.add_argument(
        "--dense-ground-truth", metavar="LABELS", help="label file of the ground truth; adds ARAND and VOI"
    )
    score.add_argument("--threads", type=int, help="number of threads (default: one per core)")
    add_label_options(score)
    score.add_argument(
        "--resume", metavar="FILE", help="store progress in FILE; after a kill the same command continues from it"
    )
    _add_json(score)


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object, with lengths in nm")


def _add_min_length(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--min-length-um",
        type=float,
        default=0.0,
        metavar="UM",
        help="leave out shorter skeletons; AxonEM scores axons of 5 um or more (default 0: keep all)",
    )


def _triple(text: str, number: type) -> tuple[Any, Any, Any]:
    parts = text.replace("x", ",").split(",")
    try:
        z, y, x = (number(p) for p in parts)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not three numbers Z,Y,X, such as 30,8,8") from None
    if not all(0 < n < math.inf for n in (z, y, x)):
        raise argparse.ArgumentTypeError(f"{text!r}: each of Z,Y,X must be positive")
    return z, y, x


def int_triple(text: str) -> Triple:
    """Parse ``1000,3750,3750``."""
    return _triple(text, int)


def float_triple(text: str) -> FloatTriple:
    """Parse ``30,8,8``."""
    return _triple(text, float)


class ProgressBar:
    """A tqdm bar for each stage, on stderr and only on a terminal."""

    def __init__(self) -> None:
        self._stage = ""
        self._bar: Any = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        from tqdm import tqdm

        if stage != self._stage or self._bar is None:
            self.close()
            self._stage = stage
            self._bar = tqdm(total=total, desc=stage, file=sys.stderr, disable=None, leave=False)
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def stage(self, name: str) -> Callable[[int, int], None]:
        """A callback of (done, total) for one stage."""
        return lambda done, total: self(name, done, total)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _print(as_json: bool, data: dict[str, Any], lines: Sequence[str]) -> None:
    print(json.dumps(data, indent=2) if as_json else "\n".join(lines))


def run_info(arguments: argparse.Namespace) -> None:
    """`axonem-eval info`."""
    from axonem_eval.volumes import open_labels

    with open_labels(arguments.labels) as volume:
        info = volume.info
    _print(arguments.json, _info_json(info), _info_lines(info))
    for line in info.warnings:
        warn(line)


def _info_json(info: Any) -> dict[str, Any]:
    return {
        "format": info.format,
        "dataset": info.dataset,
        "shape": list(info.shape_zyx),
        "dtype": info.dtype,
        "voxel_size_nm": None if info.voxel_size_nm_zyx is None else list(info.voxel_size_nm_zyx),
        "chunks": list(info.chunk_shape_zyx),
        "compression": info.compression,
        "voxels": info.voxels,
        "stored_bytes": info.stored_bytes,
        "chunks_stored": info.chunks_stored,
        "chunks_total": info.chunks_total,
        "offset": info.offset,
        "warnings": list(info.warnings),
    }


def _info_lines(info: Any) -> list[str]:
    size = "not stated" if info.voxel_size_nm_zyx is None else f"{format_triple(info.voxel_size_nm_zyx)} nm (z,y,x)"
    stored = f"{info.stored_bytes / 1e6:,.1f} MB"
    if info.chunks_stored is not None:
        stored += f", {info.chunks_stored:,} of {info.chunks_total:,} chunks"
    lines = [
        f"format       {info.format}, dataset {info.dataset!r}",
        f"shape        {format_triple(info.shape_zyx)} voxels (z,y,x), {info.voxels / 1e6:,.1f} Mvoxel",
        f"dtype        {info.dtype}",
        f"voxel size   {size}",
        f"chunks       {format_triple(info.chunk_shape_zyx)}, compression {info.compression}",
        f"stored       {stored}",
    ]
    return [*lines, f"offset       {info.offset}, as stated; it is not used"] if info.offset else lines


def run_check(arguments: argparse.Namespace) -> None:
    """`axonem-eval check`."""
    from axonem_eval.volumes import check_labels

    bar = ProgressBar()
    info = check_labels(arguments.segmentation, _spec(arguments), on_progress=bar.stage("check"))
    bar.close()
    for line in info.warnings:
        warn(line)
    _print(
        arguments.json, {"ok": True, **_info_json(info)}, [*_info_lines(info), "ok: the server would accept this file"]
    )


def _spec(arguments: argparse.Namespace) -> VolumeSpec:
    from axonem_eval.skeletons import SkeletonGraph

    if arguments.ground_truth:
        return SkeletonGraph.load(arguments.ground_truth).spec
    if arguments.shape and arguments.voxel_size:
        return VolumeSpec(arguments.shape, arguments.voxel_size)
    build_parser().error("check needs --ground-truth GT, or both --shape Z,Y,X and --voxel-size Z,Y,X")


def run_skeletonize(arguments: argparse.Namespace) -> None:
    """`axonem-eval skeletonize`."""
    from axonem_eval.skeletonize import skeletonize_volume

    demand_folder(arguments.output)
    bar = ProgressBar()
    skeletons = skeletonize_volume(
        arguments.labels,
        arguments.voxel_size,
        min_length_um=arguments.min_length_um,
        target_voxel_nm=arguments.target_voxel_nm,
        processes=arguments.processes,
        work_dir=arguments.work_dir,
        background_ids=arguments.background_ids,
        trust_voxel_size=arguments.trust_voxel_size,
        on_progress=bar,
        on_warning=warn,
    )
    bar.close()
    skeletons.save(arguments.output)
    _print_saved(skeletons.graph, arguments)


def run_import(arguments: argparse.Namespace) -> None:
    """`axonem-eval import`."""
    from axonem_eval.skeletons import import_skeletons

    demand_folder(arguments.output)
    graph = import_skeletons(
        arguments.skeletons,
        VolumeSpec(arguments.shape, arguments.voxel_size),
        unit=arguments.unit,
        axes=arguments.axes,
        min_length_um=arguments.min_length_um,
        anyway=arguments.anyway,
    )
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
    _print(arguments.json, data, lines)


def run_score(arguments: argparse.Namespace) -> None:
    """`axonem-eval score`."""
    from axonem_eval.scoring import sample_and_count, score_nodes
    from axonem_eval.skeletons import SkeletonGraph

    if arguments.resume and arguments.dense_ground_truth:
        build_parser().error("--resume cannot store dense counts: leave out --dense-ground-truth")
    graph = SkeletonGraph.load(arguments.ground_truth)
    bar = ProgressBar()
    sample, dense = sample_and_count(
        arguments.segmentation,
        graph,
        no_merge_mask=arguments.no_merge_mask,
        dense_ground_truth=arguments.dense_ground_truth,
        background_ids=arguments.background_ids,
        trust_voxel_size=arguments.trust_voxel_size,
        threads=arguments.threads,
        on_progress=bar,
        on_warning=warn,
        checkpoint=arguments.resume,
    )
    bar.close()
    report = score_nodes(graph, sample, tolerance_nodes=arguments.tolerance)
    data, lines = report.to_json(), report.lines()
    if dense is not None:
        data |= {"arand": dense.arand, "voi_split": dense.voi_split, "voi_merge": dense.voi_merge}
        data["dense"] = dense.to_json()
        lines += dense.lines()
    _print(arguments.json, data, lines)
