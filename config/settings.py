"""All settings, read from the environment. Importing this writes nothing."""

import socket
from datetime import timedelta
from typing import Any

from csp.constants import NONE, SELF
from django.core.management.utils import get_random_secret_key
from django.utils.crypto import salted_hmac

from config import env, logs
from config.routers import DEFAULT, TVARR
from config.static_files import hash_static_files
from tvarr_backup.program import ASSETS, IS_CHECKOUT

# --- Files, schedule, server, first administrator --------------------------------------------------------------------

SET_VARIABLES = env.find_set()  # before Django sets TZ
STORAGE_BASE_DIR = env.path("TVARR_STORAGE_BASE_DIR", "data")
SECRET_KEY_PATH = STORAGE_BASE_DIR / "secret-key"
INITIAL_PASSWORD_PATH = STORAGE_BASE_DIR / "initial-password"
BACKUP_DIRECTORY = env.path("TVARR_BACKUP_DIRECTORY", str(STORAGE_BASE_DIR / "backups"))
# A value saved on the settings page takes precedence over these.
BACKUP_SCHEDULE_ENABLED = env.flag("TVARR_BACKUP_SCHEDULE_ENABLED", default=True)
BACKUP_SCHEDULE_CRON = env.cron("TVARR_BACKUP_SCHEDULE_CRON", "0 2 * * *")
BACKUP_RETENTION = env.integer("TVARR_BACKUP_SCHEDULE_RETENTION", 7, 1, 100_000)
BACKUP_RETENTION_DAILY = env.integer("TVARR_BACKUP_SCHEDULE_RETENTION_DAILY", 0, 0, 100_000)
BACKUP_RETENTION_WEEKLY = env.integer("TVARR_BACKUP_SCHEDULE_RETENTION_WEEKLY", 0, 0, 100_000)
BACKUP_RETENTION_MONTHLY = env.integer("TVARR_BACKUP_SCHEDULE_RETENTION_MONTHLY", 0, 0, 100_000)
BACKUP_RETENTION_YEARLY = env.integer("TVARR_BACKUP_SCHEDULE_RETENTION_YEARLY", 0, 0, 100_000)
BACKUP_MAX_AGE = env.duration("TVARR_BACKUP_SCHEDULE_MAX_AGE")
BACKUP_REHEARSAL_INTERVAL = env.interval("TVARR_BACKUP_REHEARSAL_INTERVAL", "1w")
UNDO_DAYS = env.integer("TVARR_BACKUP_UNDO_DAYS", 30, 0, 3650)
HISTORY_DAYS = env.integer("TVARR_BACKUP_HISTORY_DAYS", 365, 0, 36500)
HISTORY_BYTES = env.integer("TVARR_BACKUP_HISTORY_LIMIT", 64 * 2**20, 0, 2**40)
UNDO_BYTES = env.integer("TVARR_BACKUP_UNDO_LIMIT", 64 * 2**20, 0, 2**40)
BACKUP_GROUP = env.group("TVARR_BACKUP_GROUP")
BACKUP_FILE_MODE = env.file_mode("TVARR_BACKUP_FILE_MODE", "0600" if BACKUP_GROUP is None else "0640")
LOCATIONS = env.locations()
NOTIFY_ADDRESSES = env.receivers("TVARR_NOTIFY_URLS")
NOTIFY_NAME = env.text("TVARR_NOTIFY_NAME", socket.gethostname())
MAIL_SERVER = env.mail_server("EMAIL_URL")
PING_URL = env.ping_address("TVARR_BACKUP_PING_URL")
SERVER_HOST = env.host("TVARR_SERVER_HOST", "127.0.0.1")
SERVER_PORT = env.integer("TVARR_SERVER_PORT", 8081, 1, 65535)
BASE_PATH = env.base_path("TVARR_SERVER_BASE_PATH")
ADMIN_USERNAME = env.text("TVARR_ADMIN_USERNAME", "admin")
ADMIN_PASSWORD = env.text("TVARR_ADMIN_PASSWORD", "")
ADMIN_IS_NAMED = bool(ADMIN_PASSWORD or env.text("TVARR_ADMIN_USERNAME", ""))

# --- Django ----------------------------------------------------------------------------------------------------------

