"""`manage.py make_picture`."""

from typing import Any

import numpy as np
from django.conf import settings
from django.core.management.base import BaseCommand

from axonem_eval.report import render_axons, webp
from axonem_eval.synthetic import make_tissue

DRAWN = 18


class Command(BaseCommand):
    """`manage.py make_picture`."""

    help = "Draw the picture of the home page: the largest axons of the demo's first volume, in 3-D."

    def handle(self, *args: Any, **options: Any) -> None:
        tissue = make_tissue((100, 320, 320), (40.0, 16.0, 16.0), seed=1, grey=False)
        voxels = np.bincount(tissue.labels.ravel())[tissue.axon_ids]
        largest = tissue.axon_ids[np.argsort(-voxels, kind="stable")[:DRAWN]].tolist()
        path = settings.BASE_DIR / "evalserver" / "static" / "axons.webp"
        path.write_bytes(webp(render_axons(tissue.labels, largest, tissue.voxel_size_nm_zyx, width=540), quality=75))
        self.stdout.write(f"{path}: {path.stat().st_size:,} bytes")
