"""Affinity U-Net: predicted affinities, watershed, mean-affinity agglomeration.

- ``stages.py`` : what a run does, in order; start here.
- ``targets.py`` : affinities of labels, which the network learns (``train.py``, ``loss.py``, ``model.py``).
- ``predict.py`` : affinities of grey values, patch by patch (called by ``inference.py``).
- ``watershed.py`` : fragments, block by block (called by ``segment.py`` and ``block_tasks.py``).
- ``agglomerate.py`` : segments of the whole volume (called by ``hierarchy.py``; ``threshold.py`` chooses among them).
"""
