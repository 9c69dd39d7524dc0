"""What a definition states of submitted files, as an object: grid, order of axes, names."""

import pytest

from axonem_eval.errors import InputError
from axonem_eval.spec import VolumeSpec
from axonem_eval.submission_rule import FileRule, SubmissionRule

XPRESS = VolumeSpec((1200, 1200, 1200), (33.0, 33.0, 33.0))


def test_a_factor_and_a_region_in_nm_give_the_grid_of_a_submission():
    rule = SubmissionRule.parse(XPRESS, {"factor_zyx": [3, 3, 3], "region_nm_zyx": [[8316] * 3, [31383] * 3]})
    assert rule.spec == VolumeSpec((233, 233, 233), (99.0, 99.0, 99.0))
    assert rule.offset_nm_zyx == rule.file.offset_nm_zyx == (8316.0, 8316.0, 8316.0)


def test_a_rule_that_states_nothing_is_the_image():
    rule = SubmissionRule.parse(XPRESS, {})
    assert rule.is_plain
    assert rule.file == FileRule()


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({"factor": [3, 3, 3]}, "no key factor; it has factor_zyx"),
        ({"axes": "yxz"}, "expected one of zyx, xyz"),
        ({"zipped": "yes"}, "expected true or false"),
        ({"factor_zyx": [7, 1, 1]}, "no whole number of voxels of a submission"),
        ({"factor_zyx": [0, 1, 1]}, "expected whole numbers from 1 on"),
        ({"region_nm_zyx": [[0, 0, 0], [100, 99, 99]]}, "100, 99, 99] nm is no whole number of voxels"),
        ({"region_nm_zyx": [[0, 0, 0], [39633, 33, 33]]}, "the volume has 1200 x 1200 x 1200"),
        ({"region_nm_zyx": [[0, 0, 0], ["99", 99, 99]]}, "expected [[z, y, x], [z, y, x]]"),
        ({"region_nm_zyx": [[0, 0, 0], [float("nan"), 99, 99]]}, "expected [[z, y, x], [z, y, x]]"),
        ({"file_name": "../../truth.h5"}, "expected a name without a folder"),
        ({"file_name": ".."}, "expected a name without a folder"),
        ([], "expected {}, or some of factor_zyx"),
        (None, "expected {}, or some of factor_zyx"),
    ],
)
def test_a_rule_that_does_not_fit_is_refused_with_what_is_wrong(stated, words):
    with pytest.raises(InputError, match=words.replace("[", r"\[").replace("]", r"\]")):
        SubmissionRule.parse(XPRESS, stated)


def test_a_fixed_name_is_asked_for_and_an_archive_only_where_the_rule_takes_one():
    rule = FileRule(file_name="submission.h5")
    assert not rule.name_complaint("submission.h5")
    assert "wants submission.h5. Rename it" in rule.name_complaint("seg.h5")
    assert rule.name_complaint("a.zip")
    assert not FileRule(file_name="submission.h5", zipped=True).name_complaint("a.zip")


def test_names_in_options_that_participants_copy_into_a_shell_are_quoted():
    rule = SubmissionRule.parse(XPRESS, {"file_name": "a.h5;reboot", "dataset": "$(reboot)"})
    assert rule.file_options() == ["--dataset '$(reboot)'", "--file-name 'a.h5;reboot'"]