DEBUG = False
# Without a key file, a process creates a key, and `prepare` saves it.
_saved_key = env.secret_key(SECRET_KEY_PATH)
SECRET_KEY_IS_NEW = _saved_key is None
SECRET_KEY = _saved_key or get_random_secret_key()
ALLOWED_HOSTS = [
    *env.hosts(
        "ALLOWED_HOSTS", [socket.gethostname().lower(), f"[{SERVER_HOST}]" if ":" in SERVER_HOST else SERVER_HOST]
    ),
    *("localhost", "127.0.0.1", "[::1]"),  # for health checks inside a container
]
CSRF_TRUSTED_ORIGINS = env.origins("CSRF_TRUSTED_ORIGINS")
# gunicorn uses this. Django's own setting would trust the header of every client.
FORWARDED_ALLOW_IPS = env.networks("FORWARDED_ALLOW_IPS", "127.0.0.1,::1")
FORCE_SCRIPT_NAME = BASE_PATH  # also if it is empty: no header of a request names another one
# A proxy at one of the addresses signs users in, if the header is named.
PROXY_USER_HEADER = env.header("TVARR_PROXY_USER_HEADER")
PROXY_ADDRESSES = env.addresses("TVARR_PROXY_ADDRESSES")
PROXY_ROLES_HEADER = env.header("TVARR_PROXY_ROLES_HEADER")
PROXY_DEFAULT_ROLE = env.word("TVARR_PROXY_DEFAULT_ROLE", "viewer", ("administrator", "operator", "viewer", "none"))
PROXY_SIGN_OUT_URL = env.address("TVARR_PROXY_SIGN_OUT_URL")
if PROXY_USER_HEADER and not PROXY_ADDRESSES:
    raise env.invalid("TVARR_PROXY_ADDRESSES", "", "the addresses of the proxy that sends TVARR_PROXY_USER_HEADER")
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django_q",  # before our admin, which removes admin pages of this app and the next
    "axes",
    "tvarr_backup.apps.TvarrBackupConfig",
    "tvarr_backup.portable.apps.PortableConfig",
    "tvarr_backup.operations.apps.OperationsConfig",
    "tvarr_backup.access.apps.AccessConfig",
    "tvarr_backup.web.apps.WebConfig",
    "tvarr_backup.access.admin_app.TvarrBackupAdminConfig",
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
    # First, so that their headers are on every response, including errors and static files.
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.private.Private",
    "config.requests.RequestLog",
    "tvarr_backup.web.middleware.Compressed",
    "tvarr_backup.api.middleware.RequestChecks",
    "config.refusals.LengthRequired",
    "config.refusals.Unavailable",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "config.refusals.ProxySignIn",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
    "tvarr_backup.web.middleware.SignedOut",
    "config.refusals.MethodNotAllowed",
]

AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
    "django.contrib.auth.backends.RemoteUserBackend",  # of users whom a proxy signs in; no page or request uses it
]

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
USE_I18N = False  # there is one language, and pages are faster
FORMAT_MODULE_PATH = "config.formats"
TIME_ZONE = env.time_zone("TZ", "UTC")
USE_TZ = True

STATICFILES_DIRS = [ASSETS / "static"]
STATIC_URL = f"{BASE_PATH}/static/{hash_static_files(STATICFILES_DIRS)}/"
WHITENOISE_IMMUTABLE_FILE_TEST = r"^/static/[0-9a-f]{8}/"
WHITENOISE_ALLOW_ALL_ORIGINS = False
WHITENOISE_USE_FINDERS = True  # no `collectstatic`

# --- The two databases -----------------------------------------------------------------------------------------------

DATABASE_ROUTERS = ["config.routers.DatabaseRouter"]


def _default_database() -> dict[str, Any]:
    """Only `prepare` creates this database. Of 900 transactions, 313 failed as locked with `DEFERRED`, none with `IMMEDIATE`."""
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
    """Return tvarr's database. Opening it never creates it or changes its journal mode."""
    entry = env.database("TVARR_DATABASE_DSN", STORAGE_BASE_DIR / "tvarr.db")
    if entry["ENGINE"] == env.POSTGRESQL:
        return _on_a_server(entry)
    return entry | {
        "READ_ONLY_DISKS": True,
        "NAME": env.existing_file_uri(entry["NAME"]),
        "CONN_MAX_AGE": 0,
        # Without type detection, because the driver cannot parse tvarr's timestamps.
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20, "detect_types": 0},
    }


