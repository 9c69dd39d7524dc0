"""Affinity U-Net: predicted affinities, watershed, mean-affinity agglomeration."""
