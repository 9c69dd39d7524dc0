"""What every page shares: home, documentation, Markdown, mail, middleware, the organisers' site."""

from evalserver.site import documentation
from evalserver.site.mail import (
    as_json,
    mail_folder_to_show,
    send_message,
    send_templated,
    site_url,
    templated,
    writes_mail_to_files,
)
from evalserver.site.markdown import render_markdown
from evalserver.site.markup import own_markup, xml_text
from evalserver.site.ranges import file_in_parts
from evalserver.site.stored import opened, shown_file

__all__ = [
    "as_json",
    "documentation",
    "file_in_parts",
    "mail_folder_to_show",
    "metrics",
    "opened",
    "own_markup",
    "render_markdown",
    "send_message",
    "send_templated",
    "shown_file",
    "site_url",
    "templated",
    "writes_mail_to_files",
    "xml_text",
]