def _on_a_server(entry: dict[str, Any]) -> dict[str, Any]:
    """Keep connections, check them before use, and limit waiting for an unreachable server and for locks."""
    given = entry["OPTIONS"]
    defaults = {"connect_timeout": "5", "keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "3"}
    defaults |= {"tcp_user_timeout": "20000"}
    session_options = f"-c lock_timeout=20s {given.get('options', '')}".strip()
    return entry | {
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": defaults | given | {"options": session_options},
    }


DATABASES = {DEFAULT: _default_database(), TVARR: _tvarr_database()}
# A database that is set must exist, because a typo would create an empty one. `prepare` creates the default one.
TVARR_DATABASE_NAMED = bool(env.text("TVARR_DATABASE_DSN", ""))

# --- The queue and its worker ----------------------------------------------------------------------------------------

_LONGEST_TASK_SECONDS = 6 * 60 * 60
REDIS_URL = env.redis("REDIS_URL")
Q_CLUSTER = {
    "name": "tvarr-backup",
    "label": "Queue",
    **({"redis": REDIS_URL} if REDIS_URL else {"orm": DEFAULT}),
    "workers": 1,  # operations run one at a time
    "queue_limit": 1,
    "bulk": 1,
    "timeout": _LONGEST_TASK_SECONDS,
    # This time starts when a task is taken from the table, and includes waiting for other tasks.
    "retry": 4 * _LONGEST_TASK_SECONDS,
    "max_attempts": 1,
    "ack_failures": True,
    "catch_up": True,  # without it, crons spin during the hour that a clock change repeats
    "time_zone": "UTC",
    "poll": 1,
    "guard_cycle": 1,
    "recycle": 50,
    "save_limit": 200,
}

# --- Security --------------------------------------------------------------------------------------------------------

_SIGN_OUT_ORIGIN = ["/".join(PROXY_SIGN_OUT_URL.split("/")[:3])] if PROXY_SIGN_OUT_URL else []
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],  # images in the admin's style sheets
        "base-uri": [SELF],
        "form-action": [SELF, *_SIGN_OUT_ORIGIN],  # browsers check redirects of forms, too
        "frame-ancestors": [NONE],
        "object-src": [NONE],
    },
}
X_FRAME_OPTIONS = "DENY"
# Browsers send cookies to all ports of a host name, where there may be another installation.
_INSTALLATION = salted_hmac("config.settings", "cookies", secret=SECRET_KEY, algorithm="sha256").hexdigest()[:8]
SESSION_COOKIE_NAME = f"tvarr_backup_session_{_INSTALLATION}"
CSRF_COOKIE_NAME = f"tvarr_backup_csrf_{_INSTALLATION}"
MESSAGES_COOKIE_NAME = f"tvarr_backup_messages_{_INSTALLATION}"
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = BASE_PATH or "/"
MESSAGE_STORAGE = "config.messages.Storage"
CSRF_FAILURE_VIEW = "config.refusals.csrf_failed"

# TLS is the job of a reverse proxy.
SILENCED_SYSTEM_CHECKS = [
    "security.W004",  # HSTS: sent by us, it would make the plain HTTP address unreachable
    "security.W008",  # redirect to HTTPS: there may be no HTTPS address
    "security.W012",  # secure session cookie: `Private` does this for HTTPS requests
    "security.W016",  # secure CSRF cookie: the same
]

# --- Signing in ------------------------------------------------------------------------------------------------------

# Five wrong passwords for a name from one address (REMOTE_ADDR, not a header) lock that pair for 15 minutes.
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_LOCKOUT_CALLABLE = "config.refusals.locked_out"
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False
AXES_SENSITIVE_PARAMETERS = ["username"]  # not logged, because users type passwords there by mistake

KNOX_TOKEN_MODEL = "access.ApiToken"  # noqa: S105  # a model's name
REST_KNOX = {"TOKEN_TTL": None}

# --- The API ---------------------------------------------------------------------------------------------------------

# Files sent to a page that expects none are discarded instead of being saved to the disk. Uploads have their own handler.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
DATA_UPLOAD_MAX_NUMBER_FIELDS = 10_100  # an export form has a field for each row
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
    "DEFAULT_THROTTLE_CLASSES": ["tvarr_backup.api.throttling.WriteThrottle"],
    "DEFAULT_THROTTLE_RATES": {"writes": "600/min"},
    "EXCEPTION_HANDLER": "tvarr_backup.api.errors.handle",
    "DEFAULT_METADATA_CLASS": "tvarr_backup.api.metadata.AllowedMethods",
    "URL_FORMAT_OVERRIDE": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "tvarr-backup",
    "DESCRIPTION": "Reliable backups and portable configuration for tvarr.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",  # tags and operation ids are made from the rest
    "SERVERS": [{"url": BASE_PATH}] if BASE_PATH else [],
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},  # no image from another host
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "AcceptBrokenReferencesEnum": ["true", "false"],
        "BackupKindEnum": "tvarr_backup.api.backups.serializers.KINDS",
        "FilterActionEnum": "tvarr_backup.models.Filter.Action",
        "HealthStateEnum": "tvarr_backup.api.status.STATES",
        "ItemActionEnum": "tvarr_backup.api.envelopes.ACTIONS",
        "ItemKindEnum": "tvarr_backup.api.envelopes.SLUGS",
        "ItemStateEnum": "tvarr_backup.api.envelopes.STATES",
        "LocationKindEnum": "tvarr_backup.api.locations.KINDS",
        "LocationStateEnum": "tvarr_backup.api.locations.STATES",
        "MessageStateEnum": "tvarr_backup.api.receivers.MESSAGE_STATES",
        "ReceiverKindEnum": "tvarr_backup.api.receivers.KINDS",
        "ReceiverStateEnum": "tvarr_backup.api.receivers.STATES",
        "ResolutionEnum": "tvarr_backup.api.envelopes.RESOLUTIONS",
    },
}

# --- Logs ------------------------------------------------------------------------------------------------------------

_LEVEL = env.word("TVARR_LOGGING_LEVEL", "info", ("debug", "info", "warn", "warning", "error")).upper()
_LEVEL = "WARNING" if _LEVEL == "WARN" else _LEVEL  # tvarr's name
LOGGING_CONFIG = "config.logs.configure"
LOGGING = logs.logging_settings(_LEVEL, env.word("TVARR_LOGGING_FORMAT", "text", logs.FORMS))
