"""Settings from KB_* variables: frozen, typed, every mistake told at once."""

import os
import secrets
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from kb.errors import WrongSettings

LANGUAGES = ("en", "zh_Hans")
MINIMUM_SECRET_LENGTH = 32
FORMER_KEYS = 2
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def _setting(default: str, meaning: str) -> str:
    value: str = field(default=default, metadata={"meaning": meaning})
    return value


@dataclass(frozen=True, slots=True)
class Settings:
    """One installation; each field is the variable KB_<NAME>."""

    data_dir: Path = field(
        default=Path("kb-data"), metadata={"meaning": "folder for the database, the index, files and the secret key"}
    )
    database_url: str = _setting(
        "", "SQLAlchemy address; empty: SQLite in the data folder; postgresql+psycopg://… for many machines"
    )
    secret_key: str = field(
        default="",
        repr=False,
        metadata={
            "meaning": "signs cookies, at least 32 characters; empty: made on first start and kept in the data folder"
        },
    )
    former_secret_keys: str = field(
        default="",
        repr=False,
        metadata={
            "meaning": "keys that signed cookies before, with commas between, so that a new key signs nobody out; with "
            "the key in the data folder, `kb key rotate` keeps them"
        },
    )
    base_url: str = _setting(
        "", "address people type, such as https://kb.company.example; empty: the address served on"
    )
    trusted_proxies: int = field(default=0, metadata={"meaning": "how many proxies in front set X-Forwarded-* headers"})
    allow_http: bool = field(
        default=False, metadata={"meaning": "1: serve plain http on other than this machine's own address"}
    )
    company: str = _setting("", "your company's name, as customers read it on pages that are shared with them")
    timezone: str = _setting("Asia/Shanghai", "the company's time zone")
    language: str = _setting("zh_Hans", "language where neither person nor browser says: zh_Hans or en")
    requests_per_minute: int = field(
        default=600,
        metadata={
            "meaning": "most requests a minute of one person, program or unknown machine in each process; 0: any"
        },
    )
    max_upload_mb: int = field(default=25, metadata={"meaning": "largest request body in MB"})
    encoder: str = _setting(
        "",
        "sentence-transformers model for search by meaning: a hub name or a folder; empty: the bundled "
        "multilingual-e5-small; off: words only",
    )
    reranker: str = _setting(
        "",
        "sentence-transformers cross-encoder that reads the best twenty hits again: a hub name or a folder; empty: none",
    )
    model_dir: str = _setting("", "where the bundled model is unpacked; empty: the user's cache folder")
    smtp_url: str = field(
        default="",
        repr=False,
        metadata={
            "meaning": "mail server for notices: smtps://user:password@host:465, or smtp://host:587 (STARTTLS); "
            "empty: no mail"
        },
    )
    mail_from: str = _setting("", "address that mail comes from; needed with KB_SMTP_URL")
    oidc_issuer: str = _setting("", "single sign-on by OpenID Connect: the provider's issuer, https://…; empty: off")
    oidc_client_id: str = _setting("", "the client that the provider knows this service by")
    oidc_client_secret: str = field(default="", repr=False, metadata={"meaning": "that client's secret"})
    oidc_name: str = _setting("", "what people call it, on the button that signs them in; empty: single sign-on")
    oidc_groups: str = _setting(
        "",
        "YAML file that gives roles, parties, teams and clearance by the provider's groups; empty: as they are set here",
    )
    local_sign_in: bool = field(
        default=True, metadata={"meaning": "0: nobody signs in with a password, single sign-on alone lets in"}
    )
    inside_hosts: str = _setting(
        "", "hosts of the company's own network that the service may call, with commas between; others must be public"
    )
    log_level: str = _setting("INFO", "DEBUG, INFO, WARNING or ERROR")

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def sqlalchemy_url(self) -> str:
        return self.database_url or f"sqlite:///{self.data_dir / 'kb.sqlite3'}"

    @property
    def index_dir(self) -> Path:
        return self.data_dir / "index"

    @property
    def files_dir(self) -> Path:
        return self.data_dir / "files"

    @property
    def secret_file(self) -> Path:
        return self.data_dir / "secret.key"

    @property
    def inside(self) -> frozenset[str]:
        """Hosts inside the network that may be called."""
        return frozenset(name.strip().casefold() for name in self.inside_hosts.split(",") if name.strip())

    @property
    def is_https(self) -> bool:
        return urlsplit(self.base_url).scheme == "https"


