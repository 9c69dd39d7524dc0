"""`axonem-eval report` and `compare`: their options and what they do."""

import argparse
import json
import os
from contextlib import closing
from pathlib import Path

from axonem_eval.cli.options import (
    ProgressBar,
    add_dense_ground_truth,
    add_ground_truth,
    add_json,
    add_label_options,
    add_labels,
    dense_truth_of,
    read_options,
    shown_command,
    variant_of,
)
from axonem_eval.cli.tables import require_folder, require_table_path, write_table
from axonem_eval.errors import InputError


def _add_report(report: argparse.ArgumentParser) -> None:
    add_labels(report)
    _add_scoring(report)
    add_dense_ground_truth(report, "adds ARAND and VOI")
    report.add_argument("-o", "--output", metavar="HTML", help="page to write (one self-contained file)")
    report.add_argument(
        "--axons", metavar="TABLE", help="also write a table with a row per axon: .csv, .json or .parquet"
    )
    report.add_argument("--errors", metavar="TABLE", help="also write a table with a row per error and its position")
    report.add_argument("--aggregates-only", action="store_true", help="leave out all single axons and all positions")


def _add_compare(compare: argparse.ArgumentParser) -> None:
    add_labels(compare, "a", "A")
    add_labels(compare, "b", "B")
    _add_scoring(compare)


def _add_scoring(parser: argparse.ArgumentParser) -> None:
    add_ground_truth(parser)
    parser.add_argument("--seed", type=int, default=0, help="seed of the bootstrap (default 0)")
    parser.add_argument("--threads", type=int, metavar="N", help="number of threads (default: one per core)")
    add_label_options(parser)
    add_json(parser)


def run_report(arguments: argparse.Namespace) -> None:
    """`axonem-eval report`."""
    from axonem_eval.report import ReportViews, full_report, render_report
    from axonem_eval.scoring import restrict, run_table, sample_and_count
    from axonem_eval.skeletons import SkeletonGraph

    _require_output(arguments)
    variant = variant_of(arguments)
    graph = SkeletonGraph.load(arguments.ground_truth)
    with closing(ProgressBar()) as bar:
        sample, dense = sample_and_count(
            arguments.segmentation,
            graph,
            read_options(arguments),
            no_merge_mask=arguments.no_merge_mask,
            dense=dense_truth_of(arguments, variant),
            threads=arguments.threads,
            on_progress=bar,
        )
    public = not arguments.aggregates_only
    report = full_report(graph, sample, variant=variant, dense=dense, public=public, seed=arguments.seed)
    graph, sample = restrict(graph, sample, variant)
    table = run_table(graph, sample, variant)
    views = ReportViews.of(graph, sample, table, variant.tolerance_nodes) if public else None
    if views and arguments.axons:
        write_table(Path(arguments.axons), views.axons.columns())
    if views and arguments.errors:
        write_table(Path(arguments.errors), views.errors.columns())
    if arguments.output:
        page = render_report(
            report,
            title=Path(arguments.segmentation).name,
            subtitle=f"scored against {Path(arguments.ground_truth).name}",
            longest=views.longest if views else (),
            drawings=views.worst_drawn if views else (),
            command=shown_command(),
        )
        Path(arguments.output).write_text(page, encoding="utf-8")
    if arguments.json:
        print(json.dumps(report, indent=2))
    elif arguments.output:
        print(f"written to {arguments.output}")


def _require_output(arguments: argparse.Namespace) -> None:
    if not (arguments.output or arguments.json or arguments.axons or arguments.errors):
        raise InputError.of(
            "no_output", "report has nothing to write: give -o REPORT.html, --axons, --errors or --json"
        )
    if arguments.output:
        require_folder(arguments.output)
    for table in (arguments.axons, arguments.errors):
        if table and arguments.aggregates_only:
            raise InputError.of(
                "aggregates_only",
                f"{table}: --aggregates-only makes no table of axons or errors; leave one of the two out",
            )
        if table:
            require_table_path(table)


def run_compare(arguments: argparse.Namespace) -> None:
    """`axonem-eval compare`."""
    from axonem_eval.scoring import compare_samples, sample_file
    from axonem_eval.skeletons import SkeletonGraph

    variant = variant_of(arguments)
    graph = SkeletonGraph.load(arguments.ground_truth)
    with closing(ProgressBar()) as bar:
        samples = [
            sample_file(
                path,
                graph,
                read_options(arguments),
                no_merge_mask=arguments.no_merge_mask,
                threads=arguments.threads,
                on_progress=bar,
            )
            for path in (arguments.a, arguments.b)
        ]
    compared = compare_samples(graph, *samples, variant=variant, seed=arguments.seed)
    if arguments.json:
        print(json.dumps(compared.to_json(), indent=2))
    else:
        print("\n".join(compared.lines(*_names(arguments.a, arguments.b))))


def _names(a: str, b: str) -> tuple[str, str]:
    """File names, or as much of the paths as distinguishes them."""
    names = Path(a).name, Path(b).name
    if names[0] != names[1]:
        return names
    if os.path.abspath(a) == os.path.abspath(b):
        return names
    common = os.path.commonpath([os.path.abspath(a), os.path.abspath(b)])
    return os.path.relpath(a, common), os.path.relpath(b, common)


COMMANDS = {"report": (_add_report, run_report), "compare": (_add_compare, run_compare)}
