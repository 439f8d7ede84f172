"""first schema"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

import kb.db

revision: str = '0001'
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table('audit_entry',
    sa.Column('sequence', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=False, nullable=False),
    sa.Column('at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('actor', sa.String(), nullable=False),
    sa.Column('actor_id', sa.Integer(), nullable=True),
    sa.Column('token_id', sa.Integer(), nullable=True),
    sa.Column('action', sa.String(length=80), nullable=False),
    sa.Column('object_type', sa.String(length=40), nullable=False),
    sa.Column('object_id', sa.String(length=120), nullable=False),
    sa.Column('details', sa.JSON(), nullable=False),
    sa.Column('previous_hash', sa.String(length=64), nullable=False),
    sa.Column('hash', sa.String(length=64), nullable=False),
    sa.PrimaryKeyConstraint('sequence', name=op.f('pk_audit_entry')),
    sa.UniqueConstraint('hash', name=op.f('uq_audit_entry_hash'))
    )
    with op.batch_alter_table('audit_entry', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_audit_entry_action'), ['action'], unique=False)
        batch_op.create_index(batch_op.f('ix_audit_entry_object_id'), ['object_id'], unique=False)

    op.create_table('rendered',
    sa.Column('digest', sa.String(length=80), nullable=False),
    sa.Column('html', sa.Text(), nullable=False),
    sa.Column('plain', sa.Text(), nullable=False),
    sa.Column('sections', sa.JSON(), nullable=False),
    sa.Column('failed', sa.String(length=20), nullable=False),
    sa.PrimaryKeyConstraint('digest', name=op.f('pk_rendered'))
    )
    op.create_table('sign_in_try',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('what', sa.String(length=64), nullable=False),
    sa.Column('at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sign_in_try'))
    )
    with op.batch_alter_table('sign_in_try', schema=None) as batch_op:
        batch_op.create_index('ix_sign_in_try_what_at', ['what', 'at'], unique=False)

    op.create_table('tag',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('facet', sa.String(length=20), nullable=False),
    sa.Column('key', sa.String(length=80), nullable=False),
    sa.Column('label_en', sa.String(length=120), nullable=False),
    sa.Column('label_zh', sa.String(length=120), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('retired_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_tag')),
    sa.UniqueConstraint('facet', 'key', name=op.f('uq_tag_facet_key'))
    )
    with op.batch_alter_table('tag', schema=None) as batch_op:
        batch_op.create_index('ix_tag_facet_position', ['facet', 'position'], unique=False)

    op.create_table('team',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(length=80), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_team')),
    sa.UniqueConstraint('name', name=op.f('uq_team_name'))
    )
    op.create_table('user_account',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=24), nullable=False),
    sa.Column('email', sa.String(length=255), nullable=False),
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('password_hash', sa.String(length=255), nullable=False),
    sa.Column('clearance', sa.String(length=20), nullable=False),
    sa.Column('language', sa.String(length=10), nullable=False),
    sa.Column('manager_id', sa.Integer(), nullable=True),
    sa.Column('epoch', sa.Integer(), nullable=False),
    sa.Column('created_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('deactivated_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['manager_id'], ['user_account.id'], name=op.f('fk_user_account_manager_id_user_account')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_user_account')),
    sa.UniqueConstraint('email', name=op.f('uq_user_account_email')),
    sa.UniqueConstraint('public_id', name=op.f('uq_user_account_public_id'))
    )
    op.create_table('wish',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('kind', sa.String(length=40), nullable=False),
    sa.Column('object_id', sa.Integer(), nullable=False),
    sa.Column('due_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('lease_until', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('error', sa.Text(), nullable=False),
    sa.Column('dead_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_wish'))
    )
    with op.batch_alter_table('wish', schema=None) as batch_op:
        batch_op.create_index('ix_wish_due', ['dead_at', 'due_at'], unique=False)

    op.create_table('api_token',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=24), nullable=False),
    sa.Column('user_id', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(length=80), nullable=False),
    sa.Column('token_hash', sa.String(length=64), nullable=False),
    sa.Column('scopes', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('created_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('expires_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('used_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.Column('revoked_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['user_id'], ['user_account.id'], name=op.f('fk_api_token_user_id_user_account'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_api_token')),
    sa.UniqueConstraint('public_id', name=op.f('uq_api_token_public_id')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_api_token_token_hash'))
    )
    with op.batch_alter_table('api_token', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_api_token_user_id'), ['user_id'], unique=False)

    op.create_table('asset',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=24), nullable=False),
    sa.Column('external_id', sa.String(length=200), nullable=True),
    sa.Column('type', sa.String(length=20), nullable=False),
    sa.Column('tier', sa.String(length=20), nullable=False),
    sa.Column('unlock_stage_id', sa.Integer(), nullable=True),
    sa.Column('shows_teaser', sa.Boolean(), nullable=False),
    sa.Column('translation_of_id', sa.Integer(), nullable=True),
    sa.Column('expires_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.Column('withdrawn_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.Column('held_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.Column('verified_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.Column('verified_by_id', sa.Integer(), nullable=True),
    sa.Column('extra', sa.JSON(), nullable=False),
    sa.Column('created_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('created_by_id', sa.Integer(), nullable=True),
    sa.CheckConstraint("tier IN ('public', 'internal', 'restricted', 'confidential')", name=op.f('ck_asset_tier')),
    sa.CheckConstraint("type IN ('talk_track', 'case_study', 'white_paper', 'battle_card', 'faq', 'product_brief', 'industry_report', 'deck', 'demo_script', 'other')", name=op.f('ck_asset_type')),
    sa.ForeignKeyConstraint(['created_by_id'], ['user_account.id'], name=op.f('fk_asset_created_by_id_user_account')),
    sa.ForeignKeyConstraint(['translation_of_id'], ['asset.id'], name=op.f('fk_asset_translation_of_id_asset')),
    sa.ForeignKeyConstraint(['unlock_stage_id'], ['tag.id'], name=op.f('fk_asset_unlock_stage_id_tag')),
    sa.ForeignKeyConstraint(['verified_by_id'], ['user_account.id'], name=op.f('fk_asset_verified_by_id_user_account')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_asset')),
    sa.UniqueConstraint('external_id', name=op.f('uq_asset_external_id')),
    sa.UniqueConstraint('public_id', name=op.f('uq_asset_public_id'))
    )
    with op.batch_alter_table('asset', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_asset_expires_at'), ['expires_at'], unique=False)
        batch_op.create_index(batch_op.f('ix_asset_translation_of_id'), ['translation_of_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_asset_type'), ['type'], unique=False)

    op.create_table('deal',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=24), nullable=False),
    sa.Column('external_id', sa.String(length=120), nullable=False),
    sa.Column('account', sa.String(length=200), nullable=False),
    sa.Column('owner_id', sa.Integer(), nullable=True),
    sa.Column('segment', sa.String(length=80), nullable=False),
    sa.Column('amount', sa.Numeric(precision=18, scale=2), nullable=True),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('outcome', sa.String(length=20), nullable=False),
    sa.Column('loss_reason', sa.String(length=300), nullable=False),
    sa.Column('created_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('closed_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.CheckConstraint("outcome IN ('open', 'won', 'lost', 'no_decision')", name=op.f('ck_deal_outcome')),
    sa.ForeignKeyConstraint(['owner_id'], ['user_account.id'], name=op.f('fk_deal_owner_id_user_account')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_deal')),
    sa.UniqueConstraint('external_id', name=op.f('uq_deal_external_id')),
    sa.UniqueConstraint('public_id', name=op.f('uq_deal_public_id'))
    )
    with op.batch_alter_table('deal', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_deal_owner_id'), ['owner_id'], unique=False)

    op.create_table('signed_in',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('token_hash', sa.String(length=64), nullable=False),
    sa.Column('user_id', sa.Integer(), nullable=False),
    sa.Column('epoch', sa.Integer(), nullable=False),
    sa.Column('created_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('seen_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['user_account.id'], name=op.f('fk_signed_in_user_id_user_account'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_signed_in')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_signed_in_token_hash'))
    )
    with op.batch_alter_table('signed_in', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_signed_in_user_id'), ['user_id'], unique=False)

    op.create_table('tag_synonym',
    sa.Column('tag_id', sa.Integer(), nullable=False),
    sa.Column('text', sa.String(length=120), nullable=False),
    sa.ForeignKeyConstraint(['tag_id'], ['tag.id'], name=op.f('fk_tag_synonym_tag_id_tag'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('tag_id', 'text', name=op.f('pk_tag_synonym'))
    )
    op.create_table('user_party',
    sa.Column('user_id', sa.Integer(), nullable=False),
    sa.Column('party', sa.String(length=20), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['user_account.id'], name=op.f('fk_user_party_user_id_user_account'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('user_id', 'party', name=op.f('pk_user_party'))
    )
    op.create_table('user_role',
    sa.Column('user_id', sa.Integer(), nullable=False),
    sa.Column('role', sa.String(length=20), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['user_account.id'], name=op.f('fk_user_role_user_id_user_account'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('user_id', 'role', name=op.f('pk_user_role'))
    )
    op.create_table('user_team',
    sa.Column('user_id', sa.Integer(), nullable=False),
    sa.Column('team_id', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['team_id'], ['team.id'], name=op.f('fk_user_team_team_id_team')),
    sa.ForeignKeyConstraint(['user_id'], ['user_account.id'], name=op.f('fk_user_team_user_id_user_account'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('user_id', 'team_id', name=op.f('pk_user_team'))
    )
    op.create_table('access_grant',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=24), nullable=False),
    sa.Column('asset_id', sa.Integer(), nullable=False),
    sa.Column('user_id', sa.Integer(), nullable=False),
    sa.Column('until', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('granted_by_id', sa.Integer(), nullable=True),
    sa.Column('granted_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('revoked_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['asset_id'], ['asset.id'], name=op.f('fk_access_grant_asset_id_asset')),
    sa.ForeignKeyConstraint(['granted_by_id'], ['user_account.id'], name=op.f('fk_access_grant_granted_by_id_user_account')),
    sa.ForeignKeyConstraint(['user_id'], ['user_account.id'], name=op.f('fk_access_grant_user_id_user_account')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_access_grant')),
    sa.UniqueConstraint('public_id', name=op.f('uq_access_grant_public_id'))
    )
    with op.batch_alter_table('access_grant', schema=None) as batch_op:
        batch_op.create_index('ix_access_grant_user_asset', ['user_id', 'asset_id'], unique=False)

    op.create_table('asset_audience',
    sa.Column('asset_id', sa.Integer(), nullable=False),
    sa.Column('team_id', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['asset_id'], ['asset.id'], name=op.f('fk_asset_audience_asset_id_asset')),
    sa.ForeignKeyConstraint(['team_id'], ['team.id'], name=op.f('fk_asset_audience_team_id_team')),
    sa.PrimaryKeyConstraint('asset_id', 'team_id', name=op.f('pk_asset_audience'))
    )
    with op.batch_alter_table('asset_audience', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_asset_audience_team_id'), ['team_id'], unique=False)

    op.create_table('asset_owner',
    sa.Column('asset_id', sa.Integer(), nullable=False),
    sa.Column('user_id', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['asset_id'], ['asset.id'], name=op.f('fk_asset_owner_asset_id_asset')),
    sa.ForeignKeyConstraint(['user_id'], ['user_account.id'], name=op.f('fk_asset_owner_user_id_user_account')),
    sa.PrimaryKeyConstraint('asset_id', 'user_id', name=op.f('pk_asset_owner'))
    )
    with op.batch_alter_table('asset_owner', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_asset_owner_user_id'), ['user_id'], unique=False)

    op.create_table('asset_tag',
    sa.Column('asset_id', sa.Integer(), nullable=False),
    sa.Column('tag_id', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['asset_id'], ['asset.id'], name=op.f('fk_asset_tag_asset_id_asset')),
    sa.ForeignKeyConstraint(['tag_id'], ['tag.id'], name=op.f('fk_asset_tag_tag_id_tag')),
    sa.PrimaryKeyConstraint('asset_id', 'tag_id', name=op.f('pk_asset_tag'))
    )
    with op.batch_alter_table('asset_tag', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_asset_tag_tag_id'), ['tag_id'], unique=False)

    op.create_table('deal_member',
    sa.Column('deal_id', sa.Integer(), nullable=False),
    sa.Column('user_id', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['deal_id'], ['deal.id'], name=op.f('fk_deal_member_deal_id_deal'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['user_id'], ['user_account.id'], name=op.f('fk_deal_member_user_id_user_account')),
    sa.PrimaryKeyConstraint('deal_id', 'user_id', name=op.f('pk_deal_member'))
    )
    with op.batch_alter_table('deal_member', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_deal_member_user_id'), ['user_id'], unique=False)

    op.create_table('deal_stage',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('deal_id', sa.Integer(), nullable=False),
    sa.Column('stage_id', sa.Integer(), nullable=False),
    sa.Column('entered_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('is_assumed', sa.Boolean(), nullable=False),
    sa.ForeignKeyConstraint(['deal_id'], ['deal.id'], name=op.f('fk_deal_stage_deal_id_deal'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['stage_id'], ['tag.id'], name=op.f('fk_deal_stage_stage_id_tag')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_deal_stage')),
    sa.UniqueConstraint('deal_id', 'stage_id', 'entered_at', name=op.f('uq_deal_stage_deal_id_stage_id_entered_at'))
    )
    with op.batch_alter_table('deal_stage', schema=None) as batch_op:
        batch_op.create_index('ix_deal_stage_deal_entered', ['deal_id', 'entered_at'], unique=False)

    op.create_table('deal_tag',
    sa.Column('deal_id', sa.Integer(), nullable=False),
    sa.Column('tag_id', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['deal_id'], ['deal.id'], name=op.f('fk_deal_tag_deal_id_deal'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['tag_id'], ['tag.id'], name=op.f('fk_deal_tag_tag_id_tag')),
    sa.PrimaryKeyConstraint('deal_id', 'tag_id', name=op.f('pk_deal_tag'))
    )
    op.create_table('missing_on_board',
    sa.Column('asset_id', sa.Integer(), nullable=False),
    sa.Column('what', sa.String(length=40), nullable=False),
    sa.Column('since_on', sa.Date(), nullable=False),
    sa.ForeignKeyConstraint(['asset_id'], ['asset.id'], name=op.f('fk_missing_on_board_asset_id_asset')),
    sa.PrimaryKeyConstraint('asset_id', 'what', name=op.f('pk_missing_on_board'))
    )
    op.create_table('search',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=24), nullable=False),
    sa.Column('user_id', sa.Integer(), nullable=True),
    sa.Column('deal_id', sa.Integer(), nullable=True),
    sa.Column('text', sa.String(length=400), nullable=False),
    sa.Column('mode', sa.String(length=20), nullable=False),
    sa.Column('total', sa.Integer(), nullable=False),
    sa.Column('at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['deal_id'], ['deal.id'], name=op.f('fk_search_deal_id_deal')),
    sa.ForeignKeyConstraint(['user_id'], ['user_account.id'], name=op.f('fk_search_user_id_user_account')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_search')),
    sa.UniqueConstraint('public_id', name=op.f('uq_search_public_id'))
    )
    with op.batch_alter_table('search', schema=None) as batch_op:
        batch_op.create_index('ix_search_user_at', ['user_id', 'at'], unique=False)

    op.create_table('version',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=24), nullable=False),
    sa.Column('asset_id', sa.Integer(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('title', sa.String(length=300), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('language', sa.String(length=10), nullable=False),
    sa.Column('handling', sa.String(length=20), nullable=False),
    sa.Column('nda', sa.Boolean(), nullable=False),
    sa.Column('cited_evidence', sa.JSON(), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('rendering_digest', sa.String(length=80), nullable=False),
    sa.Column('revision', sa.Integer(), nullable=False),
    sa.Column('note', sa.Text(), nullable=False),
    sa.Column('created_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('created_by_id', sa.Integer(), nullable=True),
    sa.Column('frozen_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.Column('publish_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.Column('published_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.Column('is_bulk_load', sa.Boolean(), nullable=False),
    sa.CheckConstraint("NOT nda OR handling = 'named'", name=op.f('ck_version_nda_only_named')),
    sa.CheckConstraint("handling IN ('internal', 'spoken', 'named', 'public')", name=op.f('ck_version_handling')),
    sa.CheckConstraint("state = 'draft' OR digest <> ''", name=op.f('ck_version_frozen_has_digest')),
    sa.CheckConstraint("state IN ('draft', 'in_review', 'changes_requested', 'rejected', 'approved', 'published', 'superseded', 'withdrawn')", name=op.f('ck_version_state')),
    sa.ForeignKeyConstraint(['asset_id'], ['asset.id'], name=op.f('fk_version_asset_id_asset')),
    sa.ForeignKeyConstraint(['created_by_id'], ['user_account.id'], name=op.f('fk_version_created_by_id_user_account')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_version')),
    sa.UniqueConstraint('asset_id', 'number', name=op.f('uq_version_asset_id_number')),
    sa.UniqueConstraint('public_id', name=op.f('uq_version_public_id'))
    )
    with op.batch_alter_table('version', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_version_asset_id'), ['asset_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_version_published_at'), ['published_at'], unique=False)
        batch_op.create_index('uq_version_one_draft', ['asset_id'], unique=True, sqlite_where=sa.text("state = 'draft'"), postgresql_where=sa.text("state = 'draft'"))
        batch_op.create_index('uq_version_one_in_review', ['asset_id'], unique=True, sqlite_where=sa.text("state = 'in_review'"), postgresql_where=sa.text("state = 'in_review'"))
        batch_op.create_index('uq_version_one_published', ['asset_id'], unique=True, sqlite_where=sa.text("state = 'published'"), postgresql_where=sa.text("state = 'published'"))

    op.create_table('attachment',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=24), nullable=False),
    sa.Column('version_id', sa.Integer(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('filename', sa.String(length=255), nullable=False),
    sa.Column('media_type', sa.String(length=120), nullable=False),
    sa.Column('size', sa.Integer(), nullable=False),
    sa.Column('sha256', sa.String(length=64), nullable=False),
    sa.ForeignKeyConstraint(['version_id'], ['version.id'], name=op.f('fk_attachment_version_id_version')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_attachment')),
    sa.UniqueConstraint('public_id', name=op.f('uq_attachment_public_id')),
    sa.UniqueConstraint('version_id', 'position', name=op.f('uq_attachment_version_id_position'))
    )
    with op.batch_alter_table('attachment', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_attachment_sha256'), ['sha256'], unique=False)
        batch_op.create_index(batch_op.f('ix_attachment_version_id'), ['version_id'], unique=False)

    op.create_table('contribution',
    sa.Column('version_id', sa.Integer(), nullable=False),
    sa.Column('user_id', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['user_account.id'], name=op.f('fk_contribution_user_id_user_account')),
    sa.ForeignKeyConstraint(['version_id'], ['version.id'], name=op.f('fk_contribution_version_id_version')),
    sa.PrimaryKeyConstraint('version_id', 'user_id', name=op.f('pk_contribution'))
    )
    op.create_table('use_event',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('event_id', sa.String(length=80), nullable=False),
    sa.Column('asset_id', sa.Integer(), nullable=False),
    sa.Column('version_id', sa.Integer(), nullable=True),
    sa.Column('user_id', sa.Integer(), nullable=True),
    sa.Column('kind', sa.String(length=20), nullable=False),
    sa.Column('deal_id', sa.Integer(), nullable=True),
    sa.Column('deal_source', sa.String(length=20), nullable=False),
    sa.Column('surface', sa.String(length=40), nullable=False),
    sa.Column('channel', sa.String(length=40), nullable=False),
    sa.Column('search_id', sa.String(length=24), nullable=False),
    sa.Column('section', sa.String(length=80), nullable=False),
    sa.Column('remark', sa.String(length=500), nullable=False),
    sa.Column('at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('was_unlocked', sa.Boolean(), nullable=False),
    sa.CheckConstraint("(deal_id IS NULL) = (deal_source = 'none')", name=op.f('ck_use_event_deal_has_source')),
    sa.CheckConstraint("deal_source IN ('chosen', 'embedded', 'inferred', 'none')", name=op.f('ck_use_event_deal_source')),
    sa.CheckConstraint("kind IN ('view', 'copy', 'share', 'present', 'download', 'helpful', 'not_helpful')", name=op.f('ck_use_event_kind')),
    sa.ForeignKeyConstraint(['asset_id'], ['asset.id'], name=op.f('fk_use_event_asset_id_asset')),
    sa.ForeignKeyConstraint(['deal_id'], ['deal.id'], name=op.f('fk_use_event_deal_id_deal')),
    sa.ForeignKeyConstraint(['user_id'], ['user_account.id'], name=op.f('fk_use_event_user_id_user_account')),
    sa.ForeignKeyConstraint(['version_id'], ['version.id'], name=op.f('fk_use_event_version_id_version')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_use_event')),
    sa.UniqueConstraint('event_id', name=op.f('uq_use_event_event_id'))
    )
    with op.batch_alter_table('use_event', schema=None) as batch_op:
        batch_op.create_index('ix_use_event_asset_deal', ['asset_id', 'deal_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_use_event_deal_id'), ['deal_id'], unique=False)
        batch_op.create_index('ix_use_event_user_at', ['user_id', 'at'], unique=False)
    if op.get_bind().dialect.name == "postgresql":
        _protect_postgresql()
    else:
        _protect_sqlite()


FROZEN = ("asset_id", "number", "title", "text", "language", "handling", "nda", "cited_evidence", "digest")
"""What nobody may change once a version is no draft any more."""


def _protect_sqlite() -> None:
    for act in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_entry_keep_{act.lower()} BEFORE {act} ON audit_entry "
            "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END"
        )
    changed = " OR ".join(f"OLD.{column} IS NOT NEW.{column}" for column in FROZEN)
    op.execute(
        f"CREATE TRIGGER version_keep_frozen BEFORE UPDATE ON version WHEN OLD.state <> 'draft' AND ({changed}) "
        "BEGIN SELECT RAISE(ABORT, 'a frozen version cannot be changed'); END"
    )
    op.execute(
        "CREATE TRIGGER version_keep_delete BEFORE DELETE ON version WHEN OLD.state <> 'draft' "
        "BEGIN SELECT RAISE(ABORT, 'a frozen version cannot be deleted'); END"
    )


def _protect_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION audit_entry_keep() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the audit trail is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_entry_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_entry_keep()"
    )
    changed = " OR ".join(f"OLD.{column}::text IS DISTINCT FROM NEW.{column}::text" for column in FROZEN)
    op.execute(
        "CREATE FUNCTION version_keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF TG_OP = 'DELETE' THEN IF OLD.state <> 'draft' THEN RAISE EXCEPTION 'a frozen version cannot be deleted'; END IF; RETURN OLD; END IF; "
        f"IF OLD.state <> 'draft' AND ({changed}) THEN RAISE EXCEPTION 'a frozen version cannot be changed'; END IF; RETURN NEW; END $$"
    )
    op.execute("CREATE TRIGGER version_keep BEFORE UPDATE OR DELETE ON version FOR EACH ROW EXECUTE FUNCTION version_keep()")
