"""what each reviewer reviews, and to whom an item is offered"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

import kb.db

revision: str = '0011'
down_revision: str | None = '0010'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table('reviewer_profile',
    sa.Column('user_id', sa.Integer(), nullable=False),
    sa.Column('languages', sa.JSON(), nullable=False),
    sa.Column('types', sa.JSON(), nullable=False),
    sa.Column('zone', sa.String(length=64), nullable=False),
    sa.Column('country', sa.String(length=8), nullable=False),
    sa.Column('changed_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['user_account.id'], name=op.f('fk_reviewer_profile_user_id_user_account')),
    sa.PrimaryKeyConstraint('user_id', name=op.f('pk_reviewer_profile'))
    )
    op.add_column('review_step', sa.Column('zone', sa.String(length=64), nullable=True))
    op.add_column('review_step', sa.Column('country', sa.String(length=8), nullable=True))
    op.add_column('review_step', sa.Column('offered_at', kb.db.UtcDateTime(timezone=True), nullable=True))
    # as it is: a table rebuilt for one more column would drop what refers to it
    op.execute(
        "ALTER TABLE review_step ADD COLUMN offered_to_id INTEGER "
        "CONSTRAINT fk_review_step_offered_to_id_user_account REFERENCES user_account (id)"
    )
    op.create_index(op.f('ix_review_step_offered_to_id'), 'review_step', ['offered_to_id'])
