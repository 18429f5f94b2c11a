"""The settings of the same shop on PostgreSQL; libpq's environment variables say where it is."""

import os

from settings import *  # noqa: F403

DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": os.environ.get("PGDATABASE", "shop")}}
