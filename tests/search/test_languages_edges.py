"""Languages of texts and means of vectors: shares, pairs, what is kept, and the way across."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search import embedding, languages
from search.fake_encoder import FakeEncoder
from search.languages import EN, LANGUAGES, OTHER, ZH, Means
from search.prior_texts import PASSAGES, QUERIES


@pytest.fixture(scope="module")
def means() -> Means:
    return embedding.language_means(FakeEncoder())


@pytest.mark.parametrize(
    ("text", "declared", "language"),
    [
        ("ÉTÉ", "", EN),
        ("été", "fr-CA", OTHER),
        ("price", "EN_us", EN),
        ("2026-11-26", "zh_Hans", ZH),
        ("2026-11-26", "en-GB", EN),
        ("2026-11-26", "fr", OTHER),
        ("🙂", "", OTHER),
        ("가격이 비싸요", "zh", OTHER),
        ("客户嫌贵", "en", ZH),
        ("客户 asks whether the migration needs downtime", "", EN),
    ],
)
def test_script_before_declaration(text: str, declared: str, language: str) -> None:
    assert languages.of_text(text, declared) == language


def test_languages_of_many_are_those_of_each() -> None:
    assert languages.languages_of(["客户嫌贵", "too expensive", "дорого"]) == [ZH, EN, OTHER]


@given(st.text(alphabet="客户嫌贵 price 値カ дé🙂1.\u0000", max_size=60))
def test_shares_are_positive_and_sum_to_one(text: str) -> None:
    shares = languages.mixture(text)
    assert sum(shares.values()) == pytest.approx(1)
    assert all(share > 0 for share in shares.values())
    assert set(shares) <= set(LANGUAGES)


def test_a_mixed_query_is_of_both_languages() -> None:
    shares = languages.mixture("K8s 迁移 downtime")
    assert shares[ZH] > 0
    assert shares[EN] > 0
    assert OTHER not in shares


def test_prior_texts_come_in_pairs_first_chinese_then_english() -> None:
    for texts, pairs in zip(languages.prior_texts(), (PASSAGES, QUERIES), strict=True):
        half = len(pairs)
        assert len(texts) == 2 * half
        assert list(zip(texts[:half], texts[half:], strict=True)) == [tuple(pair) for pair in pairs]
        assert languages.languages_of(texts) == [ZH] * half + [EN] * half


def test_what_is_kept_is_the_same_to_the_bit(means: Means) -> None:
    again = Means.from_json(means.to_json())
    assert again.to_json() == means.to_json()
    assert again.passage_means().shape == (len(LANGUAGES), FakeEncoder.dimension)
    assert again.passage_means().dtype == np.float32


def spoilt(means: Means, **values: object) -> str:
    return json.dumps(json.loads(means.to_json()) | values)


def test_means_kept_by_a_former_release_are_read(means: Means) -> None:
    assert Means.from_json(spoilt(means, counted=123)).to_json() == means.to_json()
    assert json.loads(means.to_json())["counted"] == 0, "and a former release beside this one reads what is kept here"


@pytest.mark.parametrize("packed", ["A", "AAA", "贵", 3, None])
def test_a_mean_that_is_no_vector_is_refused(means: Means, packed: object) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Means.from_json(spoilt(means, queries=dict.fromkeys(LANGUAGES, packed)))


@pytest.mark.parametrize("text", ["null", "3", '"text"', "[1]", "{", "\x00"])
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Means.from_json(text)


def test_characters_outside_base64_are_refused(means: Means) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Means.from_json(spoilt(means, passages=dict.fromkeys(LANGUAGES, "!!!")))


@pytest.mark.parametrize(
    ("query", "same", "other"),
    [
        ("嫌贵", "The price.", "门店。"),
        ("迁移", "We migrate.", "价格。"),
        ("宕机", "An outage.", "合规。"),
        ("物流", "The parcel.", "银行。"),
    ],
)
def test_without_its_language_a_query_is_nearer_to_its_concept_in_the_other(
    means: Means, query: str, same: str, other: str
) -> None:
    model = FakeEncoder()
    english, chinese = model.encode_passages([same, other])
    asked = model.encode_queries([query])[0]
    fair = means.query(asked, query)
    near, far = languages.normal(np.stack([english - means.passages[EN], chinese - means.passages[ZH]])) @ fair
    assert near > far
    assert near > english @ asked, "nearer than before"


def test_zeros_stay_zeros_and_nothing_is_divided_by_them() -> None:
    assert languages.normal(np.zeros((2, 3), np.float32)).tolist() == [[0.0] * 3] * 2
    assert languages.normal(np.array([3.0, 4.0], np.float32)).tolist() == pytest.approx([0.6, 0.8])
