"""The ground-truth workshop of organisers: what annotators label and decide, and the volume that comes of it."""