def meanings() -> list[tuple[str, str, str]]:
    """Variable, default and meaning of every setting, for the README and `kb doctor`."""
    return [
        (f"KB_{f.name.upper()}", "" if f.default in ("", None) else _shown(f.default), f.metadata["meaning"])
        for f in fields(Settings)
    ]


def _shown(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def load(environment: Mapping[str, str] | None = None, **given: object) -> Settings:
    """Read the settings; raise WrongSettings with all mistakes, not the first."""
    environment = os.environ if environment is None else environment
    known = {f"KB_{f.name.upper()}": f for f in fields(Settings)}
    mistakes = [
        f"{name} is not a setting; `kb doctor` lists them"
        for name in environment
        if name.startswith("KB_") and name not in known
    ]
    values: dict[str, object] = {}
    for name, spec in known.items():
        raw = environment.get(name)
        if raw is None or spec.name in given:
            continue
        try:
            values[spec.name] = _reader(spec.default)(raw.strip())
        except ValueError as mistake:
            mistakes.append(f"{name}: {mistake}")
    settings = Settings(**{**values, **given})  # type: ignore[arg-type]  # the names come from the fields themselves
    if mistakes := mistakes + _mistakes(settings):
        raise WrongSettings("\n".join(mistakes))
    return settings


def _reader(default: object) -> Callable[[str], object]:
    if isinstance(default, bool):
        return _read_flag
    if isinstance(default, int):
        return _read_number
    return Path if isinstance(default, Path) else str


def _read_flag(raw: str) -> bool:
    if raw.casefold() in {"1", "true", "yes", "on"}:
        return True
    if raw.casefold() in {"", "0", "false", "no", "off"}:
        return False
    raise ValueError(f"{raw!r} is neither 1 nor 0")


def _read_number(raw: str) -> int:
    try:
        return int(raw)
    except ValueError:
        raise ValueError(f"{raw!r} is not a whole number") from None


def _mistakes(settings: Settings) -> list[str]:
    found = []
    if any(len(key) < MINIMUM_SECRET_LENGTH for key in former_keys(settings)):
        found.append(f"KB_FORMER_SECRET_KEYS holds a key of fewer than {MINIMUM_SECRET_LENGTH} characters")
    if settings.secret_key and len(settings.secret_key) < MINIMUM_SECRET_LENGTH:
        found.append(
            f"KB_SECRET_KEY is shorter than {MINIMUM_SECRET_LENGTH} characters: leave it empty and one is made"
        )
    if settings.timezone not in available_timezones():
        found.append(f"KB_TIMEZONE {settings.timezone!r} is not a time zone such as Asia/Shanghai")
    if settings.language not in LANGUAGES:
        found.append(f"KB_LANGUAGE {settings.language!r} is neither of {', '.join(LANGUAGES)}")
    if settings.max_upload_mb < 1:
        found.append("KB_MAX_UPLOAD_MB must be at least 1")
    if settings.requests_per_minute < 0:
        found.append("KB_REQUESTS_PER_MINUTE must be 0 or more")
    if settings.trusted_proxies < 0:
        found.append("KB_TRUSTED_PROXIES must be 0 or more")
    if settings.log_level not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        found.append(f"KB_LOG_LEVEL {settings.log_level!r} is none of DEBUG, INFO, WARNING, ERROR")
    if settings.database_url and not settings.database_url.startswith(("sqlite:///", "postgresql+psycopg://")):
        found.append("KB_DATABASE_URL must start with sqlite:/// or postgresql+psycopg://")
    return found + _address_mistakes(settings) + _mail_mistakes(settings) + _single_sign_on_mistakes(settings)


def _single_sign_on_mistakes(settings: Settings) -> list[str]:
    found = []
    if not settings.oidc_issuer:
        if not settings.local_sign_in:
            found.append("KB_LOCAL_SIGN_IN=0 without KB_OIDC_ISSUER would let nobody in")
        return found
    parts = urlsplit(settings.oidc_issuer)
    if parts.query or parts.fragment or not parts.hostname or parts.scheme not in {"https", "http"}:
        found.append("KB_OIDC_ISSUER is not an address such as https://login.company.example")
    elif parts.scheme == "http" and parts.hostname not in LOOPBACK:
        found.append("KB_OIDC_ISSUER is plain http: whoever stands between could sign in as anybody")
    if not settings.oidc_client_id:
        found.append("KB_OIDC_CLIENT_ID must be set with KB_OIDC_ISSUER")
    if not settings.base_url:
        found.append("KB_BASE_URL must be set with KB_OIDC_ISSUER: the provider sends people back there")
    if settings.oidc_groups and not Path(settings.oidc_groups).is_file():
        found.append(f"KB_OIDC_GROUPS {settings.oidc_groups!r} is not a file")
    return found


def _mail_mistakes(settings: Settings) -> list[str]:
    if not settings.smtp_url:
        return []
    found = []
    try:
        parts = urlsplit(settings.smtp_url)
        named = parts.scheme in {"smtp", "smtps"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        named = False
    if not named:
        found.append("KB_SMTP_URL is not an address such as smtps://user:password@mail.company.example:465")
    if "@" not in settings.mail_from.strip("@"):
        found.append("KB_MAIL_FROM must name the address that mail comes from")
    if not settings.base_url:
        found.append("KB_BASE_URL must be set with KB_SMTP_URL: links in mails lead there")
    return found


def _address_mistakes(settings: Settings) -> list[str]:
    if not settings.base_url:
        return []
    parts = urlsplit(settings.base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return [f"KB_BASE_URL {settings.base_url!r} is not an address such as https://kb.company.example"]
    if parts.scheme == "http" and parts.hostname not in LOOPBACK and not settings.allow_http:
        return [
            "KB_BASE_URL is plain http: put https in front, or set KB_ALLOW_HTTP=1 knowing that passwords travel readable"
        ]
    return []


def prepare_data_dir(settings: Settings) -> Settings:
    """Make the data folder (mode 700) and the secret key (mode 600); refuse a folder others may write."""
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if settings.data_dir.stat().st_mode & stat.S_IWOTH:
        raise WrongSettings(
            f"{settings.data_dir} can be written by everybody on this machine: chmod 700 {settings.data_dir}"
        )
    if settings.secret_key:
        return settings
    key, *former = _kept_secrets(settings.secret_file)
    return load(
        {},
        **{f.name: getattr(settings, f.name) for f in fields(Settings)}
        | {
            "secret_key": key,
            "former_secret_keys": settings.former_secret_keys or "".join(f"{one}\n" for one in former),
        },
    )


def _kept_secrets(path: Path) -> list[str]:
    """The present key, and those before it that still hold; the file is made where there is none."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(48))
    except FileExistsError:
        pass
    keys = [line.strip() for line in path.read_text().splitlines() if line.strip()]
    if not keys or any(len(key) < MINIMUM_SECRET_LENGTH for key in keys):
        raise WrongSettings(f"{path} holds no usable key: delete it and start again (everybody signs in anew)")
    return keys


def former_keys(settings: Settings) -> list[str]:
    """Keys whose cookies still hold: a line each as the folder keeps them, or with commas between."""
    given = settings.former_secret_keys
    return [key.strip() for key in given.split("\n" if "\n" in given else ",") if key.strip()]


def all_keys(settings: Settings) -> list[str]:
    """The present key and those before it that still hold."""
    return [settings.secret_key, *former_keys(settings)]


def rotate_secret(settings: Settings) -> int:
    """Put a new key in front of the present one in the data folder; answers how many former ones are kept, two at most.

    Who is signed in stays so: cookies of the former keys hold until `forget_secrets`. Raises WrongSettings where the key
    is given by the environment.
    """
    keys = _kept_secrets(_own_file(settings))
    _write_secrets(settings.secret_file, [secrets.token_urlsafe(48), *keys[:FORMER_KEYS]])
    return min(len(keys), FORMER_KEYS)


def forget_secrets(settings: Settings) -> int:
    """Let no former key hold any more: cookies that they signed are refused; answers how many there were."""
    key, *former = _kept_secrets(_own_file(settings))
    _write_secrets(settings.secret_file, [key])
    return len(former)


def _own_file(settings: Settings) -> Path:
    """The file of the keys, where it is the one that counts."""
    if not settings.secret_file.is_file() or os.environ.get("KB_SECRET_KEY"):
        raise WrongSettings(
            "the key is given by KB_SECRET_KEY: put a new one there, and the present one into KB_FORMER_SECRET_KEYS"
        )
    return settings.secret_file


def _write_secrets(path: Path, keys: list[str]) -> None:
    """Whole or not at all, for the owner's eyes alone."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("\n".join(keys) + "\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
