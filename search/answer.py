"""A search page as JSON, the same for the API and the command line."""

from collections.abc import Sequence

from content.cohorts import Finding
from search.service import Hit, SearchPage
from search.suggesting import Suggestion


def as_json(page: SearchPage) -> dict[str, object]:
    return {
        "query": page.query.text,
        "mode": page.query.mode.value,
        "took_ms": round(page.took_ms, 1),
        "total": page.total,
        "hits": [_hit(hit) for hit in page.hits],
        "facets": {
            block.facet: [{"key": value.key, "count": value.count} for value in block.values] for block in page.facets
        },
        "locked": [
            {"id": t.public_id, "title": t.title, "type": t.type.value, "unlock_stage": t.unlock_stage.key}
            for t in page.locked
        ],
        "limited": page.limited,
        "search_id": page.search_id,
        "did_you_mean": page.meant or None,
        "read_as": _read_as(page),
    }


def _read_as(page: SearchPage) -> dict[str, object]:
    asked = page.asked
    return {
        "words": asked.words,
        "exact": list(asked.phrases),
        "without": list(asked.excluded),
        "title": list(asked.titled),
        "filters": {facet: sorted(values) for facet, values in asked.filters.items()},
        "notes": [{"code": code, "about": about} for code, about in asked.notes],
    }


def suggestions_as_json(typed: str, suggestions: Sequence[Suggestion]) -> dict[str, object]:
    """What may be meant by what is typed; what a line has not is null."""
    return {
        "query": typed,
        "suggestions": [
            {
                "kind": one.kind.value,
                "text": one.text,
                "id": one.id or None,
                "type": one.type.value if one.type else None,
                "language": one.language or None,
                "facet": one.facet or None,
                "key": one.key or None,
                "count": one.count or None,
            }
            for one in suggestions
        ],
    }


def _hit(hit: Hit) -> dict[str, object]:
    """`snippet` is the marked passage without marks; `passage` is the whole section a copy gives."""
    asset = hit.asset
    return {
        "id": asset.public_id,
        "external_id": asset.external_id,
        "title": asset.title,
        "type": asset.type.value,
        "language": asset.language,
        "score": round(hit.score, 4),
        "snippet": hit.passage.text if hit.passage else "",
        "passage": hit.section.plain if hit.section else "",
        "anchor": hit.section.anchor if hit.section else "",
        "section": hit.section.title if hit.section else "",
        "why": [":".join(reason) for reason in hit.why],
        "unverified": asset.is_unverified,
        "handling": asset.handling.value,
        "lift": _lift(hit.lift),
        "also": [{"id": other.public_id, "title": other.title, "language": other.language} for other in hit.also],
    }


def _lift(one: Finding | None) -> dict[str, object] | None:
    """The difference in shares won with its interval; None where it cannot be told."""
    if one is None or one.difference is None:
        return None
    difference = one.difference
    return {
        "value": difference.value,
        "low": difference.interval.low,
        "high": difference.interval.high,
        "n": one.exposed,
        "verdict": one.verdict,
    }
