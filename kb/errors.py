"""What can go wrong on purpose: six families, each error with a stable code and one clear message."""

from collections.abc import Mapping


def N_(text: str) -> str:  # noqa: N802  # gettext's customary name for "translate later"
    """Mark a text for the catalogue; it is translated where it is shown."""
    return text


class KbError(Exception):
    """A refusal the reader can act on; the edge turns it into a page or a problem document."""

    status = 500
    code = "error"
    message = N_("Something went wrong.")

    def __init__(self, message: str | None = None, /, *, code: str | None = None, **details: object) -> None:
        super().__init__(message or self.message)
        self.text = message or self.message
        self.code = code or type(self).code
        self.details: Mapping[str, object] = details


class Invalid(KbError):
    """The input cannot be read as what it should be."""

    status, code, message = 422, "invalid", N_("This cannot be read.")


class SignInNeeded(KbError):
    """Nobody is signed in."""

    status, code, message = 401, "sign_in_needed", N_("Sign in first.")


class Forbidden(KbError):
    """The thing is visible to the actor, the act is not allowed."""

    status, code, message = 403, "forbidden", N_("You may not do this.")


class NotFound(KbError):
    """It does not exist, or not for this actor: both look the same."""

    status, code, message = 404, "not_found", N_("Nothing is here.")


class Conflict(KbError):
    """The state has moved on."""

    status, code, message = 409, "conflict", N_("This has changed meanwhile.")


class TooMuch(KbError):
    """Too large or too often."""

    status, code, message = 429, "too_many", N_("Too many tries. Wait a little.")

    def __init__(self, message: str | None = None, /, *, retry_after: int = 60, **details: object) -> None:
        super().__init__(message, code=None, **details)
        self.retry_after = retry_after


class TooLarge(KbError):
    """More bytes than the service takes."""

    status, code, message = 413, "too_large", N_("This is too large.")


class Unavailable(KbError):
    """A part is missing for the moment."""

    status, code, message = 503, "unavailable", N_("This part is not available right now. Try again in a moment.")
    retry_after = 5


class WrongSettings(Exception):
    """The program cannot start; the message lists every mistake."""
