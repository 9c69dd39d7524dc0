"""All settings. What differs between installations is an environment variable; `.env.example` lists them.

Without any variable the server is complete in itself: SQLite, local files and a private Redis, all below VAR_DIR.
"""

from datetime import timedelta
from pathlib import Path

from evalserver.embedded import private_redis_url
from evalserver.env import (
    env_bool,
    env_bucket,
    env_choice,
    env_database,
    env_int,
    env_list,
    env_mail,
    env_path,
    env_secret,
    env_sign_in,
    env_str,
    env_url,
)

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = env_path("VAR_DIR", BASE_DIR / "var")
DEBUG = env_bool("DEBUG", False)
SECRET_KEY = env_secret("SECRET_KEY", file=VAR_DIR / "secret-key")
LOCAL_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", LOCAL_HOSTS)
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS", [])
HTTPS = env_bool("HTTPS", False)

# Log in through others, each only where its client id is set. A form may lead to these origins; everything else is
# forbidden by the content security policy.
SOCIALACCOUNT_PROVIDERS, SIGN_IN_ORIGINS = env_sign_in(
    {"github": "https://github.com", "orcid": "https://orcid.org"}, scopes={"github": ["read:user", "user:email"]}
)

INSTALLED_APPS = [
    "evalserver.site.admin_site.EvalserverAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    *(f"allauth.socialaccount.providers.{name}" for name in SOCIALACCOUNT_PROVIDERS),
    "evalserver.apps.EvalserverConfig",
    "evalserver.accounts",
    "evalserver.uploads",
    "evalserver.benchmarks",
    "evalserver.workshop",
    "evalserver.submissions",
    "evalserver.leaderboard",
    "evalserver.api",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "evalserver.site.middleware.security_headers",
    "evalserver.site.middleware.api_errors",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "evalserver.site.middleware.HostCheck",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "evalserver.site.middleware.upload_gate",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]
ROOT_URLCONF = "evalserver.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        # Of our own, and those that take the place of a library's.
        "DIRS": [BASE_DIR / "templates", BASE_DIR / "templates" / "library"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "evalserver.site.middleware.site_context",
            ],
        },
    },
]
SITE_NAME = env_str("SITE_NAME", "AxonEM benchmark")
# For the foot of each page; what is empty is not shown.
SITE_CONTACT = env_str("SITE_CONTACT", "")
IMPRINT_URL = env_str("IMPRINT_URL", "")
SOFTWARE_URL = env_str("SOFTWARE_URL", "")

