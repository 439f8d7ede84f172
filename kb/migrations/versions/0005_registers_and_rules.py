"""evidence, customers' consent, compliance rules as changed, waivers, who is asked to look"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

import kb.db

revision: str = '0005'
down_revision: str | None = '0004'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table('compliance_rule',
    sa.Column('rule', sa.String(length=40), nullable=False),
    sa.Column('is_on', sa.Boolean(), nullable=False),
    sa.Column('severity', sa.JSON(), nullable=False),
    sa.Column('words', sa.JSON(), nullable=False),
    sa.Column('excuses', sa.JSON(), nullable=False),
    sa.Column('changed_by_id', sa.Integer(), nullable=True),
    sa.Column('changed_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['changed_by_id'], ['user_account.id'], name=op.f('fk_compliance_rule_changed_by_id_user_account')),
    sa.PrimaryKeyConstraint('rule', name=op.f('pk_compliance_rule'))
    )
    op.create_table('evidence',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=24), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('kind', sa.String(length=20), nullable=False),
    sa.Column('statement', sa.Text(), nullable=False),
    sa.Column('issuer', sa.String(length=200), nullable=False),
    sa.Column('dated_on', sa.Date(), nullable=True),
    sa.Column('scope', sa.String(length=500), nullable=False),
    sa.Column('ends_on', sa.Date(), nullable=True),
    sa.Column('sha256', sa.String(length=64), nullable=True),
    sa.Column('filename', sa.String(length=255), nullable=False),
    sa.Column('withdrawn_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.Column('withdrawn_reason', sa.String(length=500), nullable=False),
    sa.Column('created_by_id', sa.Integer(), nullable=True),
    sa.Column('created_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.CheckConstraint("kind IN ('test', 'survey', 'contract', 'certificate', 'patent', 'award')", name=op.f('ck_evidence_kind')),
    sa.ForeignKeyConstraint(['created_by_id'], ['user_account.id'], name=op.f('fk_evidence_created_by_id_user_account')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_evidence')),
    sa.UniqueConstraint('number', name=op.f('uq_evidence_number')),
    sa.UniqueConstraint('public_id', name=op.f('uq_evidence_public_id'))
    )
    with op.batch_alter_table('evidence', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_evidence_sha256'), ['sha256'], unique=False)
        batch_op.create_index(batch_op.f('ix_evidence_ends_on'), ['ends_on'], unique=False)

    op.create_table('reference_permission',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=24), nullable=False),
    sa.Column('customer', sa.String(length=200), nullable=False),
    sa.Column('aliases', sa.JSON(), nullable=False),
    sa.Column('covers', sa.JSON(), nullable=False),
    sa.Column('handling', sa.String(length=20), nullable=False),
    sa.Column('ends_on', sa.Date(), nullable=True),
    sa.Column('note', sa.Text(), nullable=False),
    sa.Column('sha256', sa.String(length=64), nullable=True),
    sa.Column('filename', sa.String(length=255), nullable=False),
    sa.Column('withdrawn_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.Column('withdrawn_reason', sa.String(length=500), nullable=False),
    sa.Column('created_by_id', sa.Integer(), nullable=True),
    sa.Column('created_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.CheckConstraint("handling IN ('spoken', 'named', 'public')", name=op.f('ck_reference_permission_handling')),
    sa.ForeignKeyConstraint(['created_by_id'], ['user_account.id'], name=op.f('fk_reference_permission_created_by_id_user_account')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_reference_permission')),
    sa.UniqueConstraint('public_id', name=op.f('uq_reference_permission_public_id'))
    )
    with op.batch_alter_table('reference_permission', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_reference_permission_sha256'), ['sha256'], unique=False)
        batch_op.create_index(batch_op.f('ix_reference_permission_ends_on'), ['ends_on'], unique=False)

    op.create_table('waiver',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=24), nullable=False),
    sa.Column('asset_id', sa.Integer(), nullable=False),
    sa.Column('version_id', sa.Integer(), nullable=False),
    sa.Column('rule', sa.String(length=40), nullable=False),
    sa.Column('handling', sa.String(length=20), nullable=False),
    sa.Column('passage', sa.Text(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('evidence', sa.String(length=20), nullable=False),
    sa.Column('by_id', sa.Integer(), nullable=True),
    sa.Column('at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('revoked_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['asset_id'], ['asset.id'], name=op.f('fk_waiver_asset_id_asset')),
    sa.ForeignKeyConstraint(['by_id'], ['user_account.id'], name=op.f('fk_waiver_by_id_user_account')),
    sa.ForeignKeyConstraint(['version_id'], ['version.id'], name=op.f('fk_waiver_version_id_version')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_waiver')),
    sa.UniqueConstraint('public_id', name=op.f('uq_waiver_public_id'))
    )
    with op.batch_alter_table('waiver', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_waiver_asset_id'), ['asset_id'], unique=False)
    op.create_table('asked_party',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('asset_id', sa.Integer(), nullable=False),
    sa.Column('party', sa.String(length=20), nullable=False),
    sa.Column('note', sa.Text(), nullable=False),
    sa.Column('asked_by_id', sa.Integer(), nullable=True),
    sa.Column('asked_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('ended_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.CheckConstraint("party IN ('legal', 'marketing', 'sales')", name=op.f('ck_asked_party_party')),
    sa.ForeignKeyConstraint(['asked_by_id'], ['user_account.id'], name=op.f('fk_asked_party_asked_by_id_user_account')),
    sa.ForeignKeyConstraint(['asset_id'], ['asset.id'], name=op.f('fk_asked_party_asset_id_asset')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_asked_party'))
    )
    with op.batch_alter_table('asked_party', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_asked_party_asset_id'), ['asset_id'], unique=False)
        batch_op.create_index('uq_asked_party_one_open', ['asset_id', 'party'], unique=True, sqlite_where=sa.text('ended_at IS NULL'), postgresql_where=sa.text('ended_at IS NULL'))
