"""The hand-written inventory: every way in, what it is, and how to call it. What is not listed here fails a test."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote

from werkzeug.test import TestResponse

from kb.access import Permission
from kb.web import PUBLIC, Needs
from tests.conftest import Browser

Call = Callable[[Browser, str, str], TestResponse]
"""Calls a surface as this browser, for the asset of this reference, on the deal of this id (or none)."""


class Kind(StrEnum):
    """What a surface may show."""

    PUBLIC = "public"  # nothing of the library, and nobody is asked who they are
    OWN = "own"  # the caller's own account alone
    READS_ONE = "reads_one"  # one asset by its id, through the one rule
    LISTS = "lists"  # many assets, and numbers about them, through the one rule
    EDITS_ONE = "edits_one"  # one asset by its id, through `editable_by`
    LISTS_EDITABLE = "lists_editable"
    DEALS = "deals"  # the caller's deals
    FILES = "files"  # by an id or a secret of its own: tests of their own walk them
    NO_ASSET = "no_asset"  # needs a right, shows neither assets nor deals


@dataclass(frozen=True, slots=True)
class Surface:
    """One route; `found` is its status for an asset the reader may see, `audit` the entries a successful write leaves."""

    method: str
    endpoint: str
    kind: Kind
    needs: Needs | None
    call: Call | None = None
    found: int = 200
    audit: int = 0
    found_by_publishers: int = 0
    """Its status for those who may publish, where that differs."""

    def found_by(self, role: str) -> int:
        return self.found_by_publishers if self.found_by_publishers and role in {"marketer", "admin"} else self.found


def _get(pattern: str) -> Call:
    return lambda browser, reference, deal: browser.get(
        pattern.format(quote(reference, safe="")), query_string={"deal": deal}
    )


def _event(browser: Browser, reference: str, deal: str) -> TestResponse:
    return browser.post(
        f"/assets/{quote(reference, safe='')}/events",
        json={"event_id": f"{reference[:40]}{deal}-page", "kind": "view", "deal": deal},
    )


def _usage(browser: Browser, reference: str, deal: str) -> TestResponse:
    return browser.post(
        "/api/v1/usage",
        json={"event_id": f"{reference[:40]}{deal}-api", "kind": "view", "asset": reference, "deal": deal},
    )


def _verify(pattern: str) -> Call:
    """By somebody who does not own it: refused, where the asset may be seen and not be published."""

    def call(browser: Browser, reference: str, deal: str) -> TestResponse:
        answer = browser.post(pattern.format(quote(reference, safe="")), query_string={"deal": deal})
        browser.get("/browse?deal=")  # takes the word about it off the next page
        return answer

    return call


def _put_draft(browser: Browser, reference: str, _deal: str) -> TestResponse:
    """On a revision that never was, so that it is refused just before it would take effect."""
    return browser.put(
        f"/api/v1/assets/{quote(reference, safe='')}/draft", json={"text": "x"}, headers={"If-Match": '"999999"'}
    )


def _withdraw(browser: Browser, reference: str, _deal: str) -> TestResponse:
    """Without a reason, so that it is refused just before it would take effect."""
    return browser.post(f"/assets/{quote(reference, safe='')}/withdraw", data={"reason": " "})


def _withdraw_api(browser: Browser, reference: str, _deal: str) -> TestResponse:
    return browser.post(f"/api/v1/assets/{quote(reference, safe='')}/withdraw", json={"reason": " "})


def _post(pattern: str, **fields: str) -> Call:
    """A form, with values that are refused just before they would take effect."""
    return lambda browser, reference, _deal: browser.post(pattern.format(quote(reference, safe="")), data=fields)


def _on_deal(pattern: str) -> Call:
    """A form on a deal, without what it needs, so that it is refused just before it would take effect."""
    return lambda browser, reference, deal: browser.post(pattern.format(quote(reference, safe="")), data={"deal": deal})


def _post_json(pattern: str, **fields: object) -> Call:
    return lambda browser, reference, _deal: browser.post(pattern.format(quote(reference, safe="")), json=fields)


INVENTORY: tuple[Surface, ...] = (
    Surface("GET", "static", Kind.PUBLIC, None),
    Surface("GET", "bootstrap.static", Kind.PUBLIC, None),
    Surface("GET", "health.alive", Kind.PUBLIC, PUBLIC),
    Surface("GET", "health.ready", Kind.PUBLIC, PUBLIC),
    Surface("GET", "login.page", Kind.PUBLIC, PUBLIC),
    Surface("POST", "login.sign_in", Kind.PUBLIC, PUBLIC, audit=1),
    Surface("POST", "login.sign_out", Kind.OWN, Permission.ACCOUNT, audit=1),
    Surface("GET", "account.page", Kind.OWN, Permission.ACCOUNT),
    Surface("GET", "login.code_page", Kind.PUBLIC, PUBLIC),
    Surface("POST", "login.sign_in_with_code", Kind.PUBLIC, PUBLIC),
    Surface("POST", "account.begin_second_factor", Kind.OWN, Permission.ACCOUNT),
    Surface("POST", "account.confirm_second_factor", Kind.OWN, Permission.ACCOUNT, audit=1),
    Surface("POST", "account.remove_second_factor", Kind.OWN, Permission.ACCOUNT, audit=1),
    # tests/kb/test_single_sign_on.py and tests/attacks/test_sign_on.py go there and back
    Surface("GET", "sign_on.begin", Kind.FILES, PUBLIC),
    Surface("GET", "sign_on.back", Kind.FILES, PUBLIC),
    Surface("POST", "people.unlink", Kind.NO_ASSET, Permission.ADMINISTER, audit=1),
    Surface("POST", "people.add_token", Kind.NO_ASSET, Permission.ADMINISTER, audit=1),
    Surface("POST", "people.revoke_token", Kind.NO_ASSET, Permission.ADMINISTER, audit=1),
    Surface("GET", "people_api.list_tokens", Kind.NO_ASSET, Permission.ADMINISTER),
    Surface("POST", "people_api.add_token", Kind.NO_ASSET, Permission.ADMINISTER, audit=1),
    Surface("DELETE", "people_api.revoke_token", Kind.NO_ASSET, Permission.ADMINISTER, audit=1),
    Surface("POST", "people.reset_second_factor", Kind.NO_ASSET, Permission.ADMINISTER, audit=1),
    Surface("POST", "account.end_others", Kind.OWN, Permission.ACCOUNT, audit=1),
    # tests/kb/test_people.py walks who looks after whom
    Surface("GET", "people.listed", Kind.NO_ASSET, Permission.ADMINISTER),
    Surface("GET", "people.new", Kind.NO_ASSET, Permission.ADMINISTER),
    Surface("POST", "people.add", Kind.NO_ASSET, Permission.ADMINISTER, audit=1),
    Surface("GET", "people.page", Kind.NO_ASSET, Permission.ADMINISTER),
    Surface("POST", "people.change", Kind.NO_ASSET, Permission.ADMINISTER, audit=1),
    Surface("POST", "people.deactivate", Kind.NO_ASSET, Permission.ADMINISTER, audit=1),
    Surface("POST", "people.reactivate", Kind.NO_ASSET, Permission.ADMINISTER, audit=1),
    Surface("POST", "people.password", Kind.NO_ASSET, Permission.ADMINISTER, audit=1),
    Surface("POST", "people.sign_out", Kind.NO_ASSET, Permission.ADMINISTER, audit=1),
    Surface("GET", "people_api.listed", Kind.NO_ASSET, Permission.ADMINISTER),
    Surface("POST", "people_api.add", Kind.NO_ASSET, Permission.ADMINISTER, audit=1),
    Surface("GET", "people_api.one", Kind.NO_ASSET, Permission.ADMINISTER),
    Surface("PUT", "people_api.change", Kind.NO_ASSET, Permission.ADMINISTER, audit=1),
    Surface("POST", "people_api.deactivate", Kind.NO_ASSET, Permission.ADMINISTER, audit=1),
    Surface("POST", "people_api.reactivate", Kind.NO_ASSET, Permission.ADMINISTER, audit=1),
    Surface("POST", "account.mails", Kind.OWN, Permission.ACCOUNT, audit=1),
    Surface("POST", "account.language", Kind.OWN, Permission.ACCOUNT, audit=1),
    Surface("POST", "account.password", Kind.OWN, Permission.ACCOUNT, audit=1),
    Surface("POST", "account.create_token", Kind.OWN, Permission.ACCOUNT, audit=1),
    Surface("POST", "account.revoke_token", Kind.OWN, Permission.ACCOUNT, audit=1),
    Surface("GET", "api.openapi", Kind.NO_ASSET, Permission.SEARCH),
    Surface("GET", "health.metrics", Kind.NO_ASSET, Permission.METRICS),
    Surface("GET", "content.look", Kind.NO_ASSET, Permission.ADMINISTER),
    Surface("GET", "content.asset", Kind.READS_ONE, Permission.SEARCH, _get("/assets/{}")),
    Surface("GET", "content.source", Kind.READS_ONE, Permission.SEARCH, _get("/assets/{}/source")),
    Surface("GET", "search.similar", Kind.READS_ONE, Permission.SEARCH, _get("/assets/{}/similar")),
    Surface("GET", "content_api.asset", Kind.READS_ONE, Permission.SEARCH, _get("/api/v1/assets/{}")),
    Surface("POST", "content.use", Kind.READS_ONE, Permission.USE, _event),
    Surface("POST", "content_api.record_usage", Kind.READS_ONE, Permission.USE, _usage, found=202),
    Surface("POST", "content.verify", Kind.READS_ONE, Permission.USE, _verify("/assets/{}/verify"), 403, 1, 302),
    Surface(
        "POST", "content_api.verify", Kind.READS_ONE, Permission.USE, _verify("/api/v1/assets/{}/verify"), 403, 1, 200
    ),
    Surface("POST", "content.withdraw", Kind.EDITS_ONE, Permission.PUBLISH, _withdraw, found=422, audit=1),
    Surface("POST", "content_api.withdraw", Kind.EDITS_ONE, Permission.PUBLISH, _withdraw_api, found=422, audit=1),
    Surface("GET", "content_api.assets", Kind.LISTS, Permission.SEARCH),
    Surface("POST", "content_api.create_asset", Kind.NO_ASSET, Permission.EDIT, audit=1),
    Surface("GET", "content_api.versions", Kind.EDITS_ONE, Permission.EDIT, _get("/api/v1/assets/{}/versions")),
    Surface("GET", "content_api.version", Kind.EDITS_ONE, Permission.EDIT, _get("/api/v1/assets/{}/versions/1")),
    Surface("GET", "content_api.draft", Kind.EDITS_ONE, Permission.EDIT, _get("/api/v1/assets/{}/draft")),
    Surface("PUT", "content_api.put_draft", Kind.EDITS_ONE, Permission.EDIT, _put_draft, found=412, audit=1),
    Surface("GET", "content_api.deal", Kind.DEALS, Permission.SEARCH),
    Surface("PUT", "content_api.put_deal", Kind.DEALS, Permission.IMPORT, audit=1),
    Surface("GET", "search.home", Kind.LISTS, Permission.SEARCH),
    Surface("GET", "search.browse", Kind.LISTS, Permission.SEARCH),
    Surface("GET", "search.feed", Kind.LISTS, Permission.SEARCH),
    Surface("GET", "search.results", Kind.LISTS, Permission.SEARCH),
    Surface("GET", "search_api.search", Kind.LISTS, Permission.SEARCH),
    Surface("GET", "search.suggest", Kind.LISTS, Permission.SEARCH),
    Surface("GET", "search_api.suggest", Kind.LISTS, Permission.SEARCH),
    # tests/search/test_gaps.py and test_saved.py walk what is told to whom
    Surface("GET", "gaps.page", Kind.FILES, Permission.MEASURE),
    Surface("GET", "gaps.one", Kind.FILES, Permission.MEASURE),
    Surface("POST", "gaps.move", Kind.FILES, Permission.MEASURE, audit=1),
    Surface("GET", "gap_api.list_gaps", Kind.FILES, Permission.MEASURE),
    Surface("GET", "gap_api.get_gap", Kind.FILES, Permission.MEASURE),
    Surface("POST", "gap_api.move", Kind.FILES, Permission.MEASURE, audit=1),
    Surface("GET", "saved.page", Kind.FILES, Permission.SEARCH),
    Surface("POST", "saved.keep", Kind.FILES, Permission.SEARCH, audit=1),
    Surface("POST", "saved.notices", Kind.FILES, Permission.SEARCH, audit=1),
    Surface("POST", "saved.remove", Kind.FILES, Permission.SEARCH, audit=1),
    Surface("GET", "saved_api.list_kept", Kind.FILES, Permission.SEARCH),
    Surface("POST", "saved_api.keep", Kind.FILES, Permission.SEARCH, audit=1),
    Surface("PATCH", "saved_api.tell", Kind.FILES, Permission.SEARCH, audit=1),
    Surface("DELETE", "saved_api.remove", Kind.FILES, Permission.SEARCH, audit=1),
    Surface("GET", "content.library_page", Kind.LISTS_EDITABLE, Permission.EDIT),
    Surface("GET", "content.pick_deal", Kind.DEALS, Permission.SEARCH),
    Surface("GET", "search.alike", Kind.EDITS_ONE, Permission.EDIT, _get("/assets/{}/alike")),
    Surface("GET", "content_editor.new", Kind.NO_ASSET, Permission.EDIT),
    Surface("POST", "content_editor.begin", Kind.NO_ASSET, Permission.EDIT, audit=1),
    Surface("POST", "content_editor.preview", Kind.NO_ASSET, Permission.EDIT),
    Surface("GET", "content_editor.edit", Kind.EDITS_ONE, Permission.EDIT, _get("/assets/{}/edit")),
    Surface(
        "POST",
        "content_editor.save",
        Kind.EDITS_ONE,
        Permission.EDIT,
        _post("/assets/{}/edit", revision="999999", title="x", text="x", handling="spoken"),
        412,
        1,
    ),
    Surface(
        "POST",
        "content_editor.facts",
        Kind.EDITS_ONE,
        Permission.EDIT,
        _post("/assets/{}/facts", tag="999999999"),
        422,
        1,
    ),
    Surface(
        "POST",
        "content_editor.tie",
        Kind.EDITS_ONE,
        Permission.EDIT,
        _post("/assets/{}/translation-of", source="nowhere"),
        422,
        1,
    ),
    Surface(
        "POST",
        "content_editor.access",
        Kind.EDITS_ONE,
        Permission.EDIT,
        _post("/assets/{}/access", unlock_stage="999999999"),
        422,
        1,
    ),
    Surface(
        "POST", "content_editor.keep_access", Kind.EDITS_ONE, Permission.EDIT, _post("/assets/{}/access/keep"), 409, 1
    ),
    Surface(
        "POST",
        "content_editor.submit",
        Kind.EDITS_ONE,
        Permission.EDIT,
        _post("/assets/{}/submit", revision="999999"),
        409,
        1,
    ),
    Surface("POST", "content_editor.take_back", Kind.EDITS_ONE, Permission.EDIT, _post("/assets/{}/take-back"), 409, 1),
    Surface("POST", "content_editor.publish", Kind.EDITS_ONE, Permission.PUBLISH, _post("/assets/{}/publish"), 409, 1),
    Surface(
        "POST", "content_editor.unschedule", Kind.EDITS_ONE, Permission.PUBLISH, _post("/assets/{}/unschedule"), 409, 1
    ),
    Surface(
        "POST",
        "content_editor.archive",
        Kind.EDITS_ONE,
        Permission.PUBLISH,
        _post("/assets/{}/archive", reason=" "),
        422,
        1,
    ),
    Surface("POST", "content_editor.revive", Kind.EDITS_ONE, Permission.PUBLISH, _post("/assets/{}/revive"), 409, 1),
    Surface("GET", "content_versions.versions", Kind.EDITS_ONE, Permission.EDIT, _get("/assets/{}/versions")),
    Surface("GET", "content_versions.link", Kind.READS_ONE, Permission.SEARCH, _get("/assets/{}/versions/1"), 302),
    Surface("GET", "content_versions.compare", Kind.EDITS_ONE, Permission.EDIT, _get("/assets/{}/compare")),
    Surface("GET", "content_versions.source", Kind.EDITS_ONE, Permission.EDIT, _get("/assets/{}/source-changes"), 404),
    Surface(
        "POST",
        "content_versions.restore",
        Kind.EDITS_ONE,
        Permission.EDIT,
        _post("/assets/{}/restore", version="999999"),
        404,
        1,
    ),
    Surface("GET", "content_versions.version", Kind.EDITS_ONE, Permission.EDIT, _get("/assets/{}/history/1")),
    Surface("GET", "rounds.queue", Kind.LISTS_EDITABLE, Permission.EDIT),
    Surface("GET", "rounds.following", Kind.LISTS_EDITABLE, Permission.REVIEW, found=302),
    Surface("GET", "rounds.of_asset", Kind.EDITS_ONE, Permission.EDIT, _get("/assets/{}/review"), 302),
    # tests/review/test_rounds.py walks who sees a round and who may do what with it
    Surface("GET", "rounds.page", Kind.FILES, Permission.EDIT),
    Surface("POST", "rounds.decide", Kind.FILES, Permission.REVIEW, audit=1),
    Surface("POST", "rounds.approve_many", Kind.FILES, Permission.REVIEW, audit=1),
    Surface("POST", "rounds_api.approve_many", Kind.FILES, Permission.REVIEW, audit=1),
    Surface("POST", "rounds.claim", Kind.FILES, Permission.REVIEW, audit=1),
    Surface("POST", "rounds.release", Kind.FILES, Permission.EDIT, audit=1),
    Surface("POST", "rounds.hand_over", Kind.FILES, Permission.EDIT, audit=1),
    Surface("POST", "rounds.comment", Kind.FILES, Permission.EDIT, audit=1),
    Surface("POST", "rounds.resolve", Kind.FILES, Permission.EDIT, audit=1),
    # tests/review/test_remarks.py walks who takes whose words
    Surface("POST", "rounds.take_wording", Kind.FILES, Permission.EDIT, audit=2),
    Surface("POST", "rounds_api.take_wording", Kind.FILES, Permission.EDIT, audit=2),
    # tests/review/test_absence.py walks who sees and cancels which absence
    Surface("GET", "rounds.absences", Kind.NO_ASSET, Permission.EDIT),
    Surface("POST", "rounds.be_absent", Kind.NO_ASSET, Permission.REVIEW, audit=1),
    Surface("POST", "rounds.cancel_absence", Kind.NO_ASSET, Permission.EDIT, audit=1),
    Surface("GET", "rounds_api.absences", Kind.NO_ASSET, Permission.EDIT),
    Surface("POST", "rounds_api.be_absent", Kind.NO_ASSET, Permission.REVIEW, audit=1),
    Surface("POST", "rounds_api.cancel_absence", Kind.NO_ASSET, Permission.EDIT, audit=1),
    # tests/review/test_offering.py walks who changes whose
    Surface("GET", "rounds.reviewers", Kind.NO_ASSET, Permission.EDIT),
    Surface("GET", "rounds.reviewer", Kind.NO_ASSET, Permission.EDIT),
    Surface("POST", "rounds.change_reviewer", Kind.NO_ASSET, Permission.EDIT, audit=1),
    Surface("GET", "rounds_api.reviewers", Kind.NO_ASSET, Permission.EDIT),
    Surface("PUT", "rounds_api.put_reviewer", Kind.NO_ASSET, Permission.EDIT, audit=1),
    Surface("GET", "rounds.figures_page", Kind.LISTS_EDITABLE, Permission.EDIT),
    Surface("GET", "rounds_api.figures_shown", Kind.LISTS_EDITABLE, Permission.EDIT),
    Surface("GET", "rounds.policy_page", Kind.NO_ASSET, Permission.EDIT),
    Surface("POST", "rounds.change_policy", Kind.NO_ASSET, Permission.ADMINISTER, audit=1),
    Surface("GET", "rounds.audit", Kind.EDITS_ONE, Permission.EDIT, _get("/assets/{}/audit")),
    Surface("GET", "rounds_api.audit", Kind.EDITS_ONE, Permission.EDIT, _get("/api/v1/assets/{}/audit")),
    Surface("GET", "rounds_api.listed", Kind.LISTS_EDITABLE, Permission.EDIT),
    Surface("GET", "rounds_api.shown", Kind.FILES, Permission.EDIT),
    Surface("POST", "rounds_api.decide", Kind.FILES, Permission.REVIEW, audit=1),
    Surface("POST", "rounds_api.comment", Kind.FILES, Permission.EDIT, audit=1),
    # tests/review/test_urgent.py walks who sees a case or a recall and who may do what with it
    Surface("GET", "urgent.form", Kind.READS_ONE, Permission.USE, _get("/assets/{}/urgent")),
    Surface("POST", "urgent.report", Kind.READS_ONE, Permission.USE, _on_deal("/assets/{}/urgent"), 422, 1),
    Surface("POST", "urgent.hold", Kind.FILES, Permission.USE, audit=1),
    Surface("POST", "urgent.lift", Kind.FILES, Permission.EDIT, audit=1),
    Surface("GET", "urgent.cases", Kind.LISTS_EDITABLE, Permission.USE),
    Surface("GET", "urgent.case", Kind.FILES, Permission.USE),
    Surface("POST", "urgent.dismiss", Kind.FILES, Permission.EDIT, audit=1),
    Surface("POST", "urgent.recall", Kind.EDITS_ONE, Permission.PUBLISH, _post("/assets/{}/recall"), 422, 2),
    Surface("GET", "urgent.recalls", Kind.OWN, Permission.USE),
    Surface("GET", "urgent.one_recall", Kind.FILES, Permission.EDIT),
    Surface("POST", "urgent.answer", Kind.FILES, Permission.USE, audit=1),
    Surface("POST", "urgent_api.report", Kind.FILES, Permission.USE, audit=1),
    Surface("GET", "urgent_api.cases", Kind.LISTS_EDITABLE, Permission.USE),
    Surface("POST", "urgent_api.dismiss", Kind.FILES, Permission.EDIT, audit=1),
    Surface("POST", "urgent_api.hold", Kind.FILES, Permission.USE, audit=1),
    Surface("POST", "urgent_api.lift", Kind.FILES, Permission.EDIT, audit=1),
    Surface(
        "POST",
        "urgent_api.recall",
        Kind.EDITS_ONE,
        Permission.PUBLISH,
        _post_json("/api/v1/assets/{}/recall", reason=" "),
        422,
        2,
    ),
    Surface("GET", "urgent_api.mine", Kind.OWN, Permission.USE),
    Surface("GET", "urgent_api.one", Kind.FILES, Permission.EDIT),
    Surface("POST", "urgent_api.answer", Kind.FILES, Permission.USE, audit=1),
    Surface("GET", "content_board.page", Kind.LISTS_EDITABLE, Permission.EDIT),
    Surface("POST", "content_board.preview", Kind.LISTS_EDITABLE, Permission.EDIT),
    Surface("POST", "content_board.apply", Kind.LISTS_EDITABLE, Permission.EDIT, audit=1),
    Surface(
        "POST",
        "publishing_api.submit",
        Kind.EDITS_ONE,
        Permission.EDIT,
        _post_json("/api/v1/assets/{}/submit", revision=999_999),
        409,
        1,
    ),
    Surface(
        "POST",
        "publishing_api.take_back",
        Kind.EDITS_ONE,
        Permission.EDIT,
        _post_json("/api/v1/assets/{}/take-back"),
        409,
        1,
    ),
    Surface(
        "POST",
        "publishing_api.publish",
        Kind.EDITS_ONE,
        Permission.PUBLISH,
        _post_json("/api/v1/assets/{}/publish"),
        409,
        1,
    ),
    Surface(
        "POST",
        "publishing_api.unschedule",
        Kind.EDITS_ONE,
        Permission.PUBLISH,
        _post_json("/api/v1/assets/{}/unschedule"),
        409,
        1,
    ),
    Surface(
        "POST",
        "publishing_api.restore",
        Kind.EDITS_ONE,
        Permission.EDIT,
        _post_json("/api/v1/assets/{}/restore", version=999_999),
        404,
        1,
    ),
    Surface(
        "POST",
        "publishing_api.archive",
        Kind.EDITS_ONE,
        Permission.PUBLISH,
        _post_json("/api/v1/assets/{}/archive", reason=" "),
        422,
        1,
    ),
    Surface(
        "POST",
        "publishing_api.revive",
        Kind.EDITS_ONE,
        Permission.PUBLISH,
        _post_json("/api/v1/assets/{}/revive"),
        409,
        1,
    ),
    Surface("POST", "publishing_api.many", Kind.LISTS_EDITABLE, Permission.EDIT, audit=1),
    Surface("GET", "content_files.download", Kind.FILES, Permission.SEARCH),
    Surface("GET", "content_files.picture", Kind.FILES, Permission.SEARCH),
    Surface("GET", "content_files.text", Kind.FILES, Permission.SEARCH),
    Surface("GET", "content_files.editable", Kind.EDITS_ONE, Permission.EDIT, _get("/assets/{}/attachments")),
    Surface("POST", "content_files.attach", Kind.EDITS_ONE, Permission.EDIT, _post("/assets/{}/attachments"), 422, 1),
    Surface(
        "POST",
        "content_files.remove",
        Kind.EDITS_ONE,
        Permission.EDIT,
        _post("/assets/{}/attachments/none/remove"),
        404,
        1,
    ),
    Surface("POST", "content_files.take_document", Kind.NO_ASSET, Permission.EDIT, audit=1),
    Surface("GET", "content_files.conversion", Kind.NO_ASSET, Permission.EDIT),
    Surface("GET", "file_api.download", Kind.FILES, Permission.SEARCH),
    Surface("POST", "file_api.attach", Kind.EDITS_ONE, Permission.EDIT, _post("/api/v1/assets/{}/attachments"), 422, 1),
    Surface(
        "DELETE",
        "file_api.remove",
        Kind.EDITS_ONE,
        Permission.EDIT,
        lambda browser, reference, _deal: browser.delete(
            f"/api/v1/assets/{quote(reference, safe='')}/attachments/none"
        ),
        404,
        1,
    ),
    Surface("GET", "notices.page", Kind.OWN, Permission.ACCOUNT),
    Surface("POST", "notices.read", Kind.OWN, Permission.ACCOUNT, audit=1),
    Surface("GET", "notices_api.listed", Kind.OWN, Permission.ACCOUNT),
    Surface("POST", "notices_api.mark_read", Kind.OWN, Permission.ACCOUNT, audit=1),
    Surface(
        "POST",
        "content.confirm_translation",
        Kind.READS_ONE,
        Permission.USE,
        _verify("/assets/{}/translation-checked"),
        403,
        1,
        409,
    ),
    Surface(
        "POST",
        "content_api.confirm_translation",
        Kind.READS_ONE,
        Permission.USE,
        _verify("/api/v1/assets/{}/translation-checked"),
        403,
        1,
        409,
    ),
    Surface("GET", "vocabulary.page", Kind.NO_ASSET, Permission.CURATE),
    Surface("POST", "vocabulary.save", Kind.NO_ASSET, Permission.CURATE, audit=1),
    Surface("POST", "vocabulary.move", Kind.NO_ASSET, Permission.CURATE, audit=1),
    Surface("GET", "vocabulary.preview", Kind.LISTS_EDITABLE, Permission.CURATE),
    Surface("POST", "vocabulary.change", Kind.NO_ASSET, Permission.CURATE, audit=1),
    Surface("POST", "vocabulary.undo", Kind.NO_ASSET, Permission.CURATE, audit=1),
    Surface("POST", "vocabulary.release", Kind.NO_ASSET, Permission.CURATE, audit=1),
    Surface("GET", "vocabulary_api.listed", Kind.NO_ASSET, Permission.CURATE),
    Surface("PUT", "vocabulary_api.save", Kind.NO_ASSET, Permission.CURATE, audit=1),
    Surface("POST", "vocabulary_api.merge", Kind.NO_ASSET, Permission.CURATE, audit=1),
    Surface("POST", "vocabulary_api.retire", Kind.NO_ASSET, Permission.CURATE, audit=1),
    Surface("POST", "vocabulary_api.undo", Kind.NO_ASSET, Permission.CURATE, audit=1),
    Surface("GET", "planning.page", Kind.LISTS_EDITABLE, Permission.EDIT),
    Surface("POST", "planning.add", Kind.NO_ASSET, Permission.EDIT, audit=1),
    Surface("POST", "planning.finish", Kind.NO_ASSET, Permission.EDIT, audit=1),
    Surface("POST", "planning.drop", Kind.NO_ASSET, Permission.EDIT, audit=1),
    Surface("POST", "planning.move", Kind.NO_ASSET, Permission.EDIT, audit=1),
    Surface("POST", "planning.renew", Kind.OWN, Permission.EDIT, audit=1),
    Surface("POST", "planning.revoke", Kind.OWN, Permission.EDIT, audit=1),
    Surface("GET", "planning.feed", Kind.FILES, PUBLIC),
    Surface("GET", "planning.table", Kind.LISTS_EDITABLE, Permission.EDIT),
    # tests/content/test_access_requests.py walks who asks, who decides and who learns of it
    Surface("GET", "access.asking", Kind.FILES, Permission.USE),
    Surface("POST", "access.ask", Kind.FILES, Permission.USE, audit=1),
    Surface("GET", "access.requests", Kind.FILES, Permission.USE),
    Surface("POST", "access.decide", Kind.FILES, Permission.USE, audit=2),
    Surface("POST", "access.withdraw", Kind.FILES, Permission.USE, audit=1),
    Surface("POST", "access.revoke", Kind.FILES, Permission.USE, audit=1),
    Surface("GET", "access.shut", Kind.LISTS_EDITABLE, Permission.EDIT),
    Surface("GET", "access_api.requests", Kind.FILES, Permission.USE),
    Surface("POST", "access_api.ask", Kind.FILES, Permission.USE, audit=1),
    Surface("POST", "access_api.decide", Kind.FILES, Permission.USE, audit=2),
    Surface("POST", "access_api.withdraw", Kind.FILES, Permission.USE, audit=1),
    Surface("POST", "access_api.revoke", Kind.FILES, Permission.USE, audit=1),
    Surface("GET", "access_api.shut", Kind.LISTS_EDITABLE, Permission.EDIT),
    # tests/content/test_sharing.py walks who sends what to whom, what opens, and what ends it
    Surface("GET", "sharing.form", Kind.READS_ONE, Permission.USE, _get("/assets/{}/share")),
    Surface("POST", "sharing.create", Kind.FILES, Permission.USE, audit=1),
    Surface("GET", "sharing.mine", Kind.FILES, Permission.USE),
    Surface("GET", "sharing.page", Kind.FILES, Permission.USE),
    Surface("POST", "sharing.revoke", Kind.FILES, Permission.USE, audit=1),
    Surface("POST", "sharing.extend", Kind.FILES, Permission.USE, audit=1),
    Surface("POST", "sharing.move_on", Kind.FILES, Permission.USE, audit=1),
    Surface("GET", "sharing.deal", Kind.DEALS, Permission.USE),
    Surface("POST", "sharing.add_contact", Kind.DEALS, Permission.USE, audit=1),
    Surface("POST", "sharing.remove_contact", Kind.DEALS, Permission.USE, audit=1),
    Surface("POST", "sharing.set_nda", Kind.DEALS, Permission.USE, audit=1),
    Surface("GET", "shared.page", Kind.FILES, PUBLIC),
    Surface("POST", "shared.enter", Kind.FILES, PUBLIC),
    Surface("GET", "shared.picture", Kind.FILES, PUBLIC),
    Surface("GET", "shared.file", Kind.FILES, PUBLIC),
    Surface("POST", "share_api.create", Kind.FILES, Permission.USE, audit=1),
    # tests/content/test_insight.py walks who sees figures of what
    Surface("GET", "insight_api.lift", Kind.FILES, Permission.SEARCH),
    Surface("GET", "insight_api.usage", Kind.FILES, Permission.SEARCH),
    Surface("GET", "insight_api.asset", Kind.FILES, Permission.SEARCH),
    # tests/content/test_dashboards.py walks who sees which figures
    Surface("GET", "insight.asset", Kind.FILES, Permission.SEARCH),
    Surface("GET", "insight.deals", Kind.FILES, Permission.SEARCH),
    Surface("GET", "insight.team", Kind.FILES, Permission.MEASURE),
    Surface("GET", "insight.library", Kind.FILES, Permission.MEASURE),
    # tests/content/test_brief.py walks who reads briefs and notes
    Surface("GET", "brief.page", Kind.DEALS, Permission.SEARCH),
    Surface("POST", "brief.note", Kind.FILES, Permission.USE, audit=1),
    Surface("GET", "brief_api.show", Kind.DEALS, Permission.SEARCH),
    Surface("GET", "brief_api.notes", Kind.FILES, Permission.SEARCH),
    Surface("PUT", "brief_api.put_note", Kind.FILES, Permission.USE, audit=1),
    # tests/search/test_assist.py walks what is answered to whom
    Surface("GET", "assist.page", Kind.OWN, Permission.SEARCH),
    Surface("POST", "assist.answer", Kind.FILES, Permission.SEARCH),
    Surface("POST", "assist_api.ask", Kind.FILES, Permission.SEARCH),
    Surface("GET", "imports.page", Kind.NO_ASSET, Permission.IMPORT),
    Surface("POST", "imports.send_again", Kind.NO_ASSET, Permission.IMPORT, audit=1),
    Surface("POST", "imports.set_aside", Kind.NO_ASSET, Permission.IMPORT, audit=1),
    Surface("GET", "import_api.cursor", Kind.NO_ASSET, Permission.IMPORT),
    Surface("POST", "import_api.take", Kind.NO_ASSET, Permission.IMPORT, audit=1),
    Surface("GET", "import_api.refused", Kind.NO_ASSET, Permission.IMPORT),
    Surface("POST", "import_api.send_again", Kind.NO_ASSET, Permission.IMPORT, audit=1),
    Surface("DELETE", "import_api.set_aside", Kind.NO_ASSET, Permission.IMPORT, audit=1),
    Surface("GET", "import_api.changes", Kind.DEALS, Permission.IMPORT),
    Surface("GET", "share_api.listed", Kind.FILES, Permission.USE),
    Surface("GET", "share_api.one", Kind.FILES, Permission.USE),
    Surface("POST", "share_api.revoke", Kind.FILES, Permission.USE, audit=1),
    Surface("POST", "share_api.extend", Kind.FILES, Permission.USE, audit=1),
    Surface("POST", "share_api.move_on", Kind.FILES, Permission.USE, audit=1),
    Surface("GET", "share_api.customer", Kind.DEALS, Permission.USE),
    Surface("POST", "share_api.add_contact", Kind.DEALS, Permission.USE, audit=1),
    Surface("DELETE", "share_api.remove_contact", Kind.DEALS, Permission.USE, audit=1),
    Surface("PUT", "share_api.set_nda", Kind.DEALS, Permission.USE, audit=1),
    Surface("DELETE", "share_api.remove_nda", Kind.DEALS, Permission.USE, audit=1),
    # tests/content/test_explaining.py holds it against the rule itself
    Surface("GET", "access.explain", Kind.FILES, Permission.ADMINISTER),
    Surface("GET", "access_api.explain", Kind.FILES, Permission.ADMINISTER),
    Surface("GET", "stories.page", Kind.OWN, Permission.USE),
    Surface("POST", "stories.submit", Kind.OWN, Permission.USE, audit=1),
    Surface("POST", "stories_api.send", Kind.OWN, Permission.USE, audit=1),
    Surface("GET", "review.rules", Kind.NO_ASSET, Permission.EDIT),
    Surface("POST", "review.check", Kind.NO_ASSET, Permission.EDIT),
    Surface("GET", "review.rule_page", Kind.NO_ASSET, Permission.EDIT),
    Surface("POST", "review.try_rule", Kind.LISTS_EDITABLE, Permission.EDIT),
    Surface("POST", "review.change_rule", Kind.NO_ASSET, Permission.ADMINISTER, audit=1),
    Surface("POST", "review.reset_rule", Kind.NO_ASSET, Permission.ADMINISTER, audit=1),
    Surface("GET", "review.findings", Kind.EDITS_ONE, Permission.EDIT, _get("/assets/{}/findings")),
    Surface("POST", "review.findings_of_typed", Kind.EDITS_ONE, Permission.EDIT, _post("/assets/{}/findings")),
    Surface("POST", "review.waive", Kind.EDITS_ONE, Permission.PROVE, _post("/assets/{}/waivers"), 403, 1),
    Surface("POST", "review.revoke", Kind.EDITS_ONE, Permission.PROVE, _post("/assets/{}/waivers/none/revoke"), 403, 1),
    Surface("POST", "review.ask_legal", Kind.EDITS_ONE, Permission.EDIT, _post("/assets/{}/ask-legal"), 409, 1),
    Surface("POST", "review.answered", Kind.EDITS_ONE, Permission.PROVE, _post("/assets/{}/answered"), 404, 1),
    Surface(
        "POST",
        "review_api.ask_legal",
        Kind.EDITS_ONE,
        Permission.EDIT,
        _post_json("/api/v1/assets/{}/ask-legal"),
        409,
        1,
    ),
    Surface(
        "POST",
        "review_api.waive",
        Kind.EDITS_ONE,
        Permission.PROVE,
        _post_json("/api/v1/assets/{}/waivers", rule="rank", passage="none", reason="none"),
        403,
        1,
    ),
    Surface(
        "DELETE",
        "review_api.revoke",
        Kind.EDITS_ONE,
        Permission.PROVE,
        lambda browser, reference, _deal: browser.delete(f"/api/v1/assets/{quote(reference, safe='')}/waivers/none"),
        403,
        1,
    ),
    Surface("GET", "review.evidence_list", Kind.LISTS_EDITABLE, Permission.EDIT, _get("/evidence")),
    Surface("POST", "review.add_evidence", Kind.NO_ASSET, Permission.PROVE, audit=1),
    Surface("GET", "review.evidence_page", Kind.LISTS_EDITABLE, Permission.EDIT),
    Surface("POST", "review.change_evidence", Kind.NO_ASSET, Permission.PROVE, audit=1),
    Surface("POST", "review.withdraw_evidence", Kind.NO_ASSET, Permission.PROVE, audit=1),
    Surface("GET", "review.evidence_file", Kind.NO_ASSET, Permission.EDIT),
    Surface("GET", "review.permission_list", Kind.NO_ASSET, Permission.EDIT),
    Surface("POST", "review.add_permission", Kind.NO_ASSET, Permission.PROVE, audit=1),
    Surface("POST", "review.change_permission", Kind.NO_ASSET, Permission.PROVE, audit=1),
    Surface("POST", "review.withdraw_permission", Kind.NO_ASSET, Permission.PROVE, audit=1),
    Surface("GET", "review.permission_file", Kind.NO_ASSET, Permission.EDIT),
    Surface("POST", "review_api.check", Kind.NO_ASSET, Permission.EDIT),
    Surface("GET", "review_api.findings", Kind.EDITS_ONE, Permission.EDIT, _get("/api/v1/assets/{}/findings")),
    Surface("GET", "review_api.list_evidence", Kind.LISTS_EDITABLE, Permission.EDIT, _get("/api/v1/evidence")),
    Surface("POST", "review_api.add_evidence", Kind.NO_ASSET, Permission.PROVE, audit=1),
    Surface("PUT", "review_api.change_evidence", Kind.NO_ASSET, Permission.PROVE, audit=1),
    Surface("POST", "review_api.withdraw_evidence", Kind.NO_ASSET, Permission.PROVE, audit=1),
    Surface("GET", "review_api.list_permissions", Kind.NO_ASSET, Permission.EDIT),
    Surface("POST", "review_api.add_permission", Kind.NO_ASSET, Permission.PROVE, audit=1),
    Surface("PUT", "review_api.change_permission", Kind.NO_ASSET, Permission.PROVE, audit=1),
    Surface("POST", "review_api.withdraw_permission", Kind.NO_ASSET, Permission.PROVE, audit=1),
)

COMMANDS: dict[str, Kind] = {
    "init": Kind.NO_ASSET,
    "migrate": Kind.NO_ASSET,
    "demo": Kind.NO_ASSET,
    "serve": Kind.NO_ASSET,
    "worker": Kind.NO_ASSET,
    "doctor": Kind.NO_ASSET,
    "user add": Kind.NO_ASSET,
    "token create": Kind.NO_ASSET,
    "import assets": Kind.EDITS_ONE,
    "import users": Kind.NO_ASSET,
    "import deals": Kind.DEALS,
    "import stages": Kind.DEALS,
    "import usage": Kind.EDITS_ONE,
    "export assets": Kind.LISTS_EDITABLE,  # `--as` holds what that person may read: tests/content/test_exporting.py
    "user list": Kind.NO_ASSET,
    "user add-program": Kind.NO_ASSET,
    "key rotate": Kind.NO_ASSET,
    "key forget": Kind.NO_ASSET,
    "user deactivate": Kind.NO_ASSET,
    "user reactivate": Kind.NO_ASSET,
    "explain": Kind.EDITS_ONE,
    "grant list": Kind.LISTS_EDITABLE,
    "grant give": Kind.EDITS_ONE,
    "grant revoke": Kind.NO_ASSET,
    "report lift": Kind.LISTS_EDITABLE,
    "report usage": Kind.LISTS_EDITABLE,
    "report gaps": Kind.LISTS_EDITABLE,
    "share list": Kind.LISTS_EDITABLE,
    "share revoke": Kind.NO_ASSET,
    "review queue": Kind.LISTS_EDITABLE,
    "review cases": Kind.LISTS_EDITABLE,
    "review recalls": Kind.LISTS_EDITABLE,
    "review hold": Kind.EDITS_ONE,
    "review lift": Kind.EDITS_ONE,
    "review recall": Kind.EDITS_ONE,
    "compliance check": Kind.NO_ASSET,  # reads the text it is given
    "eval": Kind.NO_ASSET,  # reads the folder it is given
    "search": Kind.LISTS,  # `--as` sees what that person sees: walked by the matrix
    "index check": Kind.NO_ASSET,
    "index rebuild": Kind.NO_ASSET,
    "export plan": Kind.LISTS_EDITABLE,
    "export judged": Kind.LISTS_EDITABLE,
    "tag list": Kind.NO_ASSET,
    "tag put": Kind.NO_ASSET,
    "tag merge": Kind.NO_ASSET,
    "tag retire": Kind.NO_ASSET,
    "tag undo": Kind.NO_ASSET,
    "audit verify": Kind.NO_ASSET,
    "backup": Kind.NO_ASSET,  # holds everything, for the operator: the file is mode 600
    "restore": Kind.NO_ASSET,
}
"""The command line belongs to the operator, who may see all; only `search --as` answers for somebody else."""

READS_ONE = tuple(surface for surface in INVENTORY if surface.kind is Kind.READS_ONE)
EDITS_ONE = tuple(surface for surface in INVENTORY if surface.kind is Kind.EDITS_ONE)
