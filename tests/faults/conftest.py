"""Which faults run in every round: each point on one of the two databases in turn, on both in the long rounds."""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as soak the half of the points that the other database has its turn with."""
    points: dict[object, dict[object, int]] = {}
    there: list[tuple[pytest.Item, str, object, object]] = []
    for item in items:
        spec = getattr(item, "callspec", None)
        if spec is None or "tests/faults" not in item.path.as_posix() or "any_database" not in spec.params:
            continue
        others = tuple(sorted((name, str(value)) for name, value in spec.params.items() if name != "any_database"))
        function = getattr(item, "function", None)
        points.setdefault(function, {}).setdefault(others, len(points.get(function, {})))
        there.append((item, str(spec.params["any_database"]), function, others))
    for item, database, function, others in there:
        turn = points[function][others] % 2 == (database == "postgresql")
        if len(points[function]) > 1 and not turn:
            item.add_marker(pytest.mark.soak)
