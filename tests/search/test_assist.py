"""During the call: passages for what was said, among what the reader sees; silence where nothing fits."""

import pytest

from kb.access import Tier
from search import assist
from tests.conftest import SignIn
from tests.factories import Make


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("One. Two? Three! Four.", "Two? Three! Four."),
        ("张三：你们好。\n李四：等保三级过了吗？", "你们好。 等保三级过了吗？"),
        ("", ""),
        ("word " * 400, ""),
        ("x" * 4000 + ". The end.", "The end."),
    ],
)
def test_the_last_sentences_count_without_the_names_of_speakers(said: str, asked: str) -> None:
    assert assist.last_sentences(said) == asked


def test_it_answers_what_fits_and_is_silent_otherwise(make: Make, sign_in: SignIn) -> None:
    make.asset("Level three certificate", "# Certificate\n\nOur certificate of level three is number 4711.\n")
    make.asset("Secret certificate", "# Certificate\n\nCertificate of level three, secret.\n", tier=Tier.CONFIDENTIAL)
    make.index()
    rep = sign_in(make.user())
    told = rep.post("/api/v1/assist", json={"text": "Hello. What is the number of your level three certificate?"}).json
    assert told is not None
    assert [one["title"] for one in told["passages"]] == ["Level three certificate"]
    assert "4711" in told["passages"][0]["say"]
    for small_talk in ("Nice weather today, is it not?", "", "ok", "Let me share my screen."):
        assert rep.post("/api/v1/assist", json={"text": small_talk}).json["passages"] == []  # type: ignore[index]
    page = rep.post("/assist", data={"said": "What is the number of your level three certificate?"}).text
    assert "Level three certificate" in page
    assert "Secret" not in page
    assert "better to say nothing" in rep.post("/assist", data={"said": "Nice weather today"}).text


def test_it_needs_a_deal_of_ones_own_and_shows_what_that_unlocks(make: Make, sign_in: SignIn) -> None:
    make.stages()
    make.asset("Discount rules", "# Discount\n\nDiscount rules of the final negotiation round.\n", unlock="negotiation")
    make.index()
    user, said = make.user(), "What are the discount rules of the final negotiation round?"
    early, late = make.deal(user, "discovery"), make.deal(user, "negotiation")
    foreign = make.deal(make.user(), "negotiation")
    rep = sign_in(user)

    def passages(deal: str) -> int:
        return len(rep.post("/api/v1/assist", json={"text": said, "deal": deal}).json["passages"])  # type: ignore[index]

    assert [passages(deal) for deal in ("", early.external_id, late.external_id)] == [0, 0, 1]
    assert rep.post("/api/v1/assist", json={"text": said, "deal": foreign.external_id}).status_code == 404
