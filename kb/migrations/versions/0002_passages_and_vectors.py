"""passages and vectors"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

import kb.db

revision: str = '0002'
down_revision: str | None = '0001'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table('encoder',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('source', sa.String(length=400), nullable=False),
    sa.Column('dimension', sa.Integer(), nullable=False),
    sa.Column('means', sa.Text(), nullable=False),
    sa.Column('state', sa.String(length=10), nullable=False),
    sa.Column('stamp', sa.Integer(), nullable=False),
    sa.Column('changed_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.CheckConstraint("state IN ('filling', 'active', 'retired')", name=op.f('ck_encoder_state')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_encoder')),
    sa.UniqueConstraint('name', name=op.f('uq_encoder_name'))
    )
    with op.batch_alter_table('encoder', schema=None) as batch_op:
        batch_op.create_index('uq_encoder_one_active', ['state'], unique=True, sqlite_where=sa.text("state = 'active'"), postgresql_where=sa.text("state = 'active'"))

    op.create_table('embedded',
    sa.Column('encoder_id', sa.Integer(), nullable=False),
    sa.Column('asset_id', sa.Integer(), nullable=False),
    sa.Column('version_id', sa.Integer(), nullable=True),
    sa.Column('cut', sa.String(length=10), nullable=False),
    sa.Column('stamp', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['asset_id'], ['asset.id'], name=op.f('fk_embedded_asset_id_asset')),
    sa.ForeignKeyConstraint(['encoder_id'], ['encoder.id'], name=op.f('fk_embedded_encoder_id_encoder')),
    sa.ForeignKeyConstraint(['version_id'], ['version.id'], name=op.f('fk_embedded_version_id_version')),
    sa.PrimaryKeyConstraint('encoder_id', 'asset_id', name=op.f('pk_embedded'))
    )
    with op.batch_alter_table('embedded', schema=None) as batch_op:
        batch_op.create_index('ix_embedded_stamp', ['encoder_id', 'stamp'], unique=False)

    op.create_table('passage',
    sa.Column('encoder_id', sa.Integer(), nullable=False),
    sa.Column('asset_id', sa.Integer(), nullable=False),
    sa.Column('position', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('anchor', sa.String(length=80), nullable=False),
    sa.Column('begins', sa.Integer(), nullable=False),
    sa.Column('ends', sa.Integer(), nullable=False),
    sa.Column('language', sa.String(length=10), nullable=False),
    sa.Column('text_hash', sa.String(length=32), nullable=False),
    sa.ForeignKeyConstraint(['asset_id'], ['asset.id'], name=op.f('fk_passage_asset_id_asset')),
    sa.ForeignKeyConstraint(['encoder_id'], ['encoder.id'], name=op.f('fk_passage_encoder_id_encoder')),
    sa.PrimaryKeyConstraint('encoder_id', 'asset_id', 'position', name=op.f('pk_passage'))
    )
    with op.batch_alter_table('passage', schema=None) as batch_op:
        batch_op.create_index('ix_passage_text', ['encoder_id', 'text_hash'], unique=False)

    op.create_table('passage_vector',
    sa.Column('encoder_id', sa.Integer(), nullable=False),
    sa.Column('text_hash', sa.String(length=32), nullable=False),
    sa.Column('vector', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['encoder_id'], ['encoder.id'], name=op.f('fk_passage_vector_encoder_id_encoder')),
    sa.PrimaryKeyConstraint('encoder_id', 'text_hash', name=op.f('pk_passage_vector'))
    )
