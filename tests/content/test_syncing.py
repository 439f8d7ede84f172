"""Sync by cursor and change log; refused rows are listed, corrected and sent again; nothing is half applied."""

from sqlalchemy import select

from content import rejected
from content.deals import Deal
from content.rejected import RejectedRow
from kb.access import Role, Tier
from tests.conftest import SignIn
from tests.factories import Make

ROW = {"external_id": "S-1", "account": "Harbour Bank", "created_at": "2026-03-01T09:00:00+08:00"}


def test_rows_come_in_by_cursor_and_a_lost_answer_does_no_harm(make: Make, sign_in: SignIn) -> None:
    admin = sign_in(make.user(Role.ADMIN, clearance=Tier.CONFIDENTIAL))
    where = "/api/v1/sync/crm/deals"
    assert admin.get(where).json == {"cursor": "", "rows": 0, "moved_at": None}
    first = {"after": "", "cursor": "c1", "rows": [ROW]}
    assert admin.post(where, json=first).json == {"created": 1, "updated": 0, "unchanged": 0, "failed": []}
    again = admin.post(where, json=first)
    assert (again.status_code, again.json["code"], again.json["cursor"]) == (409, "cursor_moved", "c1")  # type: ignore[index]
    second = admin.post(where, json={"after": "c1", "cursor": "c2", "rows": [ROW, {**ROW, "external_id": "S-2"}]})
    assert second.json == {"created": 1, "updated": 0, "unchanged": 1, "failed": []}
    assert admin.get(where).json["rows"] == 3  # type: ignore[index]
    assert admin.get("/api/v1/sync/crm/secrets").status_code == 422
    rep = sign_in(make.user())
    assert rep.get(where).status_code == rep.post(where, json=first).status_code == 403


def test_a_refused_row_is_kept_corrected_and_taken_whole(make: Make, sign_in: SignIn) -> None:
    admin = sign_in(make.user(Role.ADMIN, clearance=Tier.CONFIDENTIAL))
    bad = {**ROW, "amount": "a lot", "owner_email": "nobody@x.example"}
    told = admin.post(
        "/api/v1/sync/crm/deals", json={"after": "", "cursor": "1", "rows": [bad, {**ROW, "external_id": "S-2"}]}
    )
    assert [one["code"] for one in told.json["failed"]] == ["amount"]  # type: ignore[index]
    with make.service.database.reading() as db:
        assert [deal.external_id for deal in db.scalars(select(Deal))] == ["S-2"], "nothing of the refused row"
    (kept,) = admin.get("/api/v1/imports/rejected").json["items"]  # type: ignore[index]
    assert (kept["key"], kept["code"], kept["row"]["amount"]) == ("S-1", "amount", "a lot")
    assert "a lot" in admin.get("/imports").text
    again = admin.post(f"/api/v1/imports/rejected/{kept['id']}", json={"row": {"amount": "12.50"}})
    assert [one["code"] for one in again.json["failed"]] == ["unknown_user"]  # type: ignore[index]
    (kept,) = admin.get("/api/v1/imports/rejected").json["items"]  # type: ignore[index]
    assert (kept["code"], kept["row"]["amount"]) == ("unknown_user", "12.50"), "what was corrected stays"
    answer = admin.post(f"/imports/{kept['id']}", data={"row.owner_email": ""})
    assert answer.status_code == 302
    assert admin.get("/api/v1/imports/rejected").json == {"items": []}
    with make.service.database.reading() as db:
        assert db.scalars(select(Deal.amount).where(Deal.external_id == "S-1")).one() == 12.5


def test_a_row_taken_from_the_other_system_ends_its_refusal_and_a_person_may_set_one_aside(
    make: Make, sign_in: SignIn
) -> None:
    admin = sign_in(make.user(Role.ADMIN, clearance=Tier.CONFIDENTIAL))
    rows = [{**ROW, "amount": "x"}, {**ROW, "external_id": "S-3", "amount": "x"}]
    admin.post("/api/v1/sync/crm/deals", json={"after": "", "cursor": "1", "rows": rows})
    admin.post("/api/v1/sync/crm/deals", json={"after": "1", "cursor": "2", "rows": [ROW]})
    (kept,) = admin.get("/api/v1/imports/rejected?kind=deals").json["items"]  # type: ignore[index]
    assert kept["key"] == "S-3"
    assert admin.post(f"/imports/{kept['id']}/aside").status_code == 302
    assert admin.post(f"/imports/{kept['id']}/aside").status_code == 404
    with make.service.database.reading() as db:
        ended = {row.key: row.ended_how for row in db.scalars(select(RejectedRow))}
    assert ended == {"S-1": "accepted", "S-3": "set_aside"}
    assert "No row waits" in sign_in(make.user(Role.ADMIN)).get("/imports").text
    assert sign_in(make.user()).get("/imports").status_code == 403


def test_the_change_log_tells_every_deal_that_changed(make: Make, sign_in: SignIn) -> None:
    admin = sign_in(make.user(Role.ADMIN, clearance=Tier.CONFIDENTIAL))
    deal = make.deal(make.user(), "discovery")
    begun = admin.get("/api/v1/changes/deals").json["cursor"]  # type: ignore[index]
    assert admin.get(f"/api/v1/changes/deals?after={begun}").json["items"] == []  # type: ignore[index]
    make.move_deal(deal, "solution")
    (change,) = admin.get(f"/api/v1/changes/deals?after={begun}").json["items"]  # type: ignore[index]
    assert change["deal"] == deal.external_id


def test_refused_rows_are_forgotten_after_a_while(make: Make) -> None:
    with make.service.database.writing() as db:
        rejected.keep(db, "deals", "x", 1, {"external_id": "S-1"}, "amount", "no number")
        row = db.scalars(select(RejectedRow)).one()
        row.ended_at = row.at - 2 * rejected.KEPT
        db.flush()
        rejected.forget_old(db)
        assert db.scalars(select(RejectedRow)).all() == []


def test_rows_without_a_name_stand_beside_each_other(make: Make, sign_in: SignIn) -> None:
    admin = sign_in(make.user(Role.ADMIN, clearance=Tier.CONFIDENTIAL))
    rows = [{**ROW, "external_id": "", "account": account} for account in ("One", "Two", "One")]
    admin.post("/api/v1/sync/crm/deals", json={"after": "", "cursor": "1", "rows": rows})
    kept = admin.get("/api/v1/imports/rejected").json["items"]  # type: ignore[index]
    assert sorted(one["row"]["account"] for one in kept) == ["One", "Two"]
