"""the change log of deals, refused rows, cursors of other systems, notes on deals"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

import kb.db

revision: str = '0021'
down_revision: str | None = '0020'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table('deal_change',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('deal_id', sa.Integer(), nullable=False),
    sa.Column('at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_deal_change'))
    )
    op.create_table('rejected_row',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=24), nullable=False),
    sa.Column('kind', sa.String(length=20), nullable=False),
    sa.Column('key', sa.String(length=120), nullable=False),
    sa.Column('source', sa.String(length=200), nullable=False),
    sa.Column('line', sa.Integer(), nullable=True),
    sa.Column('row', sa.JSON(), nullable=False),
    sa.Column('code', sa.String(length=80), nullable=False),
    sa.Column('message', sa.Text(), nullable=False),
    sa.Column('at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('ended_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.Column('ended_how', sa.String(length=20), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_rejected_row')),
    sa.UniqueConstraint('public_id', name=op.f('uq_rejected_row_public_id'))
    )
    with op.batch_alter_table('rejected_row', schema=None) as batch_op:
        batch_op.create_index('ix_rejected_row_open', ['kind', 'key'], unique=False, sqlite_where=sa.text('ended_at IS NULL'), postgresql_where=sa.text('ended_at IS NULL'))

    op.create_table('sync_cursor',
    sa.Column('source', sa.String(length=80), nullable=False),
    sa.Column('kind', sa.String(length=20), nullable=False),
    sa.Column('cursor', sa.String(length=200), nullable=False),
    sa.Column('moved_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('rows', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('source', 'kind', name=op.f('pk_sync_cursor'))
    )
    op.create_table('deal_note',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=24), nullable=False),
    sa.Column('deal_id', sa.Integer(), nullable=False),
    sa.Column('asset_id', sa.Integer(), nullable=False),
    sa.Column('author_id', sa.Integer(), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('written_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['asset_id'], ['asset.id'], name=op.f('fk_deal_note_asset_id_asset'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['author_id'], ['user_account.id'], name=op.f('fk_deal_note_author_id_user_account')),
    sa.ForeignKeyConstraint(['deal_id'], ['deal.id'], name=op.f('fk_deal_note_deal_id_deal'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_deal_note')),
    sa.UniqueConstraint('deal_id', 'asset_id', 'author_id', name=op.f('uq_deal_note_deal_id_asset_id_author_id')),
    sa.UniqueConstraint('public_id', name=op.f('uq_deal_note_public_id'))
    )
    with op.batch_alter_table('deal_note', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_deal_note_deal_id'), ['deal_id'], unique=False)

    op.add_column('deal', sa.Column('modified_at', kb.db.UtcDateTime(timezone=True), nullable=True))
    op.add_column('deal', sa.Column('industry_word', sa.String(length=120), nullable=True))
    op.add_column('deal', sa.Column('other_words', sa.String(length=500), nullable=True))
