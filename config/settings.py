"""All settings, read from the environment once; nothing is created or written by importing this."""

import socket
from datetime import timedelta
from typing import Any

from csp.constants import NONE, SELF
from django.core.management.utils import get_random_secret_key

from config import env, logs
from config.routers import DEFAULT, TVARR
from config.static_files import mark_of
from tvarr_backup.program import ASSETS, IS_CHECKOUT

# --- Where things are ------------------------------------------------------------------------------------------------

STORAGE_BASE_DIR = env.path("TVARR_STORAGE_BASE_DIR", "data")
SECRET_KEY_PATH = STORAGE_BASE_DIR / "secret-key"
INITIAL_PASSWORD_PATH = STORAGE_BASE_DIR / "initial-password"
BACKUP_DIRECTORY = env.path("TVARR_BACKUP_DIRECTORY", str(STORAGE_BASE_DIR / "backups"))
# What scheduled backups go by where the settings page is silent.
BACKUP_SCHEDULE_ENABLED = env.flag("TVARR_BACKUP_SCHEDULE_ENABLED", default=True)
BACKUP_SCHEDULE_CRON = env.cron("TVARR_BACKUP_SCHEDULE_CRON", "0 2 * * *")
BACKUP_RETENTION = env.integer("TVARR_BACKUP_SCHEDULE_RETENTION", 7, 1, 100_000)
BACKUP_MAX_AGE = env.duration("TVARR_BACKUP_SCHEDULE_MAX_AGE")
# For users who copy backups elsewhere.
BACKUP_GROUP = env.group("TVARR_BACKUP_GROUP")
BACKUP_FILE_MODE = env.file_mode("TVARR_BACKUP_FILE_MODE", "0600" if BACKUP_GROUP is None else "0640")
SERVER_HOST = env.host("TVARR_SERVER_HOST", "127.0.0.1")
SERVER_PORT = env.integer("TVARR_SERVER_PORT", 8081, 1, 65535)
ADMIN_USERNAME = env.text("TVARR_ADMIN_USERNAME", "admin")
ADMIN_PASSWORD = env.text("TVARR_ADMIN_PASSWORD", "")
ADMIN_IS_NAMED = bool(ADMIN_PASSWORD or env.text("TVARR_ADMIN_USERNAME", ""))

# --- Django ----------------------------------------------------------------------------------------------------------

DEBUG = False
# Until `prepare` has written the key file a process has a key of its own, which `prepare` then keeps.
_kept_key = env.secret_key(SECRET_KEY_PATH)
SECRET_KEY_IS_NEW = _kept_key is None
SECRET_KEY = _kept_key or get_random_secret_key()
ALLOWED_HOSTS = [
    *env.hosts(
        "ALLOWED_HOSTS", [socket.gethostname().lower(), f"[{SERVER_HOST}]" if ":" in SERVER_HOST else SERVER_HOST]
    ),
    *("localhost", "127.0.0.1", "[::1]"),  # whoever looks after a container asks from within it
]
CSRF_TRUSTED_ORIGINS = env.origins("CSRF_TRUSTED_ORIGINS")
# Who is believed about HTTPS. It is gunicorn that asks; Django's own setting would believe everybody's header.
FORWARDED_ALLOW_IPS = env.networks("FORWARDED_ALLOW_IPS", "127.0.0.1,::1")
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django_q",  # these two before our admin, which takes pages of theirs out again
    "axes",
    "tvarr_backup.apps.TvarrBackupConfig",
    "tvarr_backup.portable.apps.PortableConfig",
    "tvarr_backup.operations.apps.OperationsConfig",
    "tvarr_backup.access.apps.AccessConfig",
    "tvarr_backup.web.apps.WebConfig",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "csp",
    "knox",
    "rest_framework",
    "django_filters",
    "django_htmx",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    *(["benchmarks"] if IS_CHECKOUT else []),  # `demo_data`
]

