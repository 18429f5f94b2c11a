"""The settings of a small shop."""

import os

SECRET_KEY = "only an example"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
STATIC_URL = "static/"
ROOT_URLCONF = "shop.urls"
INSTALLED_APPS = ["shop"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SHOP_DATABASE", "shop.sqlite3"),
        # A deferred transaction that reads before it emits would fail if a worker has written in between.
        "OPTIONS": {"transaction_mode": "IMMEDIATE"},
        # Without a name, tests run in memory.
        "TEST": {"NAME": os.environ.get("SHOP_TEST_DATABASE")},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
