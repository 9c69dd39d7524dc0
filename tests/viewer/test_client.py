"""The client that `axonem-eval view` sends to a browser."""

import pytest

pytest.importorskip("neuroglancer", reason="the extra [view] is not installed")

from axonem_eval.viewer.client import SCRIPT, ClientFiles


def test_the_page_runs_our_script_before_the_clients_own():
    """Without it the client loses a layer on a slow machine; `tests/browser/test_viewer.py` sees it work."""
    page, kind = ClientFiles().get("", "")
    assert kind == "text/html"
    assert page.index(SCRIPT.read_bytes()) < page.index(b"<script", page.index(b"<script") + 1)


def test_other_files_are_the_packages_own():
    with pytest.raises(ValueError, match="Invalid static resource name"):
        ClientFiles().get("../secret.js", "")
    content, _ = ClientFiles().get("index.html", "")
    name = content.decode().partition('src="')[2].partition('"')[0]
    assert name
    assert SCRIPT.read_bytes() not in ClientFiles().get(name.removeprefix("./"), "")[0]