MIDDLEWARE = [
    # These come first, so that their headers are on every answer, refusals of the others and static files included.
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.private.Private",
    "config.requests.RequestLog",
    "tvarr_backup.web.middleware.Compressed",
    "tvarr_backup.api.middleware.Entrance",
    "config.refusals.Emergency",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
    "tvarr_backup.web.middleware.SignedOut",
    "config.refusals.OtherMethods",
]

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ASSETS / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "tvarr_backup.web.context.page",
            ],
        },
    },
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
    {"NAME": "tvarr_backup.initial_password.InitialPasswordFile"},
]

LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "sign-in"

LANGUAGE_CODE = "en"
USE_I18N = False  # there is one language, and with others to choose from it is looked up for every number on a page
FORMAT_MODULE_PATH = "config.formats"
TIME_ZONE = env.time_zone("TZ", "UTC")
USE_TZ = True

STATICFILES_DIRS = [ASSETS / "static"]
STATIC_URL = f"static/{mark_of(STATICFILES_DIRS)}/"
WHITENOISE_IMMUTABLE_FILE_TEST = r"^/static/[0-9a-f]{8}/"  # another content has another address
WHITENOISE_ALLOW_ALL_ORIGINS = False
WHITENOISE_USE_FINDERS = True  # served from where they are: no collecting step to forget

# --- The two databases -----------------------------------------------------------------------------------------------

DATABASE_ROUTERS = ["config.routers.DatabaseRouter"]


def _default_database() -> dict[str, Any]:
    """Our users, sessions and history. Only `prepare` creates it, so that a lost one is not replaced by an empty one.

    IMMEDIATE: 0 of 900 transactions locked out, DEFERRED 313 (measured).
    """
    entry = env.database("DATABASE_URL", STORAGE_BASE_DIR / "app.db")
    if entry["ENGINE"] == env.POSTGRESQL:
        return _on_a_server(entry)
    return entry | {
        "NAME": env.existing_file_uri(entry["NAME"]),
        "CONN_MAX_AGE": None,  # idle disk writes fall from 166 to 11 KB/s (measured)
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
        },
    }


def _tvarr_database() -> dict[str, Any]:
    """tvarr's database, opened only if it exists; its journal mode belongs to whoever created it."""
    entry = env.database("TVARR_DATABASE_DSN", STORAGE_BASE_DIR / "tvarr.db")
    if entry["ENGINE"] == env.POSTGRESQL:
        return _on_a_server(entry)
    return entry | {
        "ENGINE": "tvarr_backup.sqlite3",
        "NAME": env.existing_file_uri(entry["NAME"]),
        "CONN_MAX_AGE": 0,
        # Without type detection: the driver's own reading of `datetime` columns fails on tvarr's forms.
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20, "detect_types": 0},
    }


def _on_a_server(entry: dict[str, Any]) -> dict[str, Any]:
    """A kept connection, tested before it is used again, because the server may have restarted.

    Waiting is limited: for a server that is gone without a word, and for others' locks (as for SQLite's).
    """
    given = entry["OPTIONS"]
    usual = {"connect_timeout": "5", "keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "3"}
    usual |= {"tcp_user_timeout": "20000"}
    settings_of_session = f"-c lock_timeout=20s {given.get('options', '')}".strip()
    return entry | {
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": usual | given | {"options": settings_of_session},
    }


DATABASES = {DEFAULT: _default_database(), TVARR: _tvarr_database()}
# A path named by the environment must exist; the place we choose ourselves may be filled by `prepare`.
TVARR_DATABASE_NAMED = bool(env.text("TVARR_DATABASE_DSN", ""))

# --- The queue and its worker ----------------------------------------------------------------------------------------

_LONGEST_TASK_SECONDS = 6 * 60 * 60
REDIS_URL = env.redis("REDIS_URL")
Q_CLUSTER = {
    "name": "tvarr-backup",
    "label": "Queue",
    **({"redis": REDIS_URL} if REDIS_URL else {"orm": DEFAULT}),
    "workers": 1,  # one operation at a time is the rule anyway
    "queue_limit": 1,
    "bulk": 1,
    "timeout": _LONGEST_TASK_SECONDS,
    # Counts from the moment a task is taken from the table, so a task that waits behind another must not be over it.
    "retry": 4 * _LONGEST_TASK_SECONDS,
    "max_attempts": 1,
    "ack_failures": True,
    "catch_up": True,  # without it, a cron in a zone with summer time spins for the whole hour that comes twice
    "time_zone": "UTC",
    "poll": 1,
    "guard_cycle": 1,
    "recycle": 50,
    "save_limit": 200,
}

# --- Safety ----------------------------------------------------------------------------------------------------------

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],  # the admin's style sheets hold small pictures
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
    },
}
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_NAME = "tvarr_backup_session"
CSRF_COOKIE_NAME = "tvarr_backup_csrf"
CSRF_FAILURE_VIEW = "config.refusals.csrf_failed"

