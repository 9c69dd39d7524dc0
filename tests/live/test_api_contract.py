"""The API against its own description: no 5xx, no answer that the description does not have.

A short run; `python -m tests.live.fuzz_api` is the long one, in every role.
"""

import pytest

from tests.live.fuzz_api import breaches, tokens

pytestmark = [pytest.mark.live, pytest.mark.slow]


@pytest.mark.parametrize(("role", "examples"), [("nobody", 1), ("participant", 2), ("owner", 1)])
def test_schemathesis_finds_no_breach(live, tmp_path, role, examples):
    assert breaches(live.url, tokens(live)[role], examples, tmp_path) == ""
