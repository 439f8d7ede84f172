"""contacts and non-disclosure agreements of deals; links for customers"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

import kb.db

revision: str = '0018'
down_revision: str | None = '0017'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table('deal_contact',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=24), nullable=False),
    sa.Column('deal_id', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('email', sa.String(length=254), nullable=False),
    sa.Column('added_by_id', sa.Integer(), nullable=True),
    sa.Column('added_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('removed_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['added_by_id'], ['user_account.id'], name=op.f('fk_deal_contact_added_by_id_user_account')),
    sa.ForeignKeyConstraint(['deal_id'], ['deal.id'], name=op.f('fk_deal_contact_deal_id_deal'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_deal_contact')),
    sa.UniqueConstraint('public_id', name=op.f('uq_deal_contact_public_id'))
    )
    with op.batch_alter_table('deal_contact', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_deal_contact_deal_id'), ['deal_id'], unique=False)
        batch_op.create_index('uq_deal_contact_one_address', ['deal_id', 'email'], unique=True, sqlite_where=sa.text('removed_at IS NULL'), postgresql_where=sa.text('removed_at IS NULL'))

    op.create_table('share_link',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=24), nullable=False),
    sa.Column('token_hash', sa.String(length=64), nullable=False),
    sa.Column('kind', sa.String(length=10), nullable=False),
    sa.Column('asset_id', sa.Integer(), nullable=False),
    sa.Column('version_id', sa.Integer(), nullable=False),
    sa.Column('deal_id', sa.Integer(), nullable=True),
    sa.Column('contact_id', sa.Integer(), nullable=True),
    sa.Column('created_by_id', sa.Integer(), nullable=False),
    sa.Column('created_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('expires_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('revoked_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.Column('revoked_by_id', sa.Integer(), nullable=True),
    sa.Column('password_hash', sa.String(length=200), nullable=False),
    sa.Column('asks_email', sa.Boolean(), nullable=False),
    sa.Column('may_download', sa.Boolean(), nullable=False),
    sa.CheckConstraint("kind <> 'named' OR (deal_id IS NOT NULL AND contact_id IS NOT NULL)", name=op.f('ck_share_link_named_to_somebody')),
    sa.CheckConstraint("kind IN ('named', 'open')", name=op.f('ck_share_link_kind')),
    sa.ForeignKeyConstraint(['asset_id'], ['asset.id'], name=op.f('fk_share_link_asset_id_asset')),
    sa.ForeignKeyConstraint(['contact_id'], ['deal_contact.id'], name=op.f('fk_share_link_contact_id_deal_contact')),
    sa.ForeignKeyConstraint(['created_by_id'], ['user_account.id'], name=op.f('fk_share_link_created_by_id_user_account')),
    sa.ForeignKeyConstraint(['deal_id'], ['deal.id'], name=op.f('fk_share_link_deal_id_deal')),
    sa.ForeignKeyConstraint(['revoked_by_id'], ['user_account.id'], name=op.f('fk_share_link_revoked_by_id_user_account')),
    sa.ForeignKeyConstraint(['version_id'], ['version.id'], name=op.f('fk_share_link_version_id_version')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_share_link')),
    sa.UniqueConstraint('public_id', name=op.f('uq_share_link_public_id')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_share_link_token_hash'))
    )
    with op.batch_alter_table('share_link', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_share_link_asset_id'), ['asset_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_share_link_created_by_id'), ['created_by_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_share_link_deal_id'), ['deal_id'], unique=False)

    op.create_table('share_opening',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('link_id', sa.Integer(), nullable=False),
    sa.Column('version_id', sa.Integer(), nullable=False),
    sa.Column('kind', sa.String(length=10), nullable=False),
    sa.Column('email', sa.String(length=254), nullable=False),
    sa.Column('filename', sa.String(length=255), nullable=False),
    sa.Column('at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.CheckConstraint("kind IN ('view', 'download')", name=op.f('ck_share_opening_kind')),
    sa.ForeignKeyConstraint(['link_id'], ['share_link.id'], name=op.f('fk_share_opening_link_id_share_link')),
    sa.ForeignKeyConstraint(['version_id'], ['version.id'], name=op.f('fk_share_opening_version_id_version')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_share_opening'))
    )
    with op.batch_alter_table('share_opening', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_share_opening_link_id'), ['link_id'], unique=False)

    op.add_column('deal', sa.Column('nda_signed_on', sa.Date(), nullable=True))
    op.add_column('deal', sa.Column('nda_until_on', sa.Date(), nullable=True))
    op.add_column('deal', sa.Column('nda_reference', sa.String(length=120), nullable=True))
