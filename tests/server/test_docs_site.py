"""The documentation inside the server: listed pages, safe HTML, links that hold."""

import re
from contextlib import closing
from pathlib import Path

import pytest
from django.test import Client

from evalserver.site import documentation
from tests.server.people import plain_site

pytestmark = pytest.mark.django_db
PRESENT = [page for pages in documentation.navigation().values() for page in pages]


@pytest.fixture(autouse=True)
def _site(settings):
    plain_site(settings)


def html_of(tmp_path, text):
    path = tmp_path / "page.md"
    path.write_text(text)
    return documentation.render_markdown(path, 1)[0]


@pytest.mark.parametrize("page", PRESENT, ids=lambda page: page.name)
def test_every_listed_page_is_shown(client, page):
    text = client.get(page.url).content.decode()
    assert "<h1" in text
    assert f'href="{page.url}" aria-current="page"' in text


def test_the_documentation_begins_with_taking_part(client):
    assert client.get("/docs/").headers["Location"] == "/docs/participants/"


@pytest.mark.parametrize(
    "path",
    [
        *["style/", "nothing/", "../README/", "..%2FREADME/", "img/../participants.md", "img/..%2Fstyle.md"],
        *["img/", "img/synthetic", "img/.hidden.png", "%2Fetc%2Fpasswd/", "img/%2Fetc%2Fpasswd"],
    ],
)
def test_nothing_else_is_served(client, path):
    assert client.get(f"/docs/{path}").status_code == 404


def test_images_of_the_pages_are(client):
    answer = client.get("/docs/img/synthetic.png")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "image/png"
    assert b"".join(answer.streaming_content).startswith(b"\x89PNG")


@pytest.mark.parametrize("page", PRESENT, ids=lambda page: page.name)
def test_links_and_images_of_a_page_lead_somewhere(client, page):
    text = client.get(page.url).content.decode()
    article = text[text.index('<article class="docs">') : text.index("</article>")]
    for target in re.findall(r'(?:href|src)="(/[^"#]*)', article):
        with closing(client.get(target)) as answer:  # an image is a file that stays open
            assert answer.status_code in (200, 302), target
    anchors = set(re.findall(r'id="([^"]+)"', text))
    assert set(re.findall(r'href="#([^"]+)"', text)) <= anchors


@pytest.mark.parametrize("page", PRESENT, ids=lambda page: page.name)
def test_links_between_pages_hold_in_the_repository_as_well(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.path.read_text()):
        if not re.match(r"https?:|mailto:|/", target):
            assert (page.path.parent / target).resolve().exists(), target


def test_scripts_and_raw_html_come_out_as_text(tmp_path):
    html = html_of(tmp_path, "<script>alert(1)</script>\n\n<img src=x onerror=alert(1)>\n\n[x](javascript:alert(1))")
    assert "<script" not in html
    assert "<img" not in html
    assert "href=" not in html


def test_headings_get_anchors_that_differ(tmp_path):
    html = html_of(tmp_path, "# T\n\n## Set up\n\n## `axonem` client\n\n## Set up\n")
    assert re.findall(r'<h2 id="([^"]+)"', html) == ["set-up", "axonem-client", "set-up-1"]


def test_tables_keep_their_alignment_without_inline_style(tmp_path):
    html = html_of(tmp_path, "| a | b |\n|---|--:|\n| 1 | 2 |\n")
    assert "style=" not in html
    assert '<td class="num">2</td>' in html
    assert '<div class="scroll" role="region"' in html


def test_links_to_other_pages_stay_inside_the_site(tmp_path):
    html = html_of(tmp_path, "[a](organisers.md#phases) ![b](img/synthetic.png)")
    assert 'href="/docs/organisers/#phases"' in html
    assert 'src="/docs/img/synthetic.png"' in html


def test_an_edited_page_is_rendered_anew(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("one")
    before = documentation.render_markdown(path, path.stat().st_mtime_ns)[0]
    path.write_text("two")
    assert documentation.render_markdown(path, path.stat().st_mtime_ns + 1)[0] != before


def test_every_page_links_to_the_documentation():
    page = Client().get("/").content.decode()
    assert 'href="/docs/"' in page
    assert 'href="/docs/participants/"' in page


def test_participants_and_organisers_have_their_page():
    assert {"participants", "organisers"} <= {page.name for page in PRESENT}
    assert Path(documentation.DOCS_DIR, "participants.md").is_file()