# Database -----------------------------------------------------------------------------------------------------
_DATABASE_URL = env_url("DATABASE_URL", schemes=("postgres", "postgresql", "sqlite"))
EMBEDDED_DATABASE = not _DATABASE_URL
DATABASES = {"default": env_database(_DATABASE_URL or f"sqlite:///{VAR_DIR / 'db.sqlite3'}")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Files --------------------------------------------------------------------------------------------------------
# Uploads, ground truth and sampled labels. No URL serves this folder: views hand out what one may see.
MEDIA_ROOT = VAR_DIR / "private"
MEDIA_URL = ""
FILE_UPLOAD_TEMP_DIR = VAR_DIR / "private" / "incoming"
SCRATCH_DIR = VAR_DIR / "scratch"
FILE_UPLOAD_HANDLERS = ["evalserver.uploads.HashingUploadHandler"]
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700
UPLOAD_MAX_BYTES = env_int("UPLOAD_MAX_MB", 16 * 1024, minimum=1) * 2**20
DATA_UPLOAD_MAX_MEMORY_SIZE = 2**20
# Resumable uploads lie here until a submission takes them: a folder that all web and worker machines share.
UPLOAD_DIR = env_path("UPLOAD_DIR", MEDIA_ROOT / "resumable")
UPLOAD_QUOTA_BYTES = env_int("UPLOAD_QUOTA_GB", 64, minimum=1) * 2**30
UPLOAD_MAX_OPEN = env_int("UPLOAD_MAX_OPEN", 20, minimum=1)
UPLOAD_EXPIRE_HOURS = env_int("UPLOAD_EXPIRE_HOURS", 7 * 24, minimum=1)
# Stored files that no row names go when nothing in them has changed for so long.
LEFTOVER_DAYS = env_int("LEFTOVER_DAYS", 7, minimum=1)
UPLOAD_STALL_SECONDS = env_int("UPLOAD_STALL_SECONDS", 30, minimum=1)
# Slow clients: a request's head in so many seconds, each so many seconds of waiting for a body with the least speed.
HEADER_SECONDS = env_int("HEADER_SECONDS", 10, minimum=1)
BODY_SECONDS = env_int("BODY_SECONDS", 20, minimum=1)
LEAST_BYTES_PER_SECOND = env_int("LEAST_BYTES_PER_SECOND", 500)
LEAST_FORM_BYTES_PER_SECOND = env_int("LEAST_FORM_BYTES_PER_SECOND", 50_000)  # such a form holds a place among few
CONNECTIONS_PER_ADDRESS = env_int("CONNECTIONS_PER_ADDRESS", 100, minimum=1)
WEB_THREADS = env_int("WEB_THREADS", 8, minimum=2)
API_REQUESTS_PER_MINUTE = env_int("API_REQUESTS_PER_MINUTE", 600, minimum=1)

STORAGES = {
    "default": env_bucket() or {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "axonem_eval" / room / "static" for room in ("report", "viewer")]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "evalserver.site.software.SoftwareFinder",
]
STATIC_ROOT = env_path("STATIC_ROOT", VAR_DIR / "static")

# Users and security -------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "my_submissions"
LOGOUT_REDIRECT_URL = "home"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = int(timedelta(days=365).total_seconds()) if HTTPS else 0
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^metrics$"]
TRUST_PROXY = env_bool("TRUST_PROXY", False)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUST_PROXY else None
# Whether all of the domain's hosts speak https, and browsers may be told so for good, is for its owner to say.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# Accounts: django-allauth ---------------------------------------------------------------------------------------
CONFIRM_EMAIL = env_bool("CONFIRM_EMAIL", True)
ACCOUNT_ADAPTER = "evalserver.accounts.adapters.AccountAdapter"
ACCOUNT_FORMS = {"signup": "evalserver.accounts.allauth_forms.EvenSignupForm"}
ACCOUNT_SIGNUP_FORM_CLASS = "evalserver.accounts.signup_form.SignUpFields"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory" if CONFIRM_EMAIL else "none"
# Only in the browser that signed up, and only while it waits for the confirmation.
ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = f"[{SITE_NAME}] "
ACCOUNT_EMAIL_NOTIFICATIONS = True  # tells the owner of every change to password, addresses and 2FA
ACCOUNT_MAX_EMAIL_ADDRESSES = 5
# Comparisons of two entries by readers who are not logged in, which keep a worker busy. The others are the library's.
ACCOUNT_RATE_LIMITS = {"compare": "20/h/ip"}
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_PREVENT_ENUMERATION = True
EVEN_ANSWER_SECONDS = 1.0
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if HTTPS else "http"
ALLAUTH_TRUSTED_PROXY_COUNT = 1 if TRUST_PROXY else 0
MFA_ADAPTER = "evalserver.accounts.adapters.MfaAdapter"
MFA_TOTP_ISSUER = SITE_NAME
MFA_TOTP_TOLERANCE = 1  # clocks of telephones differ by some seconds

# Mail ---------------------------------------------------------------------------------------------------------
# How participants reach this server; links in mails begin with it. `up` sets it to its own address.
SITE_URL = (env_url("SITE_URL", schemes=("https", "http")) or "http://127.0.0.1:8000").rstrip("/")
EMAIL_FILE_PATH = VAR_DIR / "mail"
_MAIL = env_mail("EMAIL_URL")
EMAIL_BACKEND = _MAIL["EMAIL_BACKEND"]
EMAIL_HOST = _MAIL.get("EMAIL_HOST", "localhost")
EMAIL_PORT = _MAIL.get("EMAIL_PORT", 25)
EMAIL_HOST_USER = _MAIL.get("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = _MAIL.get("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = _MAIL.get("EMAIL_USE_TLS", False)
EMAIL_USE_SSL = _MAIL.get("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env_str("MAIL_FROM", f"{SITE_NAME} <noreply@localhost>")

# Pages --------------------------------------------------------------------------------------------------------
LEADERBOARD_CACHE_SECONDS = env_int("LEADERBOARD_CACHE_SECONDS", 1)

# Language and time: every time is stored and shown in UTC, and says so -----------------------------------------
LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"

# Jobs ---------------------------------------------------------------------------------------------------------
# A worker that has not renewed its lease for this long is taken for dead.
LEASE_SECONDS = env_int("LEASE_SECONDS", 60, minimum=1)
RECONCILE_SECONDS = env_int("RECONCILE_SECONDS", 30, minimum=1)
MAX_ATTEMPTS = 3
# A worker that vanished was perhaps killed by its job, perhaps by something else: it counts less than an error.
MAX_LOST_WORKERS = 5
RETRY_DELAY_SECONDS = env_int("RETRY_DELAY_SECONDS", 10)
MAX_RUN_SECONDS = env_int("MAX_RUN_HOURS", 12, minimum=1) * 3600
SKELETONIZE_PROCESSES = env_int("SKELETONIZE_PROCESSES", 1, minimum=1)
# Or a queue whose workers share the parts of it, on any number of machines that share VAR_DIR.
SKELETONIZE_QUEUE = env_str("SKELETONIZE_QUEUE")
CODE_VERSION = env_str("CODE_VERSION")
# After the score: what a segmentation's own skeletons tell, and files for the viewer.
DIAGNOSE = env_bool("DIAGNOSE", True)
VIEWER_MAX_VOXELS = env_int("VIEWER_MAX_MVOXELS", 1024) * 10**6

REDIS_URL = env_url("REDIS_URL", schemes=("redis", "rediss", "redis+socket", "unix"))
EMBEDDED_REDIS = not REDIS_URL
REDIS_URL = REDIS_URL or private_redis_url(VAR_DIR)
CELERY_BROKER_URL = REDIS_URL
CACHES = {
    "default": {
        "BACKEND": "evalserver.cache.ForgivingRedisCache",
        "LOCATION": REDIS_URL.replace("redis+socket://", "unix://", 1),
        "KEY_PREFIX": "evalserver",
        "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 2},
    }
}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_TIME_LIMIT = MAX_RUN_SECONDS + 60
CELERY_TASK_DEFAULT_QUEUE = "jobs"
# The reconciler has a queue and a worker of its own: it must run while every other worker is busy.
CELERY_TASK_ROUTES = {
    "evalserver.submissions.tasks.requeue_stale_task": {"queue": "control"},
    "evalserver.submissions.tasks.remove_leftovers_task": {"queue": "control"},
    "evalserver.submissions.tasks.mail_result_task": {"queue": "control"},
    "evalserver.accounts.tasks.send_mail_task": {"queue": "control"},
    # Short, and somebody looks at the page: it must not wait behind evaluations of an hour.
    "evalserver.uploads.tasks.check_upload_task": {"queue": "control"},
    "evalserver.submissions.tasks.compare_task": {"queue": "control"},
    "evalserver.submissions.tasks.export_task": {"queue": "control"},
    # Far longer than scoring, and less wanted: no score may wait behind it.
    "evalserver.submissions.tasks.diagnose_task": {"queue": "diagnosis"},
    "evalserver.submissions.tasks.draw_errors_task": {"queue": "diagnosis"},
}
CELERY_BEAT_SCHEDULE = {
    "requeue-stale": {
        "task": "evalserver.submissions.tasks.requeue_stale_task",
        "schedule": RECONCILE_SECONDS,
        "options": {"expires": RECONCILE_SECONDS},
    },
    "remove-leftovers": {
        "task": "evalserver.submissions.tasks.remove_leftovers_task",
        "schedule": timedelta(hours=6),
    },
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 3600,
    "socket_connect_timeout": 3,
}
# A web request must not hang when Redis is away: the row is stored, the reconciler sends it later.
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.2}
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_TIMEZONE = "UTC"

# Whoever shows it reads /metrics. Without one, programs on this machine do.
METRICS_TOKEN = env_str("METRICS_TOKEN")

# Log ----------------------------------------------------------------------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {"format": "{asctime} {levelname} {name} {ids}{message}", "style": "{"},
        "json": {"()": "evalserver.log_format.JsonLines"},
    },
    "filters": {"mask": {"()": "evalserver.log_mask.MaskKeys"}, "ids": {"()": "evalserver.log_format.AddIds"}},
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": env_choice("LOG_FORMAT", "plain", {"plain", "json"}),
            "filters": ["mask", "ids"],
        }
    },
    "root": {"handlers": ["console"], "level": env_str("LOG_LEVEL", "INFO").upper()},
    "loggers": {"django": {"handlers": ["console"], "propagate": False}},
}
