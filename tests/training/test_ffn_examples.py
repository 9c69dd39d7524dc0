"""What the flood-filling network learns from: balanced places, crops around them, and moves through each example."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from axonem_eval.errors import InputError
from baselines.common.config import AugmentConfig
from baselines.common.data import Volume
from baselines.ffn.examples import (
    EXCLUDED,
    NO_OBJECT,
    THRESHOLDS,
    Example,
    ExampleOptions,
    ExampleStream,
    Places,
    fill_classes,
    reach_of,
    shifts_of,
)
from baselines.ffn.flood import logit
from baselines.ffn.training_objects import FillOptions, Objects, VoxelCounts

PLAIN = AugmentConfig(flip=False, grey=0, misalign=0, missing=0, lost=0, blur=0, box=0, warp=0)
FOV, DELTAS = (5, 7, 7), (1, 2, 2)
OPTIONS = ExampleOptions(FOV, DELTAS, min_voxels=20, grey_mean=100.0, grey_std=50.0)
FILL = FillOptions(FOV, DELTAS)


def blobs(shape=(16, 30, 34), seed=0) -> np.ndarray:
    """Labels of random boxes of many sizes, 0 between them."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint32)
    for label in range(1, 40):
        size = rng.integers(1, [shape[0], 16, 16])
        z, y, x = (int(rng.integers(0, n - s + 1)) for n, s in zip(shape, size, strict=True))
        labels[z : z + size[0], y : y + size[1], x : x + size[2]] = 7 * label
    return labels


def volume(labels=None, mask=None, name="blobs") -> Volume:
    labels = blobs() if labels is None else labels
    raw = (40 + 5 * (labels % 40)).astype(np.uint8)
    return Volume(name, raw, labels, mask, (30.0, 8.0, 8.0))


# ---- places ----------------------------------------------------------------------------------------------------------


def test_the_class_of_a_voxel_is_its_objects_share_of_the_box_around_it():
    labels, reach = blobs(), (3, 5, 5)
    classes = fill_classes(labels, reach, 30)
    sizes = Counter(labels.ravel().tolist())
    for place in np.ndindex(labels.shape):
        low, high = np.subtract(place, reach), np.add(place, reach) + 1
        if (low < 0).any() or (high > labels.shape).any():
            assert classes[place] == EXCLUDED
        elif labels[place] == 0 or sizes[int(labels[place])] < 30:
            assert classes[place] == NO_OBJECT
        else:
            box = labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
            share = np.mean(box == labels[place])
            assert classes[place] == 1 + sum(share >= threshold for threshold in THRESHOLDS)
    assert len(np.unique(classes)) > 8


def test_a_share_at_a_threshold_belongs_to_the_class_above():
    labels = np.zeros((5, 5, 5), np.uint32)
    labels.reshape(-1)[:25] = 3  # 25 of 125 voxels: 0.2
    labels[2, 2, 2], labels[0, 0, 0] = 3, 0
    assert fill_classes(labels, (2, 2, 2), 1)[2, 2, 2] == 1 + THRESHOLDS.index(0.2) + 1


def test_no_place_lies_where_labels_do_not_hold():
    mask = np.ones(blobs().shape, bool)
    mask[:, :, 15:] = False
    assert (fill_classes(blobs(), (3, 5, 5), 30, mask)[:, :, 15:] == EXCLUDED).all()


def test_each_class_has_the_same_share_of_the_places_whatever_its_size():
    classes = np.full((10, 20, 20), EXCLUDED, np.uint8)
    classes[2:8] = 4
    classes[5, 5, 5:9] = 13
    classes[5, 7, 7] = NO_OBJECT
    rng = np.random.default_rng(0)
    found = Counter(int(classes[Places([classes]).draw(rng)[1]]) for _ in range(1500))
    assert found.keys() == {NO_OBJECT, 4, 13}
    assert all(430 < n < 570 for n in found.values())


