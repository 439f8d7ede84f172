"""Pictures and decks: legal ticks what it has looked at before it approves; nobody else has to."""

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from content.kinds import AssetType
from content.models import Asset, Attachment, Version
from kb.access import Party, Role
from kb.errors import Invalid
from kb.users import User
from review import checklist, rounds
from review.checklist import Tick
from review.machine import Answer
from review.models import Verdict
from tests.conftest import SignIn
from tests.factories import TEXT, Make
from tests.review.test_rounds import newest, say, submit

PICTURE = TEXT + "\n![How it moves](/attachments/abc)\n"


@pytest.fixture
def author(make_any: Make) -> User:
    make_any.stages()
    make_any.panel()
    return make_any.user(Role.MARKETER)


def waiting(make: Make, author: User, text: str = TEXT, media_type: str = "", kind: AssetType = AssetType.FAQ) -> Asset:
    asset = make.asset(
        text=text, publish=False, author=author, owners=[author], tags=[make.stage_id("discovery")], asset_type=kind
    )
    if media_type:
        with make.service.database.writing() as db:
            version = asset_version(db, asset)
            db.add(
                Attachment(version_id=version, position=1, filename="a", media_type=media_type, size=1, sha256="0" * 64)
            )
    submit(make, asset, author)
    return asset


def asset_version(db: Session, asset: Asset) -> int:
    return db.scalars(select(Version.id).where(Version.asset_id == asset.id)).one()


@pytest.mark.parametrize(
    ("text", "media_type", "kind", "needed"),
    [
        (TEXT, "", AssetType.FAQ, False),
        (TEXT, "application/pdf", AssetType.FAQ, False),
        (PICTURE, "", AssetType.FAQ, True),
        (TEXT, "image/png", AssetType.FAQ, True),
        (
            TEXT,
            "application/vnd.openxmlformats-officedocument.presentationml.presentation",
            AssetType.FAQ,
            True,
        ),
        (TEXT, "", AssetType.DECK, True),
    ],
)
def test_when_there_is_something_to_tick(make: Make, text: str, media_type: str, kind: AssetType, needed: bool) -> None:
    make.stages()
    make.panel()
    author = make.user(Role.MARKETER)
    asset = waiting(make, author, text, media_type, kind)
    row = newest(make, asset)
    legal = make.panel()[Party.LEGAL]
    if needed:
        with pytest.raises(Invalid) as refused:
            say(make, legal, row, Party.LEGAL)
        assert refused.value.code == "ticks_missing"
    else:
        say(make, legal, row, Party.LEGAL)
    say(make, make.panel()[Party.SALES], row, Party.SALES)


def test_all_are_ticked_and_kept_with_the_verdict(make_any: Make, author: User) -> None:
    row = newest(make_any, waiting(make_any, author, PICTURE))
    legal = make_any.actor(make_any.panel()[Party.LEGAL])
    with make_any.service.database.writing() as db, pytest.raises(Invalid):
        rounds.decide(db, legal, row.public_id, Party.LEGAL, Answer.APPROVE, row.digest, ticks=[Tick.MAP, Tick.FLAG])
    with make_any.service.database.writing() as db:
        rounds.decide(db, legal, row.public_id, Party.LEGAL, Answer.APPROVE, row.digest, ticks=list(Tick))
    with make_any.service.database.reading() as db:
        assert [one.ticks for one in db.scalars(select(Verdict))] == [[tick.value for tick in Tick]]


def test_a_no_needs_no_ticks(make: Make) -> None:
    make.stages()
    make.panel()
    row = newest(make, waiting(make, make.user(Role.MARKETER), PICTURE))
    say(make, make.panel()[Party.LEGAL], row, Party.LEGAL, Answer.REQUEST_CHANGES, "another map")


def test_the_page_and_the_interface_ask_for_them(make: Make, sign_in: SignIn) -> None:
    make.stages()
    make.panel()
    asset = waiting(make, make.user(Role.MARKETER), PICTURE)
    row = newest(make, asset)
    legal, sales = sign_in(make.panel()[Party.LEGAL]), sign_in(make.panel()[Party.SALES])
    assert "Looked at in the pictures" in legal.get(f"/reviews/{row.public_id}").text
    assert "Looked at in the pictures" not in sales.get(f"/reviews/{row.public_id}").text
    form = {"party": "legal", "digest": row.digest, "answer": "approve", "tick": ["map", "flag"]}
    refused = legal.post(f"/reviews/{row.public_id}/verdict", data=form)
    assert refused.status_code == 422
    assert 'value="map" checked' in refused.text
    (step,) = [one for one in legal.get(f"/api/v1/reviews/{row.public_id}").json["steps"] if one["party"] == "legal"]
    assert step["to_tick"] == [tick.value for tick in checklist.Tick]
    body = {"party": "legal", "verdict": "approve", "digest": row.digest}
    assert legal.post(f"/api/v1/reviews/{row.public_id}/verdicts", json=body).json["code"] == "ticks_missing"
    answer = legal.post(f"/api/v1/reviews/{row.public_id}/verdicts", json=body | {"ticks": step["to_tick"]})
    assert answer.status_code == 201
    assert "6 points of the pictures ticked" in legal.get(f"/reviews/{row.public_id}").text
