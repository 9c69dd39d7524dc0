"""Scores of a segmentation: tolerant ERL, voxel metrics, where errors are and what they cost."""

from axonem_eval.scoring.analysis import (
    AxonTable,
    axon_table,
    erl_lost_nm,
    error_counts,
    half_cable_run_nm,
    length_bins,
    run_survival,
    tolerance_curve,
)
from axonem_eval.scoring.bootstrap import (
    DEFAULT_LEVEL,
    DEFAULT_RESAMPLES,
    Interval,
    erl_interval,
    paired_bootstrap,
    resampled_sums,
)
from axonem_eval.scoring.compare import compare_samples
from axonem_eval.scoring.dense import MAX_PAIRS, DenseScores, OverlapCounter, OverlapTable, dense_scores, truth_table
from axonem_eval.scoring.dense_bootstrap import DenseBootstrap, dense_bootstrap
from axonem_eval.scoring.erl import METRIC_VERSION, ErlReport, RunTable, run_table, score_nodes
from axonem_eval.scoring.expression import Expression
from axonem_eval.scoring.figures import FIGURES, Figure
from axonem_eval.scoring.files import DenseTruth, dense_only, no_skeletons, sample_and_count, sample_file
from axonem_eval.scoring.fixed_errors import erl_fixed_nm
from axonem_eval.scoring.headline import Headline, figures_of, headline, require_ground_truth
from axonem_eval.scoring.located_errors import COLORS, KINDS, MERGER, LocatedErrors, locate_errors
from axonem_eval.scoring.node_overlap import NodeScores, node_scores
from axonem_eval.scoring.restrict import cut_to_region, restrict
from axonem_eval.scoring.variant import (
    AXONEM,
    CREMI_SCORE,
    DEFAULT_TOLERANCE_NODES,
    VARIANTS,
    DenseRule,
    HeadlineRule,
    ScoringVariant,
    variant_named,
)

__all__ = [
    "AXONEM",
    "COLORS",
    "CREMI_SCORE",
    "DEFAULT_LEVEL",
    "DEFAULT_RESAMPLES",
    "DEFAULT_TOLERANCE_NODES",
    "FIGURES",
    "KINDS",
    "MAX_PAIRS",
    "MERGER",
    "METRIC_VERSION",
    "VARIANTS",
    "AxonTable",
    "DenseBootstrap",
    "DenseRule",
    "DenseScores",
    "DenseTruth",
    "ErlReport",
    "Expression",
    "Figure",
    "Headline",
    "HeadlineRule",
    "Interval",
    "LocatedErrors",
    "NodeScores",
    "OverlapCounter",
    "OverlapTable",
    "RunTable",
    "ScoringVariant",
    "axon_table",
    "compare_samples",
    "cut_to_region",
    "dense_bootstrap",
    "dense_only",
    "dense_scores",
    "erl_fixed_nm",
    "erl_interval",
    "erl_lost_nm",
    "error_counts",
    "figures_of",
    "half_cable_run_nm",
    "headline",
    "length_bins",
    "locate_errors",
    "no_skeletons",
    "node_scores",
    "paired_bootstrap",
    "require_ground_truth",
    "resampled_sums",
    "restrict",
    "run_survival",
    "run_table",
    "sample_and_count",
    "sample_file",
    "score_nodes",
    "tolerance_curve",
    "truth_table",
    "variant_named",
]
