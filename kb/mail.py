"""Sends mail by SMTP: encrypted, or to this very machine alone; what cannot be sent is tried again by whoever asked."""

import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr
from typing import Final
from urllib.parse import unquote, urlsplit

from kb.config import LOOPBACK, Settings
from kb.errors import WrongSettings

SECONDS: Final = 20
PORTS: Final = {"smtp": 587, "smtps": 465}


class NotSent(Exception):
    """The mail server did not take it; the text says why."""


class Refused(NotSent):
    """The server takes mail, but not for this address: trying again helps nobody."""


@dataclass(frozen=True, slots=True)
class Mail:
    to: str
    subject: str
    text: str


def is_on(settings: Settings) -> bool:
    return bool(settings.smtp_url)


def send(settings: Settings, *mails: Mail) -> None:
    """Hand them to the mail server in one connection; NotSent where it takes none, Refused where not this one."""
    if not is_on(settings):
        raise NotSent("KB_SMTP_URL is not set")
    try:
        with _connected(settings) as server:
            for mail in mails:
                server.send_message(_message(settings, mail))
    except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError) as error:
        raise Refused(f"{type(error).__name__}: {error}") from error
    except (OSError, smtplib.SMTPException) as error:  # a wrong certificate is an OSError
        raise NotSent(f"{type(error).__name__}: {error}") from error


def check(settings: Settings) -> str:
    """Connect and sign in without sending; what is well, for `kb doctor`. Raises WrongSettings."""
    if not is_on(settings):
        return "off: KB_SMTP_URL is not set, notices stay in the product"
    try:
        with _connected(settings) as server:
            server.noop()
    except (OSError, smtplib.SMTPException) as error:
        raise WrongSettings(f"the mail server does not answer as it should: {type(error).__name__}: {error}") from error
    return f"{urlsplit(settings.smtp_url).hostname} takes mail"


def _connected(settings: Settings) -> smtplib.SMTP:
    parts = urlsplit(settings.smtp_url)
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    secure = ssl.create_default_context()
    if parts.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=SECONDS, context=secure)
    else:
        server = smtplib.SMTP(host, port, timeout=SECONDS)
    try:
        if parts.scheme == "smtp" and host not in LOOPBACK:
            server.starttls(context=secure)  # raises where the server has none: nothing goes out readable
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
    except BaseException:
        server.close()
        raise
    return server


def _message(settings: Settings, mail: Mail) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = settings.mail_from, mail.to, _one_line(mail.subject)
    message["Date"], message["Message-ID"] = (
        formatdate(),
        make_msgid(domain=parseaddr(settings.mail_from)[1].rpartition("@")[2]),
    )
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    return message


def _one_line(words: str) -> str:
    """A title with a line break must not become a header of its own."""
    return " ".join(words.split())
