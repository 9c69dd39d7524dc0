"""Binary cross-entropy on affinity logits with masks and class balance per channel."""

import torch
from torch import Tensor


def balanced_weights(target_BCDHW: Tensor, mask_BCDHW: Tensor) -> Tensor:
    """Weights that give linked and unlinked voxels of each channel the same total, 0 outside the mask.

    A channel in which one class is absent keeps weight 1. float32, of the target's shape.
    """
    axes = (0, 2, 3, 4)
    linked = (target_BCDHW * mask_BCDHW).sum(axes, keepdim=True)
    total = mask_BCDHW.sum(axes, keepdim=True)
    unlinked = total - linked
    both = (linked > 0) & (unlinked > 0)
    share = torch.where(both, linked / total.clamp(min=1), torch.full_like(total, 0.5))
    # w_linked = n_unlinked / n and w_unlinked = n_linked / n, doubled so that the mean weight stays about 1
    weight = torch.where(target_BCDHW > 0.5, 2 * (1 - share), 2 * share)
    return weight * mask_BCDHW


def openness(logits_BCDHW: Tensor, mask_BCDHW: Tensor, reach: int = 2) -> Tensor:
    """Lowest nearest-neighbour affinity in the cube of ``reach`` voxels around each voxel, (B,1,D,H,W) float32.

    Near 1 where no membrane is predicted. A membrane that is predicted one voxel off is no hole: it still separates
    segments. Links outside the mask do not count.
    """
    wall_BCDHW = ((1 - torch.sigmoid(logits_BCDHW.float())) * mask_BCDHW).amax(1, keepdim=True)
    for axis in range(3):  # less than half the time of one cube
        kernel, padding = [1, 1, 1], [0, 0, 0]
        kernel[axis], padding[axis] = 2 * reach + 1, reach
        wall_BCDHW = torch.nn.functional.max_pool3d(wall_BCDHW, kernel, 1, padding)
    return 1 - wall_BCDHW


def affinity_loss(
    logits_BCDHW: Tensor,
    target_BCDHW: Tensor,
    mask_BCDHW: Tensor,
    *,
    nearest: int = 3,
    long_range_weight: float = 1.0,
    balance: bool = True,
    margin: float = 0.0,
    hole_weight: float = 0.0,
) -> Tensor:
    """Mean cross-entropy over the voxels of the mask: nearest channels plus weighted long-range ones.

    margin : voxels already past it (probability above 1 - margin where linked, below margin where not) add nothing.
    hole_weight : a missing link between neighbours counts 1 + hole_weight * openness^2 times. Mergers come from the few
    places without a predicted membrane, which hardly change a mean over all voxels.
    """
    logits, target, mask = logits_BCDHW.float(), target_BCDHW.float(), mask_BCDHW.float()
    # Computed before the margin removes sure membranes from the mask: they close holes too.
    opened = openness(logits.detach()[:, :nearest], mask[:, :nearest]) if hole_weight > 0 else None
    if margin > 0:
        probability = torch.sigmoid(logits.detach())
        done = torch.where(target > 0.5, probability >= 1 - margin, probability <= margin)
        mask = mask * ~done
    weight = balanced_weights(target, mask) if balance else mask
    if opened is not None:
        holes = opened**2 * (1 - target[:, :nearest])
        weight = torch.cat([weight[:, :nearest] * (1 + hole_weight * holes), weight[:, nearest:]], 1)
    each = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none") * weight
    near = each[:, :nearest].sum() / mask[:, :nearest].sum().clamp(min=1)
    if logits.shape[1] == nearest or long_range_weight == 0:
        return near
    return near + long_range_weight * each[:, nearest:].sum() / mask[:, nearest:].sum().clamp(min=1)