def test_places_of_a_class_come_from_all_volumes_by_their_number():
    one, other = (np.full((4, 4, 4), EXCLUDED, np.uint8) for _ in range(2))
    one[0, 0, 0], other[1:, 1, 1] = 5, 5
    rng = np.random.default_rng(0)
    places = Places([one, other])
    found = Counter(places.draw(rng) for _ in range(800))
    assert len(found) == 4
    assert all(140 < n < 260 for n in found.values())


def test_a_volume_without_room_for_a_move_is_refused_by_name():
    with pytest.raises(InputError, match=r"7 x 11 x 11.*thin 6 x 30 x 34"):
        ExampleStream([volume(blobs()[:6], name="thin")], OPTIONS, PLAIN, 0)


# ---- examples --------------------------------------------------------------------------------------------------------


def test_an_example_depends_on_seed_and_number_alone():
    full = AugmentConfig()
    a, b = (ExampleStream([volume()], OPTIONS, full, 5) for _ in range(2))
    b[3]  # what was made before does not matter
    for name in ("image", "inside", "known", "shifts"):
        assert np.array_equal(getattr(a[7], name), getattr(b[7], name))
    assert not np.array_equal(a[7].image, a[8].image)
    assert not np.array_equal(a[7].image, ExampleStream([volume()], OPTIONS, full, 6)[7].image)


def test_an_example_is_the_object_at_its_centre():
    """The label can be read from the grey value, which stays with it under flips and transposes."""
    stream = ExampleStream([volume()], OPTIONS, replace(PLAIN, flip=True), 0)
    for number in range(30):
        example = stream[number]
        assert example.image.shape == OPTIONS.patch_zyx == (7, 11, 11)
        grey = np.rint(example.image * 50 + 100)
        expected = (grey == grey[3, 5, 5]) & (grey[3, 5, 5] > 40)
        assert np.array_equal(example.inside, expected)
        assert example.known.all()


def test_what_lies_outside_of_the_volume_or_its_mask_is_not_known():
    far = replace(OPTIONS, moves=4)
    mask = np.ones(blobs().shape, bool)
    mask[:, :, 20:] = False
    open_stream, masked = (ExampleStream([volume(mask=m)], far, PLAIN, 0) for m in (None, mask))
    shares = [np.mean([stream[n].known.mean() for n in range(20)]) for stream in (open_stream, masked)]
    assert 0.4 < shares[1] < shares[0] < 1


