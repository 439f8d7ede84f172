"""absence of reviewers, with their deputies"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

import kb.db

revision: str = '0008'
down_revision: str | None = '0007'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table('absence',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=24), nullable=False),
    sa.Column('user_id', sa.Integer(), nullable=False),
    sa.Column('starts_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('ends_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('deputies', sa.JSON(), nullable=False),
    sa.Column('moved_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.Column('cancelled_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.Column('created_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.CheckConstraint('ends_at > starts_at', name=op.f('ck_absence_span')),
    sa.ForeignKeyConstraint(['user_id'], ['user_account.id'], name=op.f('fk_absence_user_id_user_account')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_absence')),
    sa.UniqueConstraint('public_id', name=op.f('uq_absence_public_id'))
    )
    with op.batch_alter_table('absence', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_absence_ends_at'), ['ends_at'], unique=False)
        batch_op.create_index(batch_op.f('ix_absence_user_id'), ['user_id'], unique=False)
