"""words that reviewers suggest, and authors take"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

import kb.db

revision: str = '0014'
down_revision: str | None = '0013'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column('review_comment', sa.Column('wording', sa.Text(), nullable=True))
    op.add_column('review_comment', sa.Column('taken_at', kb.db.UtcDateTime(timezone=True), nullable=True))
    # as they are: a table rebuilt for one more column would drop what refers to it
    op.execute(
        "ALTER TABLE review_comment ADD COLUMN taken_by_id INTEGER "
        "CONSTRAINT fk_review_comment_taken_by_id_user_account REFERENCES user_account (id)"
    )
    op.execute(
        "ALTER TABLE review_comment ADD COLUMN taken_version_id INTEGER "
        "CONSTRAINT fk_review_comment_taken_version_id_version REFERENCES version (id)"
    )
    op.create_index(op.f('ix_review_comment_taken_version_id'), 'review_comment', ['taken_version_id'])
