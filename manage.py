#!/usr/bin/env python3
"""The server's commands: `manage.py up` runs everything, `manage.py help` lists the rest."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evalserver.settings")
    try:
        from django.core.management import execute_from_command_line
    except ImportError:
        sys.exit("Django is not installed in this Python: run `make demo`, or `.venv/bin/python manage.py ...`")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
