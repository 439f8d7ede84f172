"""What a vector says of its language only is taken away."""

import json

import numpy as np
import pytest

from search import embedding, languages
from search.fake_encoder import FakeEncoder
from search.languages import EN, LANGUAGES, OTHER, ZH, Means
from search.prior_texts import PASSAGES, QUERIES


@pytest.mark.parametrize(
    ("text", "declared", "language"),
    [
        ("客户嫌贵", "", ZH),
        ("too expensive", "", EN),
        ("K8s 迁移 停机", "", ZH),
        ("我们用 Kubernetes 做迁移", "en", ZH),
        ("Kubernetes", "zh", EN),
        ("trop cher", "fr", OTHER),
        ("値段が高いと言われた場合の対応", "", OTHER),
        ("дорого", "", OTHER),
        ("12345", "zh", ZH),
        ("12345", "", OTHER),
        ("", "", OTHER),
    ],
)
def test_the_script_tells_the_language_and_what_is_declared_the_rest(text: str, declared: str, language: str) -> None:
    assert languages.of_text(text, declared) == language


@pytest.mark.parametrize("text", ["客户嫌贵", "price 价格", "", "123", "дорого", "値段 price 价格"])
def test_shares_of_a_query_sum_to_one(text: str) -> None:
    assert sum(languages.mixture(text).values()) == pytest.approx(1)


def test_own_texts_say_the_same_in_both_languages() -> None:
    for chinese, english in (*QUERIES, *PASSAGES):
        assert languages.of_text(chinese) == ZH, chinese
        assert languages.of_text(english) == EN, english
    assert len({text for pair in (*QUERIES, *PASSAGES) for text in pair}) == 2 * (len(QUERIES) + len(PASSAGES))


def test_means_survive_being_kept() -> None:
    means = embedding.language_means(FakeEncoder())
    again = Means.from_json(means.to_json())
    for language in LANGUAGES:
        assert np.array_equal(again.passages[language], means.passages[language])
        assert np.array_equal(again.queries[language], means.queries[language])


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"passages": {}, "queries": {}}), '{"passages": 3}'])
def test_garbage_is_no_means(text: str) -> None:
    with pytest.raises(ValueError, match=r"no language means|Expecting"):
        Means.from_json(text)


def test_a_query_reaches_the_other_language() -> None:
    model = FakeEncoder()
    means = embedding.language_means(model)
    texts = ["The price is too expensive.", "门店宕机了。"]
    passages = model.encode_passages(texts)
    query = model.encode_queries(["客户嫌贵"])[0]
    fair = languages.normal(passages - np.stack([means.passages[EN], means.passages[ZH]]))
    asked = means.query(query, "客户嫌贵")
    assert fair[0] @ asked > fair[1] @ asked
    assert np.linalg.norm(asked) == pytest.approx(1, abs=1e-5)
