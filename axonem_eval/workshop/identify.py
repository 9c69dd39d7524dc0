"""Batches of similar segments, to be identified at once, and what each batch probably is.

The AxonEM authors identified their segments in this way: volume, path length and width of each, K-means with K = 10,
and each group looked at by a person (Wei et al., MICCAI 2021, section 2.2).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from axonem_eval.workshop.segments import Segments

GROUPS = 10
SEED = 0
BATCH_SEGMENTS = 16
# Segments that are labelled already and vote on a suggestion: the most similar ones.
NEIGHBOURS = 5


@dataclass(frozen=True)
class Batches:
    """A group and a batch for each segment.

    group : (n,) int64, K-means cluster.   batch : (n,) int64, numbered from 0; a batch lies in one group.
    order : (n,) int64, the segments as they are shown: batch by batch, similar ones beside each other.
    """

    group: NDArray[np.int64]
    batch: NDArray[np.int64]
    order: NDArray[np.intp]

    @property
    def count(self) -> int:
        """Number of batches."""
        return int(self.batch.max(initial=-1)) + 1

    def members(self, batch: int) -> NDArray[np.intp]:
        """Rows of the segments of a batch, in the order in which they are shown."""
        members: NDArray[np.intp] = self.order[self.batch[self.order] == batch]
        return members


@dataclass(frozen=True)
class Suggestion:
    """What the segments of a batch probably are. share : 0 to 1, of the votes for the label."""

    label: str
    share: float

    @property
    def percent(self) -> int:
        """The share in percent, rounded."""
        return round(100 * self.share)


def scaled_features(segments: Segments) -> NDArray[np.float64]:
    """(n, 3) logarithms of volume, length and width, each with mean 0 and deviation 1.

    The logarithm, because the three spread over several powers of ten: without it a few giants would be a group each.
    """
    from sklearn.preprocessing import StandardScaler

    measured = np.stack([segments.volume_um3, segments.length_nm, segments.width_nm], axis=1)
    if not len(measured):
        return np.empty((0, 3), np.float64)
    found: NDArray[np.float64] = StandardScaler().fit_transform(np.log(np.maximum(measured, 1e-9)))
    return found


def make_batches(segments: Segments, *, per_batch: int = BATCH_SEGMENTS, seed: int = SEED) -> Batches:
    """Group the segments by K-means (K = 10, fewer where there are fewer segments) and cut each group into batches.

    In a group the segments are sorted by the measure in which they differ most. The same seed gives the same batches.
    """
    from sklearn.cluster import KMeans

    features, n = scaled_features(segments), len(segments)
    if not n:
        return Batches(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.intp))
    k = min(GROUPS, len(np.unique(features, axis=0)))
    group = KMeans(k, n_init=10, random_state=seed).fit_predict(features).astype(np.int64)
    batch, order, first = np.empty(n, np.int64), [], 0
    for number in range(k):
        members = np.flatnonzero(group == number)
        widest = int(np.argmax(np.ptp(features[members], axis=0)))
        members = members[np.argsort(features[members, widest], kind="stable")]
        parts = -(-len(members) // per_batch)
        batch[members] = first + np.arange(len(members)) * parts // len(members)
        order.append(members)
        first += parts
    return Batches(group, batch, np.concatenate(order))


def suggest(segments: Segments, batches: Batches, label_of: Mapping[int, str]) -> dict[int, Suggestion]:
    """For each batch, what most of the similar segments are that are labelled already.

    label_of : segment id -> label. Each segment of a batch takes the vote of the ``NEIGHBOURS`` labelled ones nearest
    to it. Empty while fewer are labelled than vote.
    """
    from sklearn.neighbors import KNeighborsClassifier

    known = np.array([int(i) in label_of for i in segments.segment.tolist()], np.bool_)
    if known.sum() < NEIGHBOURS:
        return {}
    features = scaled_features(segments)
    labels = [label_of[i] for i in segments.segment[known].tolist()]
    model = KNeighborsClassifier(NEIGHBOURS).fit(features[known], labels)
    votes = model.predict_proba(features)
    found = {}
    for batch in range(batches.count):
        share = votes[batches.batch == batch].mean(axis=0)
        best = int(share.argmax())
        found[batch] = Suggestion(str(model.classes_[best]), float(share[best]))
    return found
