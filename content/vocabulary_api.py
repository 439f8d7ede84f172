"""Vocabularies for programs."""

from typing import Annotated, Any

from flask import Response
from pydantic import Field

from content import vocabulary
from content.kinds import Facet
from kb.access import Permission
from kb.api import PREFIX, Shown, Strict, answers, spec, write
from kb.db import reading as reading_session
from kb.errors import NotFound
from kb.web import Area, actor

area = Area("vocabulary_api", __name__, url_prefix=PREFIX)

Label = Annotated[str, Field(max_length=120)]


class TagBody(Strict):
    en: Label = ""
    zh: Label = ""
    synonyms: Annotated[list[Label], Field(max_length=40)] = []


class MergeBody(Strict):
    into: Annotated[str, Field(min_length=1, max_length=80)]


class TagLine(Shown):
    key: str
    en: str
    zh: str
    synonyms: list[str]
    position: int
    assets: int
    deals: int
    retired: bool
    merged_into: str


class VocabularyShown(Shown):
    facet: str
    items: list[TagLine]


class TagSavedShown(Shown):
    facet: str
    key: str


class TagChangeShown(Shown):
    """What was moved; `id` undoes it within a day."""

    id: str
    kind: str
    assets: int


@area.get("/vocabularies/<facet>", needs=Permission.CURATE)
@spec.validate(resp=answers(HTTP_200=VocabularyShown), tags=["vocabularies"])
def listed(facet: str) -> VocabularyShown:
    """All tags of a facet in their order, with how many assets and deals carry each."""
    with reading_session() as db:
        rows = vocabulary.list_rows(db, actor(), _facet(facet))
    items = [
        TagLine(
            key=row.key,
            en=row.en,
            zh=row.zh,
            synonyms=list(row.synonyms),
            position=row.position,
            assets=row.assets,
            deals=row.deals,
            retired=row.is_retired,
            merged_into=row.merged_into,
        )
        for row in rows
    ]
    return VocabularyShown(facet=facet, items=items)


def _facet(word: str) -> Facet:
    if word not in set(Facet):
        raise NotFound()
    return Facet(word)


@area.put("/vocabularies/<facet>/<key>", needs=Permission.CURATE)
@spec.validate(resp=answers(HTTP_200=TagSavedShown), tags=["vocabularies"])
def save(facet: str, key: str, json: TagBody) -> Response:
    """Create a tag, or bring it to these labels and synonyms; a retired one comes back into use."""

    def act(db: Any) -> TagSavedShown:
        made = vocabulary.save(db, actor(), _facet(facet), key[:80], json.en, json.zh, json.synonyms)
        return TagSavedShown(facet=facet, key=made)

    return write(act)


@area.post("/vocabularies/<facet>/<key>/merge", needs=Permission.CURATE)
@spec.validate(resp=answers(HTTP_200=TagChangeShown), tags=["vocabularies"])
def merge(facet: str, key: str, json: MergeBody) -> Response:
    """Every asset and deal of one tag gets the other; old words go on as synonyms."""
    return write(lambda db: _shown(vocabulary.merge(db, actor(), _facet(facet), key, json.into)))


@area.post("/vocabularies/<facet>/<key>/retire", needs=Permission.CURATE)
@spec.validate(resp=answers(HTTP_200=TagChangeShown), tags=["vocabularies"])
def retire(facet: str, key: str) -> Response:
    """Take a tag off every asset and deal."""
    return write(lambda db: _shown(vocabulary.retire(db, actor(), _facet(facet), key)))


@area.post("/vocabulary-changes/<change>/undo", needs=Permission.CURATE)
@spec.validate(resp=answers(HTTP_200=TagChangeShown), tags=["vocabularies"])
def undo(change: str) -> Response:
    """Put back what a merge or retirement moved, within a day."""
    return write(lambda db: _shown(vocabulary.undo(db, actor(), change)))


def _shown(change: Any) -> TagChangeShown:
    return TagChangeShown(id=change.public_id, kind=change.kind, assets=len(change.moved["assets"]))
