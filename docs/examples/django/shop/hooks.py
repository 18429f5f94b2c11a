"""The shop's dispatcher, made on first use; `unihooks worker` runs it too."""

import os
from functools import cache

import django
from django.apps import apps

from unihooks import Dispatcher
from unihooks.integrations.django import store


@cache
def dispatcher():
    """Return the one dispatcher of this process."""
    if not apps.ready:  # in `unihooks worker`, which knows nothing of Django
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
        django.setup()
    return Dispatcher(store("default"))
