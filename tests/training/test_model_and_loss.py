"""The network's shapes, the loss by hand."""

import math

import pytest

torch = pytest.importorskip("torch")

from baselines.affinity_unet.config import ModelConfig  # noqa: E402
from baselines.affinity_unet.loss import affinity_loss, balanced_weights, openness  # noqa: E402
from baselines.affinity_unet.model import ResidualUNet, spread  # noqa: E402


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(widths=(4, 8), pool=((1, 2, 2),)),
        ModelConfig(widths=(4, 8), pool=((2, 2, 2),), norm="group"),
        ModelConfig(widths=(4, 8), pool=((1, 2, 2),), stem=(2, 2, 2)),
        ModelConfig(widths=(4, 8), pool=((1, 2, 2),), stem=(1, 2, 2), io_kernel=(3, 5, 5)),
    ],
)
def test_one_logit_an_offset_and_voxel(config):
    assert ResidualUNet(config)(torch.rand(1, 1, 8, 16, 16)).shape == (1, 12, 8, 16, 16)


def test_the_published_width_has_the_published_size():
    """2.66 million parameters: four widths, twelve outputs (see the recipe)."""
    assert round(sum(p.numel() for p in ResidualUNet(ModelConfig()).parameters()) / 1e6, 2) == 2.66


def test_no_section_is_mixed_with_others_by_pooling():
    """With 1x2x2 pooling a change in section 0 reaches as far as the convolutions do, and no farther."""
    torch.manual_seed(0)
    net = ResidualUNet(ModelConfig(widths=(4, 4), pool=((1, 2, 2),), norm="batch")).eval()
    grey = torch.rand(1, 1, 40, 8, 8)
    other = grey.clone()
    other[0, 0, 0] = 0
    changed = (net(grey) - net(other)).abs().amax((0, 1, 3, 4))
    assert changed[0] > 0
    assert changed[13:].max() == 0  # 12 convolutions of 3 sections


def test_spreading_channels_puts_them_side_by_side():
    feature = torch.arange(4.0).reshape(1, 4, 1, 1, 1)
    assert spread(feature, (1, 2, 2)).tolist() == [[[[[0, 1], [2, 3]]]]]


def test_balance_gives_both_classes_half_the_weight():
    target = torch.tensor([1.0, 1, 1, 0]).reshape(1, 1, 1, 1, 4)
    weight = balanced_weights(target, torch.ones_like(target))
    assert weight.ravel().tolist() == [0.5, 0.5, 0.5, 1.5]


def test_a_channel_of_one_class_keeps_weight_one():
    target = torch.ones(1, 1, 1, 1, 3)
    assert balanced_weights(target, torch.ones_like(target)).ravel().tolist() == [1, 1, 1]


def test_the_loss_of_undecided_logits_is_log_two_a_group():
    logits = torch.zeros(1, 4, 1, 1, 2)
    target = torch.zeros(1, 4, 1, 1, 2)
    mask = torch.ones_like(target)
    assert math.isclose(float(affinity_loss(logits, target, mask)), 2 * math.log(2), rel_tol=1e-6)
    near = affinity_loss(logits, target, mask, long_range_weight=0.0)
    assert math.isclose(float(near), math.log(2), rel_tol=1e-6)


def test_masked_voxels_and_those_past_the_margin_add_nothing():
    logits = torch.tensor([9.0, -9.0, -1.0]).reshape(1, 1, 1, 1, 3)
    target = torch.tensor([1.0, 1.0, 1.0]).reshape(1, 1, 1, 1, 3)
    mask = torch.tensor([1.0, 0.0, 1.0]).reshape(1, 1, 1, 1, 3)
    loss = affinity_loss(logits, target, mask, nearest=1, balance=False, margin=0.1)
    assert math.isclose(float(loss), math.log1p(math.e), rel_tol=1e-5)


def a_row_of(logits):
    """Logits, and all links missing and in the mask, of one channel and a row of voxels."""
    row = torch.tensor(logits).reshape(1, 1, 1, 1, -1)
    return row, torch.zeros_like(row), torch.ones_like(row)


def test_openness_is_the_lowest_affinity_nearby():
    logits, _, mask = a_row_of([20.0, 20.0, 20.0, 20.0, -20.0, 20.0])
    assert openness(logits, mask).ravel().round().tolist() == [1, 1, 0, 0, 0, 0]


def test_openness_does_not_look_at_masked_links():
    logits, _, mask = a_row_of([20.0, -20.0, 20.0])
    mask[..., 1] = 0
    assert openness(logits, mask).ravel().round().tolist() == [1, 1, 1]


def test_a_hole_counts_more_and_a_membrane_beside_its_place_does_not():
    hole, beside = [9.0, 9.0, 9.0], [9.0, -9.0, 9.0]

    def ratio(row):
        logits, target, mask = a_row_of(row)
        kept = {"nearest": 1, "balance": False}
        weighted = affinity_loss(logits, target, mask, hole_weight=30.0, **kept)
        return float(weighted / affinity_loss(logits, target, mask, **kept))

    assert math.isclose(ratio(hole), 31, rel_tol=1e-2)
    assert math.isclose(ratio(beside), 1, rel_tol=1e-2)


def test_a_membrane_past_the_margin_closes_a_hole():
    logits, target, mask = a_row_of([9.0, -9.0, 9.0])
    kept = {"nearest": 1, "balance": False, "margin": 0.1}
    weighted = affinity_loss(logits, target, mask, hole_weight=30.0, **kept)
    assert math.isclose(float(weighted), float(affinity_loss(logits, target, mask, **kept)), rel_tol=1e-2)


def test_links_that_are_there_count_once_whatever_is_predicted():
    logits, target, mask = a_row_of([9.0, 0.0, -9.0])
    kept = {"nearest": 1, "balance": False}
    there = torch.ones_like(target)
    assert affinity_loss(logits, there, mask, hole_weight=30.0, **kept) == affinity_loss(logits, there, mask, **kept)
