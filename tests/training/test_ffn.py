"""The flood-filling network: its size, Google's checkpoints, seeds, moves, and the published FIB-25 run."""

import numpy as np
import pytest
import torch

from baselines.ffn.flood import NO_SEED, Canvas, FloodOptions, logit
from baselines.ffn.model import ConvStack, load_tensorflow_weights
from baselines.ffn.seeds import peak_seeds, reversed_seeds
from baselines.ffn.tensorflow_checkpoint import NotACheckpoint, read_checkpoint
from tests.training.flood_steps import bright_step, tube_and_ball
from tests.training.tensorflow_files import evaluate_by_numpy, variables_of, write_checkpoint

FOV, DELTAS = (9, 9, 9), (3, 3, 3)


@pytest.mark.parametrize(("depth", "parameters"), [(9, 472_353), (12, 638_433)])
def test_the_published_networks_have_the_published_number_of_parameters(depth, parameters):
    assert ConvStack(depth, (33, 33, 33), (8, 8, 8)).n_parameters == parameters


@pytest.mark.parametrize(
    ("fov", "deltas", "words"), [((32, 33, 33), (8, 8, 8), "no centre"), ((9, 9, 9), (5, 3, 3), "lead out")]
)
def test_a_field_of_view_that_cannot_move_is_refused(fov, deltas, words):
    with pytest.raises(ValueError, match=words):
        ConvStack(3, fov, deltas)


# ---- checkpoints -----------------------------------------------------------------------------------------------------


def test_a_checkpoint_gives_back_every_variable(tmp_path):
    written = {**variables_of(ConvStack(3, FOV, DELTAS, features=4)), "filter/fraction": np.array([3, 4], np.int64)}
    write_checkpoint(tmp_path / "model.ckpt-1", written)
    read = read_checkpoint(tmp_path / "model.ckpt-1")
    assert read.keys() == written.keys()
    for name, value in written.items():
        np.testing.assert_array_equal(read[name], value)


def test_a_network_filled_from_a_checkpoint_computes_the_same(tmp_path):
    torch.manual_seed(0)
    network, other = ConvStack(3, FOV, DELTAS, features=4), ConvStack(3, FOV, DELTAS, features=4)
    write_checkpoint(tmp_path / "model", variables_of(network))
    load_tensorflow_weights(other, read_checkpoint(tmp_path / "model"))
    image, seed = torch.rand(1, 1, *FOV), torch.rand(1, 1, *FOV)
    torch.testing.assert_close(other(image, seed), network(image, seed), rtol=0, atol=0)


@pytest.mark.parametrize(("depth", "words"), [(2, "lacks"), (4, "has no variable")])
def test_a_checkpoint_of_another_depth_is_refused(tmp_path, depth, words):
    write_checkpoint(tmp_path / "model", variables_of(ConvStack(3, FOV, DELTAS, features=4)))
    with pytest.raises(ValueError, match=words):
        load_tensorflow_weights(ConvStack(depth, FOV, DELTAS, features=4), read_checkpoint(tmp_path / "model"))


@pytest.mark.parametrize("part", [".index", ".data-00000-of-00001"])
@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_damaged_checkpoint_is_named(tmp_path, part, damage):
    write_checkpoint(tmp_path / "model", variables_of(ConvStack(3, FOV, DELTAS, features=4)))
    path = tmp_path / f"model{part}"
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(NotACheckpoint):
        read_checkpoint(tmp_path / "model")


# ---- seeds and moves -------------------------------------------------------------------------------------------------


def canvas(image=None, step=bright_step, **options) -> Canvas:
    options = {"min_voxels": 50, "disconnected": -1.0, **options}
    return Canvas(tube_and_ball() if image is None else image, step, FOV, DELTAS, FloodOptions(**options))


def test_an_object_is_followed_to_the_ends_of_the_volume_and_no_further():
    filled = canvas()
    assert filled.segment_from((10, 10, 30)) == 1
    tube = tube_and_ball() > 0
    tube[15:] = False
    mine = filled.segmentation == 1
    assert not (mine & ~tube).any()
    # Moves are of three voxels and end where the field of view would leave the volume.
    assert mine[10, 10, 3:57].all()
    assert np.count_nonzero(mine) > 0.9 * np.count_nonzero(tube)


def test_objects_are_numbered_in_the_order_in_which_they_are_kept():
    filled = canvas()
    filled.segment_all(np.array([[22, 22, 30], [10, 10, 30], [10, 10, 40]]))
    assert filled.segmentation[22, 22, 30] == 1
    assert filled.segmentation[10, 10, 50] == 2
    assert filled.counts.kept == 2


def test_an_object_that_is_too_small_bars_its_seed_and_no_more():
    filled = canvas(min_voxels=100_000)
    assert filled.segment_from((22, 22, 30)) == 0
    assert filled.segmentation[22, 22, 30] == NO_SEED
    assert np.count_nonzero(filled.segmentation) == 1
    assert filled.counts.too_small == 1


def test_an_object_keeps_its_voxels_from_later_ones():
    filled = canvas()
    filled.segmentation[:, :, 45:] = 9
    filled.counts.kept = 9
    assert filled.segment_from((10, 10, 30)) == 10
    assert (filled.segmentation[:, :, 45:] == 9).all()


