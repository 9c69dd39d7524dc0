"""What the web server loads."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evalserver.settings")

application = get_wsgi_application()

# manage.py runs the checks by itself; gunicorn does not.
from evalserver.start import refuse_or_prepare  # noqa: E402  (needs the settings)

refuse_or_prepare("The web server")
