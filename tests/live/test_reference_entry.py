"""What `baselines submit --reference` leaves on a running server."""

import httpx
import pytest

from baselines.common.config_file import config_from
from baselines.common.provenance import Provenance
from baselines.common.submit import submit
from tests.factories import labels_file, tiny_labels

pytestmark = [pytest.mark.live, pytest.mark.slow]

STAFF = "from evalserver.accounts.models import User; User.objects.filter(email={email!r}).update(is_staff={staff})"


def test_a_reference_entry_shows_its_command_and_provenance(live, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("AXONEM_TOKEN", live.token)
    files = {volume: labels_file(tmp_path / f"{volume}.h5", tiny_labels()) for volume in ("a", "b")}
    path = tmp_path / "provenance.json"
    notes = Provenance(path, config_from({"name": "x", "voxel_size_nm": [30, 8, 8]}), "baselines reproduce x")
    notes.note("data", "a", {"raw_sha256": "0" * 64})

    def hand_in() -> int:
        return submit(
            live.benchmark, files, method="Affinity U-Net (x)", provenance=path, server=live.url, reference=True
        )

    assert hand_in() == 1  # no organiser
    assert "Only organisers" in capsys.readouterr().err
    try:
        live.manage("shell", "--no-imports", "-c", STAFF.format(email=live.email, staff=True))
        assert hand_in() == 0  # the same files: the entry that is there
    finally:
        live.manage("shell", "--no-imports", "-c", STAFF.format(email=live.email, staff=False))
    page = httpx.get(capsys.readouterr().out.split()[-1]).text
    assert "baselines reproduce x" in page
    assert "0" * 64 in page  # the provenance's checksum of the data
    board = httpx.get(f"{live.url}/benchmarks/{live.benchmark}/leaderboard/").text
    before, _, after = board.partition('<span class="tag">reference</span>')
    row = before[before.rindex("<tr") :] + after[: after.index("</tr>")]
    assert "Affinity U-Net (x)" in row
    assert "baselines reproduce x" in row
