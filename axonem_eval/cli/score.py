"""`axonem-eval info`, `check`, `score` and `nodes`: their options and what they do."""

import argparse
import os
from contextlib import closing
from functools import partial
from typing import Any

from axonem_eval.cli.options import (
    ProgressBar,
    add_dense_ground_truth,
    add_file_rule,
    add_ground_truth,
    add_json,
    add_label_options,
    add_labels,
    dense_truth_of,
    file_rule,
    float_triple,
    int_triple,
    print_result,
    read_options,
    variant_of,
    warn,
)
from axonem_eval.files import require_target
from axonem_eval.sizes import size_in_words
from axonem_eval.spec import VolumeSpec, format_triple
from axonem_eval.submission_rule import NODE_TABLE


def _add_info(info: argparse.ArgumentParser) -> None:
    add_labels(info, "labels", "LABELS")
    add_json(info)


def _add_check(check: argparse.ArgumentParser) -> None:
    add_labels(check)
    check.add_argument("--ground-truth", metavar="GT", help="bundle of skeletons that states shape and voxel size")
    check.add_argument("--shape", type=int_triple, metavar="Z,Y,X", help="shape of the volume in voxels")
    check.add_argument("--voxel-size", type=float_triple, metavar="Z,Y,X", help="voxel size in nm")
    add_file_rule(check)
    add_json(check)


def _add_score(score: argparse.ArgumentParser) -> None:
    add_labels(score)
    add_ground_truth(score, required=False)
    add_dense_ground_truth(score, "adds ARAND, VOI and the CREMI score, and is enough for snemi3d-gc and cremi")
    _add_sampling(score)


def run_info(arguments: argparse.Namespace) -> None:
    """`axonem-eval info`."""
    from axonem_eval.volumes import open_labels

    with open_labels(arguments.labels) as volume:
        info = volume.info
    print_result(arguments.json, _info_json(info), _info_lines(info))
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
    stored = size_in_words(info.stored_bytes)
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

    with closing(ProgressBar()) as bar:
        info = check_labels(
            arguments.segmentation, _spec(arguments), rule=file_rule(arguments), on_progress=partial(bar, "check")
        )
    for line in info.warnings:
        warn(line)
    print_result(
        arguments.json, {"ok": True, **_info_json(info)}, [*_info_lines(info), "ok: the server would accept this file"]
    )


def _spec(arguments: argparse.Namespace) -> VolumeSpec:
    from axonem_eval.skeletons import SkeletonGraph

    if arguments.ground_truth:
        return SkeletonGraph.load(arguments.ground_truth).spec
    if not (arguments.shape and arguments.voxel_size):
        arguments.wrong_usage("check needs --ground-truth GT, or both --shape Z,Y,X and --voxel-size Z,Y,X")
    return VolumeSpec(arguments.shape, arguments.voxel_size)


def run_score(arguments: argparse.Namespace) -> None:
    """`axonem-eval score`."""
    from axonem_eval.scoring import (
        dense_only,
        figures_of,
        headline,
        node_scores,
        require_ground_truth,
        sample_and_count,
        score_nodes,
    )
    from axonem_eval.skeletons import SkeletonGraph

    if arguments.resume and arguments.dense_ground_truth:
        arguments.wrong_usage("--resume cannot store dense counts: leave out --dense-ground-truth")
    if not (arguments.ground_truth or arguments.dense_ground_truth):
        arguments.wrong_usage("score needs --ground-truth GT, or --dense-ground-truth LABELS with a variant of voxels")
    variant = variant_of(arguments)
    graph = SkeletonGraph.load(arguments.ground_truth) if arguments.ground_truth else None
    require_ground_truth(variant, skeletons=graph is not None, dense=bool(arguments.dense_ground_truth))
    with closing(ProgressBar()) as bar:
        sample, dense = sample_and_count(
            arguments.segmentation,
            graph or dense_only(arguments.dense_ground_truth),
            read_options(arguments),
            no_merge_mask=arguments.no_merge_mask if variant.no_merge_mask else None,
            dense=dense_truth_of(arguments, variant),
            threads=arguments.threads,
            on_progress=bar,
            checkpoint=arguments.resume,
        )
    report = nodes = None
    data: dict[str, Any] = {"variant": variant.to_json()}
    lines: list[str] = []
    if graph is not None:
        report, nodes = score_nodes(graph, sample, variant=variant), node_scores(graph, sample, variant)
        data |= {**report.to_json(), "over_nodes": nodes.to_json()}
        lines += [*report.lines(), *nodes.lines()]
    if dense is not None:
        data |= {"arand": dense.arand, "voi_split": dense.voi_split, "voi_merge": dense.voi_merge}
        data["dense"] = dense.to_json()
        lines += dense.lines()
    ranked = headline(variant, figures_of(report=report, nodes=nodes, dense=dense))
    # An ERL stands first in the report already, and its last line names the rule.
    told = [] if ranked.name == "ERL" else [ranked.line()]
    print_result(arguments.json, data | {"headline": ranked.to_json()}, [*told, *lines])


def _add_sampling(command: argparse.ArgumentParser) -> None:
    """How the labels at the nodes are read, and how the result is printed."""
    command.add_argument("--threads", type=int, metavar="N", help="number of threads (default: one per core)")
    add_label_options(command)
    command.add_argument(
        "--resume", metavar="FILE", help="store progress in FILE; after a kill the same command continues from it"
    )
    add_json(command)


def _add_nodes(nodes: argparse.ArgumentParser) -> None:
    add_labels(nodes)
    nodes.add_argument("--ground-truth", required=True, metavar="GT", help="bundle of ground-truth skeletons (.npz)")
    nodes.add_argument("-o", "--output", required=True, metavar="TABLE", help="table to write (.npz)")
    _add_sampling(nodes)


def run_nodes(arguments: argparse.Namespace) -> None:
    """`axonem-eval nodes`."""
    from axonem_eval.sampling import NodeTable
    from axonem_eval.scoring import sample_file
    from axonem_eval.skeletons import SkeletonGraph

    require_target(arguments.output, arguments.segmentation, arguments.ground_truth, suffixes=(NODE_TABLE,))
    graph = SkeletonGraph.load(arguments.ground_truth)
    with closing(ProgressBar()) as bar:
        sample = sample_file(
            arguments.segmentation,
            graph,
            read_options(arguments),
            threads=arguments.threads,
            on_progress=bar,
            checkpoint=arguments.resume,
        )
    table = NodeTable(sample.node_segment, graph.nodes_sha256())
    table.save(arguments.output)
    size = os.path.getsize(arguments.output)
    data = {"output": arguments.output, "nodes": graph.n_nodes, "nodes_sha256": table.nodes_sha256, "bytes": size}
    lines = [
        f"{graph.n_nodes:,} labels at nodes, {size_in_words(size)}, for the nodes {table.nodes_sha256[:12]}",
        f"written to {arguments.output}; submit it instead of the volume, if the benchmark takes node tables",
    ]
    print_result(arguments.json, data, lines)


COMMANDS = {
    "info": (_add_info, run_info),
    "check": (_add_check, run_check),
    "score": (_add_score, run_score),
    "nodes": (_add_nodes, run_nodes),
}
