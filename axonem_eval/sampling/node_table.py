"""Labels at the nodes of public skeletons, as a file: what a participant may submit in place of a volume."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.files import read_npz, write_atomically
from axonem_eval.sampling.sample import NodeSample

_SHA256 = re.compile(r"[0-9a-f]{64}")
REMEDY = "Make it with `axonem-eval nodes SEG --ground-truth GT -o TABLE.npz`"


@dataclass(frozen=True)
class NodeTable:
    """The label at each node, in the order of one set of skeletons.

    label : (n_nodes,) uint64.   nodes_sha256 : of those skeletons (``SkeletonGraph.nodes_sha256``).
    """

    label: NDArray[np.uint64]
    nodes_sha256: str

    def save(self, path: str | Path) -> None:
        """Write to exactly ``path``, as .npz without pickles."""
        arrays = {"label": self.label, "nodes_sha256": np.array(self.nodes_sha256)}
        write_atomically(path, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))

    @classmethod
    def load(cls, path: str | Path) -> "NodeTable":
        """Read what ``save`` wrote. Raises InputError for any other file."""
        name, arrays = Path(path).name, read_npz(path)
        label, stated = arrays.get("label"), arrays.get("nodes_sha256")
        if label is None or stated is None:
            held = ", ".join(sorted(arrays)[:6]) or "nothing"
            raise _no_table(name, f"it holds {held}; expected label and nodes_sha256")
        if label.ndim != 1 or stated.size != 1 or not _SHA256.fullmatch(str(stated.ravel()[0])):
            raise _no_table(name, f"label has shape {label.shape}, or nodes_sha256 is no SHA-256")
        return cls(NodeSample.of_labels(label).node_segment, str(stated.ravel()[0]))

    def sample(self, n_nodes: int, nodes_sha256: str, name: str) -> NodeSample:
        """The labels as read from a volume. Raises InputError where the table is of other skeletons."""
        if len(self.label) == n_nodes and self.nodes_sha256 == nodes_sha256:
            return NodeSample(self.label)
        found = f"{len(self.label):,} labels for {n_nodes:,} nodes"
        if len(self.label) == n_nodes:
            found = f"as many labels as there are nodes ({n_nodes:,}), but in the order of another set"
        raise InputError.of(
            "other_nodes",
            f"{name}: the table is of other skeletons ({found}; theirs {self.nodes_sha256[:12]}…, ours "
            f"{nodes_sha256[:12]}…). Download this volume's ground truth again, and make the table with it",
        )


def _no_table(name: str, what: str) -> InputError:
    return InputError.of("no_node_table", f"{name}: no table of labels at nodes: {what}. {REMEDY}")