@pytest.mark.parametrize("defect", ["missing", "blur", "box", "grey"])
def test_defects_of_sections_change_the_image_and_not_the_object(defect):
    plain = ExampleStream([volume()], OPTIONS, PLAIN, 0)
    broken = ExampleStream([volume()], OPTIONS, replace(PLAIN, **{defect: 1.0}), 0)
    pairs = [(plain[n], broken[n]) for n in range(10)]
    assert all(np.array_equal(a.inside, b.inside) for a, b in pairs)
    assert sum(not np.array_equal(a.image, b.image) for a, b in pairs) >= 8


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_of_the_examples_tells_more_of_the_object_than_its_centre(share):
    stream = ExampleStream([volume()], replace(OPTIONS, given_share=share), PLAIN, seed=2)
    known_more = 0
    for example in (stream[k] for k in range(40)):
        assert (example.given is not None) == (share > 0)
        if example.given is not None:
            assert not (example.given & ~example.inside).any()
            z, y, x = (np.abs(p - n // 2) for p, n in zip(np.nonzero(example.given), example.inside.shape, strict=True))
            assert all(max(offset, default=0) <= n // 2 for offset, n in zip((z, y, x), FOV, strict=True))
            known_more += np.count_nonzero(example.given) > 1
    assert known_more >= 20 * share


# ---- moves -----------------------------------------------------------------------------------------------------------


def whole_object(shape=OPTIONS.patch_zyx, inside=None, seed=0) -> Example:
    """An object that fills its example, or ``inside``."""
    inside = np.ones(shape, bool) if inside is None else inside
    order = np.random.default_rng(seed).permutation(26)
    shifts = tuple(shifts_of(DELTAS)[i] for i in order)
    return Example(inside.astype(np.float32), inside, np.ones(shape, bool), shifts)


class Same(dict):
    """The same example under every number."""

    def __init__(self, example: Example) -> None:
        self.example = example

    def __missing__(self, number: int) -> Example:
        return self.example


def places_of(objects: Objects, answer, slot: int = 0) -> list[tuple[int, ...]]:
    """Offsets from the centre of all moves of a slot's first object. answer : new logits from fields."""
    found = []
    first = objects.slots[slot].number
    while True:
        fields = objects.take()
        if objects.slots[slot].number != first:
            return found
        centre = [n // 2 for n in objects.slots[slot].logits.shape]
        box = objects._boxes[slot]
        found.append(tuple((s.start + s.stop) // 2 - c for s, c in zip(box, centre, strict=True)))
        objects.put(answer(fields))


def everything(fields):
    return torch.full_like(fields.logits, 4.0)


def perfect(fields):
    return torch.where(fields.target > 0.5, 4.0, -4.0)


def test_fixed_moves_try_the_centre_first_and_then_each_shift_in_the_examples_order():
    example = whole_object()
    assert places_of(Objects(Same(example), FILL, 1), everything) == [(0, 0, 0), *example.shifts]
    assert len(set(example.shifts)) == 26


def test_a_shift_is_taken_only_where_the_object_has_arrived():
    inside = np.zeros(OPTIONS.patch_zyx, bool)
    inside[:, 4:7, :] = True
    found = places_of(Objects(Same(whole_object(inside=inside)), FILL, 1), perfect)
    assert set(found) == {(z, 0, x) for z in (-1, 0, 1) for x in (-2, 0, 2)}


def test_the_move_threshold_is_met_by_an_equal_logit():
    for value, n in ((float(logit(0.9)), 27), (float(np.nextafter(logit(0.9), np.float32(0))), 1)):
        found = places_of(Objects(Same(whole_object()), FILL, 1), lambda f, v=value: torch.full_like(f.logits, v))
        assert len(found) == n


def test_moves_that_follow_the_output_stay_in_the_object_and_near_the_centre():
    shape = tuple(2 * r + 1 for r in reach_of(FOV, DELTAS, 3))
    inside = np.zeros(shape, bool)
    inside[:, shape[1] // 2 - 1 : shape[1] // 2 + 2, :] = True
    options = replace(FILL, follow=True, moves=3)

    def stronger_inside(fields):
        return torch.where(fields.target > 0.5, 5.0, 4.0)

    found = places_of(Objects(Same(whole_object(shape, inside)), options, 1), stronger_inside)
    assert found[0] == (0, 0, 0)
    assert max(abs(x) for _, _, x in found) == 6
    assert max(abs(z) for z, _, _ in found) == 3
    assert {abs(y) for _, y, _ in found} <= {0, 1}  # outside of the object nothing is visited, whatever is predicted


def test_the_label_is_waived_at_the_centre_alone():
    nothing = np.zeros(OPTIONS.patch_zyx, bool)
    options = replace(FILL, follow=True)
    assert places_of(Objects(Same(whole_object(inside=nothing)), options, 1), everything) == [(0, 0, 0)]


def test_what_a_move_wrote_is_what_the_next_one_sees():
    objects = Objects(Same(whole_object()), FILL, 1)
    first = objects.take()
    assert float(first.logits[0, 0, 2, 3, 3]) == float(logit(0.95))
    assert (first.logits == float(logit(0.05))).sum() == first.logits.numel() - 1
    objects.put(everything(first))
    second = objects.take()
    offset = objects.slots[0].example.shifts[0]
    seen = (second.logits == 4.0).numpy()[0, 0]
    expected = np.ones(FOV, bool)
    for axis, d in enumerate(offset):
        outside = [slice(None)] * 3
        outside[axis] = slice(FOV[axis] - d, None) if d > 0 else slice(0, -d)
        expected[tuple(outside)] = False
    assert np.array_equal(seen, expected)


def test_the_network_is_told_the_given_part_of_an_object_before_its_first_step():
    given = np.zeros(OPTIONS.patch_zyx, bool)
    given[3, 4:7, 5] = True
    fields = Objects(Same(replace(whole_object(), given=given)), FILL, 1).take()
    box = (slice(1, 6), slice(2, 9), slice(2, 9))
    expected = np.where(given[box], logit(0.95), logit(0.05))
    expected[2, 3, 3] = logit(0.95)
    np.testing.assert_array_equal(fields.logits[0, 0].numpy(), expected.astype(np.float32))


def test_an_object_makes_no_further_move_where_that_was_its_last():
    objects = Objects(Same(whole_object()), FILL, 2)
    for number in range(3):
        fields = objects.take()
        assert [slot.number for slot in objects.slots] == [2 * number, 2 * number + 1]
        objects.put(everything(fields), last=True)


def test_targets_are_soft_and_unknown_voxels_weigh_nothing():
    inside, known = np.zeros((2, *OPTIONS.patch_zyx), bool)
    inside[:, :, :6], known[:4] = True, True
    example = replace(whole_object(inside=inside), known=known)
    fields = Objects(Same(example), FILL, 1).take()
    box = (slice(1, 6), slice(2, 9), slice(2, 9))
    np.testing.assert_allclose(fields.target[0, 0].numpy(), np.where(inside[box], 0.95, 0.05), rtol=1e-6)
    assert np.array_equal(fields.weight[0, 0].numpy(), known[box].astype(np.float32))


def test_an_objects_moves_do_not_depend_on_its_neighbours_in_the_batch():
    """Slot 2 of 3 takes the examples 2, 5, 8 ... and sees the same fields as when it is alone."""
    stream = ExampleStream([volume()], OPTIONS, PLAIN, 3)
    together, alone = Objects(stream, FILL, 3), Objects(stream, FILL, 1, first=2, n_slots=3)
    numbers = []
    for _ in range(120):
        a, b = together.take(), alone.take()
        for name in ("image", "logits", "target", "weight"):
            assert torch.equal(getattr(a, name)[2], getattr(b, name)[0])
        assert together.slots[2].number == alone.slots[0].number
        numbers.append(alone.slots[0].number)
        together.put(perfect(a))
        alone.put(perfect(b))
    assert sorted(set(numbers))[:4] == [2, 5, 8, 11]


def test_threads_that_make_examples_ahead_change_nothing():
    stream = ExampleStream([volume()], OPTIONS, PLAIN, 3)
    with_threads, without = Objects(stream, FILL, 2, workers=2), Objects(stream, FILL, 2)
    for _ in range(40):
        a, b = with_threads.take(), without.take()
        assert torch.equal(a.image, b.image)
        assert torch.equal(a.logits, b.logits)
        with_threads.put(perfect(a))
        without.put(perfect(b))
    with_threads.close()


@pytest.mark.parametrize("follow", [False, True])
def test_objects_go_on_from_their_stored_state_in_the_middle_of_their_moves(follow):
    stream = ExampleStream([volume()], OPTIONS, PLAIN, 3)
    options = replace(FILL, follow=follow)
    objects, other = Objects(stream, options, 2), Objects(stream, options, 2)
    for _ in range(13):
        objects.put(perfect(objects.take()))
    other.restore(objects.state())
    for _ in range(30):
        a, b = objects.take(), other.take()
        assert torch.equal(a.image, b.image)
        assert torch.equal(a.logits, b.logits)
        objects.put(perfect(a))
        other.put(perfect(b))


def test_a_finished_object_is_counted_over_its_whole_example_where_labels_hold():
    inside = np.zeros((3, 4, 5), bool)
    inside[0], known = True, np.ones(inside.shape, bool)
    known[2] = False
    predicted = np.zeros(inside.shape, bool)
    predicted[0, :2], predicted[1, 0], predicted[2] = True, True, True
    counts = VoxelCounts()
    counts.add(predicted, Example(inside.astype(np.float32), inside, known, ()))
    assert counts.scores() == {"objects": 1, "precision": 10 / 15, "recall": 10 / 20, "accuracy": 25 / 40}


def test_a_share_of_nothing_is_left_out():
    assert VoxelCounts().scores() == {"objects": 0}