# A home server speaks plain HTTP on its own network; where TLS is wanted, the proxy that holds the certificate adds it.
SILENCED_SYSTEM_CHECKS = [
    "security.W004",  # HSTS: the proxy's header; sent by us it would lock people out of the plain address
    "security.W008",  # redirect to HTTPS: there may be none to go to
    "security.W012",  # session cookie only over HTTPS: `Private` does it for requests that came by HTTPS
    "security.W016",  # CSRF cookie only over HTTPS: the same
]

# --- Signing in ------------------------------------------------------------------------------------------------------

# Five wrong passwords for a name from an address (REMOTE_ADDR, no header) close that pair for a quarter of an hour.
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_LOCKOUT_CALLABLE = "config.refusals.locked_out"
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False
AXES_SENSITIVE_PARAMETERS = ["username"]  # not in the log: people type passwords there by mistake

KNOX_TOKEN_MODEL = "access.ApiToken"  # noqa: S105  # a model's name
REST_KNOX = {"TOKEN_TTL": None}

# --- The API ---------------------------------------------------------------------------------------------------------

# A form with a large file, for a page that wants none, is read and forgotten, not laid on the disk of whoever may send one;
# who takes files in has a handler of its own.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
DATA_UPLOAD_MAX_NUMBER_FIELDS = 10_100  # the rows of an export, each a field
API_BODY_BYTES = 32 * 2**20
UPLOAD_BYTES = env.integer("TVARR_BACKUP_UPLOAD_LIMIT", 10 * 2**30, 1, 2**50)
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "tvarr_backup.api.authentication.BearerToken",
        "tvarr_backup.api.authentication.ApiKey",
        "tvarr_backup.api.authentication.Basic",
        "tvarr_backup.api.authentication.Session",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["tvarr_backup.api.permissions.NamedPermissions"],
    "DEFAULT_PAGINATION_CLASS": "tvarr_backup.api.pagination.Pages",
    "DEFAULT_PARSER_CLASSES": ["tvarr_backup.api.parsers.StrictJSON"],
    "DEFAULT_RENDERER_CLASSES": ["tvarr_backup.api.renderers.VisibleJSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["tvarr_backup.api.throttling.Writes"],
    "DEFAULT_THROTTLE_RATES": {"writes": "600/min"},
    "EXCEPTION_HANDLER": "tvarr_backup.api.errors.handle",
    "DEFAULT_METADATA_CLASS": "tvarr_backup.api.metadata.Methods",
    "URL_FORMAT_OVERRIDE": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "tvarr-backup",
    "DESCRIPTION": "Backups that can be trusted and configuration that travels, for tvarr.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",  # tags and ids of operations come from what follows
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},  # no picture from elsewhere
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "AcceptBrokenReferencesEnum": ["true", "false"],
        "FilterActionEnum": "tvarr_backup.models.Filter.Action",
        "ItemActionEnum": "tvarr_backup.api.envelopes.ACTIONS",
        "ItemStateEnum": "tvarr_backup.api.envelopes.STATES",
        "ResolutionEnum": "tvarr_backup.api.envelopes.RESOLUTIONS",
    },
}

# --- Logs ------------------------------------------------------------------------------------------------------------

_LEVEL = env.word("TVARR_LOGGING_LEVEL", "info", ("debug", "info", "warn", "warning", "error")).upper()
_LEVEL = "WARNING" if _LEVEL == "WARN" else _LEVEL  # tvarr's word
LOGGING_CONFIG = "config.logs.configure"
LOGGING = logs.logging_settings(_LEVEL, env.word("TVARR_LOGGING_FORMAT", "text", logs.FORMS))
