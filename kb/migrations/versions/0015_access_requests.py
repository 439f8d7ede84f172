"""asking for what a later stage unlocks, and what could not be opened"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

import kb.db

revision: str = '0015'
down_revision: str | None = '0014'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table('access_request',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=24), nullable=False),
    sa.Column('asset_id', sa.Integer(), nullable=False),
    sa.Column('user_id', sa.Integer(), nullable=False),
    sa.Column('deal_id', sa.Integer(), nullable=True),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('asked_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('decided_by_id', sa.Integer(), nullable=True),
    sa.Column('decided_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.Column('answer', sa.Text(), nullable=False),
    sa.Column('grant_id', sa.Integer(), nullable=True),
    sa.CheckConstraint("(state = 'open') = (decided_at IS NULL)", name=op.f('ck_access_request_decided')),
    sa.CheckConstraint("state IN ('open', 'granted', 'refused', 'withdrawn')", name=op.f('ck_access_request_state')),
    sa.CheckConstraint("state NOT IN ('granted', 'refused') OR answer <> ''", name=op.f('ck_access_request_has_answer')),
    sa.ForeignKeyConstraint(['asset_id'], ['asset.id'], name=op.f('fk_access_request_asset_id_asset')),
    sa.ForeignKeyConstraint(['deal_id'], ['deal.id'], name=op.f('fk_access_request_deal_id_deal')),
    sa.ForeignKeyConstraint(['decided_by_id'], ['user_account.id'], name=op.f('fk_access_request_decided_by_id_user_account')),
    sa.ForeignKeyConstraint(['grant_id'], ['access_grant.id'], name=op.f('fk_access_request_grant_id_access_grant')),
    sa.ForeignKeyConstraint(['user_id'], ['user_account.id'], name=op.f('fk_access_request_user_id_user_account')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_access_request')),
    sa.UniqueConstraint('public_id', name=op.f('uq_access_request_public_id'))
    )
    with op.batch_alter_table('access_request', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_access_request_asset_id'), ['asset_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_access_request_state'), ['state'], unique=False)
        batch_op.create_index(batch_op.f('ix_access_request_user_id'), ['user_id'], unique=False)
        batch_op.create_index('uq_access_request_one_open', ['asset_id', 'user_id'], unique=True, sqlite_where=sa.text("state = 'open'"), postgresql_where=sa.text("state = 'open'"))

    op.create_table('locked_try',
    sa.Column('asset_id', sa.Integer(), nullable=False),
    sa.Column('user_id', sa.Integer(), nullable=False),
    sa.Column('tried_on', sa.Date(), nullable=False),
    sa.Column('tries', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['asset_id'], ['asset.id'], name=op.f('fk_locked_try_asset_id_asset')),
    sa.ForeignKeyConstraint(['user_id'], ['user_account.id'], name=op.f('fk_locked_try_user_id_user_account')),
    sa.PrimaryKeyConstraint('asset_id', 'user_id', 'tried_on', name=op.f('pk_locked_try'))
    )
