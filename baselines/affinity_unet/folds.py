"""Ensembles by cross-validation: one network a fold, whose mean is what inference takes.

Tissue that a network learnt from does not show its mergers. So each fold keeps a part of the data from its network, and
the threshold is chosen on all these parts together. Every part is still learnt by some network.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from baselines.common.checkpoint import load_checkpoint, save_checkpoint
from baselines.common.evaluate import Scores
from baselines.common.provenance import file_checksum


def join_checkpoints(checkpoints: Sequence[Path], target: Path) -> Path:
    """Write one checkpoint with the networks of several, which inference averages; keep it where it is up to date."""
    sums = [file_checksum(path) for path in checkpoints]
    if target.exists() and load_checkpoint(target).get("joined") == sums:
        return target
    found = [load_checkpoint(path) for path in checkpoints]
    networks = [weights for each in found for weights in (*each.get("earlier", []), each["model"])]
    state = {"step": found[-1]["step"], "config": found[-1]["config"], "joined": sums}
    save_checkpoint(target, {**state, "model": networks[-1], "earlier": networks[:-1]})
    return target


def mean_of_sweeps(sweeps: Sequence[Sequence[Scores]]) -> list[Scores]:
    """Mean of several sweeps over the same thresholds, row by row; each sweep has the same weight.

    A score that one of the sweeps lacks (the ERL without skeletons) is left out.
    """
    return [_mean(rows) for rows in zip(*sweeps, strict=True)]


def _mean(rows: Sequence[Scores]) -> Scores:
    shared = set.intersection(*(set(row) for row in rows))
    found: dict[str, Any] = {}
    for name in (name for name in rows[0] if name in shared):
        values = [row[name] for row in rows]
        if all(isinstance(value, dict) for value in values):
            found[name] = _mean(values)
        elif all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            found[name] = float(np.mean(values))
    return found
