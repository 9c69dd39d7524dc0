"""What the web server loads."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evalserver.settings")

handler = get_wsgi_application()

# They need the settings; and manage.py runs the checks by itself, gunicorn does not.
from evalserver.front import Application  # noqa: E402
from evalserver.start import refuse_or_prepare  # noqa: E402

refuse_or_prepare("The web server")
application = Application(handler)
