"""searches that led nowhere as gaps, searches that people keep, how well searches are answered"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

import kb.db

revision: str = '0022'
down_revision: str | None = '0021'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table('saved_search',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=24), nullable=False),
    sa.Column('user_id', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('text', sa.String(length=400), nullable=False),
    sa.Column('filters', sa.JSON(), nullable=False),
    sa.Column('mode', sa.String(length=20), nullable=False),
    sa.Column('sort', sa.String(length=20), nullable=False),
    sa.Column('tells', sa.Boolean(), nullable=False),
    sa.Column('told_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('created_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['user_account.id'], name=op.f('fk_saved_search_user_id_user_account'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_saved_search')),
    sa.UniqueConstraint('public_id', name=op.f('uq_saved_search_public_id'))
    )
    op.create_index('ix_saved_search_user', 'saved_search', ['user_id'], unique=False)
    op.create_table('gap',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=24), nullable=False),
    sa.Column('text', sa.String(length=400), nullable=False),
    sa.Column('encoder', sa.String(length=120), nullable=False),
    sa.Column('vector', sa.LargeBinary(), nullable=True),
    sa.Column('state', sa.String(length=10), nullable=False),
    sa.Column('owner_id', sa.Integer(), nullable=True),
    sa.Column('answer_id', sa.Integer(), nullable=True),
    sa.Column('reason', sa.String(length=500), nullable=False),
    sa.Column('first_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('last_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('changed_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['answer_id'], ['asset.id'], name=op.f('fk_gap_answer_id_asset')),
    sa.ForeignKeyConstraint(['owner_id'], ['user_account.id'], name=op.f('fk_gap_owner_id_user_account')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_gap')),
    sa.UniqueConstraint('public_id', name=op.f('uq_gap_public_id'))
    )
    op.create_index('ix_gap_state', 'gap', ['state'], unique=False)
    op.create_table('gap_signal',
    sa.Column('search_id', sa.Integer(), nullable=False),
    sa.Column('gap_id', sa.Integer(), nullable=False),
    sa.Column('finding', sa.String(length=10), nullable=False),
    sa.Column('asset_id', sa.Integer(), nullable=True),
    sa.ForeignKeyConstraint(['asset_id'], ['asset.id'], name=op.f('fk_gap_signal_asset_id_asset')),
    sa.ForeignKeyConstraint(['gap_id'], ['gap.id'], name=op.f('fk_gap_signal_gap_id_gap'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['search_id'], ['search.id'], name=op.f('fk_gap_signal_search_id_search'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('search_id', name=op.f('pk_gap_signal'))
    )
    op.create_index(op.f('ix_gap_signal_gap_id'), 'gap_signal', ['gap_id'], unique=False)
    op.add_column('search', sa.Column('judged_at', kb.db.UtcDateTime(timezone=True), nullable=True))
    op.create_index('ix_search_unjudged', 'search', ['at'], unique=False, sqlite_where=sa.text('judged_at IS NULL'), postgresql_where=sa.text('judged_at IS NULL'))
    op.create_table('search_quality',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('questions', sa.Integer(), nullable=False),
    sa.Column('ndcg', sa.Float(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_search_quality'))
    )
