"""The ground-truth workshop: identify segments, proofread them, and make a benchmark volume of the axons."""

from axonem_eval.workshop.apply import Applied, apply_corrections
from axonem_eval.workshop.candidates import Candidate, OpenEnd, find_candidates, of_kind, open_ends
from axonem_eval.workshop.contacts import Contacts, find_contacts
from axonem_eval.workshop.decisions import KINDS, MERGER, SPLIT, VERDICTS, Correction, Cut, Decision, accepted, standing
from axonem_eval.workshop.finalise import AXONS, BUNDLE, MASK, SHEET, Finalised, finalise, long_joins
from axonem_eval.workshop.identify import Batches, Suggestion, make_batches, suggest
from axonem_eval.workshop.labels import CLASSES, Agreement, Consensus, Disagreement, SegmentLabel, agreement, consensus
from axonem_eval.workshop.point_cut import SPREAD_NM, Sides, part_by_points
from axonem_eval.workshop.project import Workshop, candidate_json, candidate_of_json, now, prepare_workshop
from axonem_eval.workshop.segments import LONG_UM, Segments, Source, measure_segments
from axonem_eval.workshop.surroundings import place_of, surroundings
from axonem_eval.workshop.tables import decisions_csv, labels_csv, read_decisions, read_labels

__all__ = [
    "AXONS",
    "BUNDLE",
    "CLASSES",
    "KINDS",
    "LONG_UM",
    "MASK",
    "MERGER",
    "SHEET",
    "SPLIT",
    "SPREAD_NM",
    "VERDICTS",
    "Agreement",
    "Applied",
    "Batches",
    "Candidate",
    "Consensus",
    "Contacts",
    "Correction",
    "Cut",
    "Decision",
    "Disagreement",
    "Finalised",
    "OpenEnd",
    "SegmentLabel",
    "Segments",
    "Sides",
    "Source",
    "Suggestion",
    "Workshop",
    "accepted",
    "agreement",
    "apply_corrections",
    "candidate_json",
    "candidate_of_json",
    "consensus",
    "decisions_csv",
    "finalise",
    "find_candidates",
    "find_contacts",
    "labels_csv",
    "long_joins",
    "make_batches",
    "measure_segments",
    "now",
    "of_kind",
    "open_ends",
    "part_by_points",
    "place_of",
    "prepare_workshop",
    "read_decisions",
    "read_labels",
    "standing",
    "suggest",
    "surroundings",
]
