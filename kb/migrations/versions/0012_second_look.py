"""parties that were off duty look again at an urgent fix that went live"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

import kb.db

revision: str = '0012'
down_revision: str | None = '0011'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

ONE_TEXT = sa.text("access_change_id IS NULL AND follows_id IS NULL")


def upgrade() -> None:
    op.add_column('review_round', sa.Column('afterwards', sa.JSON(), nullable=True))
    op.add_column('review_round', sa.Column('stale_told_at', kb.db.UtcDateTime(timezone=True), nullable=True))
    # as it is: a table rebuilt for one more column would drop what refers to it
    op.execute(
        "ALTER TABLE review_round ADD COLUMN follows_id INTEGER "
        "CONSTRAINT fk_review_round_follows_id_review_round REFERENCES review_round (id)"
    )
    op.drop_index('uq_review_round_one_text', table_name='review_round')
    op.create_index(
        'uq_review_round_one_text', 'review_round', ['version_id'], unique=True,
        sqlite_where=ONE_TEXT, postgresql_where=ONE_TEXT,
    )
    op.create_index('uq_review_round_follows_id', 'review_round', ['follows_id'], unique=True)