def test_no_object_begins_beside_another():
    filled = canvas()
    filled.segmentation[10, 10, 31] = 5
    assert filled.segment_from((10, 10, 30)) == 0
    assert filled.segmentation[10, 10, 30] == NO_SEED


def test_a_seed_that_becomes_unlikely_ends_the_attempt():
    filled = canvas(step=lambda image, logits: np.full(image.shape, -4, np.float32))
    assert filled.segment_from((10, 10, 30)) == 0
    assert (filled.counts.too_weak, filled.counts.steps) == (1, 1)


def test_a_seed_too_near_to_the_border_is_not_tried():
    filled = canvas()
    assert filled.segment_from((3, 10, 30)) == 0
    assert filled.counts.attempts == 0


def test_what_became_unlikely_may_not_come_back():
    """The rule on disconnected seeds: below 0.5 a voxel only falls, where any of the field of view is likely."""
    calls = []

    def step(image, logits):
        calls.append(logits.copy())
        new = np.full(image.shape, 4, np.float32)
        if len(calls) == 1:
            new[:, :, 5:] = -2
        return new

    free, bound = canvas(step=step), canvas(step=step, disconnected=0.0)
    for one in (free, bound):
        calls.clear()
        one.flood((10, 10, 30))
    assert bound.logits[10, 10, 31] == -2
    assert free.logits[10, 10, 31] == 4


def test_places_not_visited_yet_read_as_the_pad_value():
    seen = []
    filled = canvas(step=lambda image, logits: seen.append(logits.copy()) or np.full(image.shape, -4, np.float32))
    filled.flood((10, 10, 30))
    assert seen[0][4, 4, 4] == logit(0.95)
    assert seen[0][0, 0, 0] == logit(0.05)


def test_seeds_lie_inside_objects_and_are_sorted():
    rng = np.random.default_rng(0)
    noisy = tube_and_ball() + rng.normal(0, 0.05, (30, 30, 60)).astype(np.float32)
    seeds = peak_seeds(noisy, (4, 4, 4))
    assert len(seeds)
    assert [tuple(s) for s in seeds] == sorted(tuple(s) for s in seeds)
    assert (seeds >= 4).all()
    assert (seeds + 4 < noisy.shape).all()
    np.testing.assert_array_equal(reversed_seeds(seeds), seeds[::-1])


# ---- the published run -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published(shared_data):
    """Image, network step, published objects and segmentation of FIB-25. Skips where the data are not there."""
    import imagecodecs

    folder = shared_data / "fib25"
    prefix = folder / "ffn_published_checkpoint" / "model.ckpt-27465036"
    if not prefix.with_name(prefix.name + ".index").is_file():
        pytest.skip(f"no published checkpoint at {prefix}; it is not part of the repository")
    raw = np.stack([imagecodecs.imread(path) for path in sorted((folder / "grayscale_maps").glob("*.png"))])
    image = ((raw.astype(np.float32) - np.float32(128)) / np.float32(33)).astype(np.float32)
    variables = read_checkpoint(prefix)
    network = ConvStack(12, (33, 33, 33), (8, 8, 8))
    load_tensorflow_weights(network, variables)
    segmentation = np.load(folder / "ffn_published_segmentation.npz")["segmentation"].astype(np.int32)
    return image, network.eval(), variables, np.load(folder / "published_run.npz"), segmentation


def step_of(network):
    def step(image, logits):
        with torch.inference_mode():
            given = [torch.from_numpy(np.ascontiguousarray(a))[None, None] for a in (image, logits)]
            return network(*given)[0, 0].numpy()

    return step


@pytest.mark.slow
def test_googles_weights_give_the_logits_that_numpy_computes_from_them(published):
    """On the first patch and after a move, so that logits of every size are met."""
    image, network, variables, run, _ = published
    at = run["object_seed_zyx"][1].astype(int)
    box = tuple(slice(p - 16, p + 17) for p in at)
    logits = np.full((33, 33, 33), logit(0.05), np.float32)
    logits[16, 16, 16] = logit(0.95)
    for _ in range(2):
        ours = step_of(network)(image[box], logits)
        assert np.abs(ours - evaluate_by_numpy(variables, image[box], logits)).max() < 1e-4
        logits = ours


@pytest.mark.slow
def test_the_seeds_are_those_of_the_published_run(published):
    image, _, _, run, _ = published
    np.testing.assert_array_equal(peak_seeds(image, (16, 16, 16)), run["seeds_zyx"])


@pytest.mark.slow
@pytest.mark.parametrize("object_id", [3, 2, 252, 253, 254])
def test_an_object_of_the_published_run_comes_out_voxel_by_voxel(published, object_id):
    image, network, _, run, segmentation = published
    at = int(np.flatnonzero(run["object_id"] == object_id)[0])
    filled = Canvas(image, step_of(network), (33, 33, 33), (8, 8, 8))
    filled.segmentation[:] = np.where(segmentation < object_id, segmentation, 0)
    z, y, x = run["object_seed_zyx"][at].tolist()
    attempt = filled.flood((z, y, x))
    assert attempt.steps == run["object_steps"][at]
    mine = np.zeros(segmentation.shape, bool)
    mine[attempt.box] = (filled.logits[attempt.box] >= logit(0.6)) & (filled.segmentation[attempt.box] <= 0)
    theirs = segmentation == object_id
    assert np.count_nonzero(mine & theirs) >= 0.999 * np.count_nonzero(mine | theirs)
