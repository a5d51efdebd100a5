"""The WSGI application of the site, found through manage.py by `oxwsgi serve examples/django_site`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_project.settings")

application = get_wsgi_application()
