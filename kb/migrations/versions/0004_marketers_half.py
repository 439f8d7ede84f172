"""the marketers' half: stored files, conversions, plan, access changes, notices"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

import kb.db

revision: str = '0004'
down_revision: str | None = '0003'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table('stored_file',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('sha256', sa.String(length=64), nullable=False),
    sa.Column('media_type', sa.String(length=120), nullable=False),
    sa.Column('size', sa.Integer(), nullable=False),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('reason', sa.String(length=40), nullable=False),
    sa.Column('created_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.CheckConstraint("state IN ('waiting', 'read', 'unreadable', 'none')", name=op.f('ck_stored_file_state')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_stored_file')),
    sa.UniqueConstraint('sha256', name=op.f('uq_stored_file_sha256'))
    )
    op.create_table('calendar_address',
    sa.Column('user_id', sa.Integer(), nullable=False),
    sa.Column('secret_hash', sa.String(length=64), nullable=False),
    sa.Column('created_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('used_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['user_id'], ['user_account.id'], name=op.f('fk_calendar_address_user_id_user_account'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('user_id', name=op.f('pk_calendar_address')),
    sa.UniqueConstraint('secret_hash', name=op.f('uq_calendar_address_secret_hash'))
    )
    op.create_table('file_page',
    sa.Column('file_id', sa.Integer(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('title', sa.String(length=300), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['file_id'], ['stored_file.id'], name=op.f('fk_file_page_file_id_stored_file'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('file_id', 'number', name=op.f('pk_file_page'))
    )
    op.create_table('notice',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('user_id', sa.Integer(), nullable=False),
    sa.Column('kind', sa.String(length=40), nullable=False),
    sa.Column('object_id', sa.Integer(), nullable=False),
    sa.Column('key', sa.String(length=120), nullable=False),
    sa.Column('details', sa.JSON(), nullable=False),
    sa.Column('at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('read_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['user_id'], ['user_account.id'], name=op.f('fk_notice_user_id_user_account'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_notice')),
    sa.UniqueConstraint('user_id', 'key', name=op.f('uq_notice_user_id_key'))
    )
    with op.batch_alter_table('notice', schema=None) as batch_op:
        batch_op.create_index('ix_notice_user_read', ['user_id', 'read_at', 'at'], unique=False)

    op.create_table('tag_change',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=24), nullable=False),
    sa.Column('kind', sa.String(length=20), nullable=False),
    sa.Column('tag_id', sa.Integer(), nullable=False),
    sa.Column('into_id', sa.Integer(), nullable=True),
    sa.Column('moved', sa.JSON(), nullable=False),
    sa.Column('at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('by_id', sa.Integer(), nullable=True),
    sa.Column('undone_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['by_id'], ['user_account.id'], name=op.f('fk_tag_change_by_id_user_account')),
    sa.ForeignKeyConstraint(['into_id'], ['tag.id'], name=op.f('fk_tag_change_into_id_tag')),
    sa.ForeignKeyConstraint(['tag_id'], ['tag.id'], name=op.f('fk_tag_change_tag_id_tag')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_tag_change')),
    sa.UniqueConstraint('public_id', name=op.f('uq_tag_change_public_id'))
    )
    with op.batch_alter_table('tag_change', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_tag_change_tag_id'), ['tag_id'], unique=False)

    op.create_table('access_change',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=24), nullable=False),
    sa.Column('asset_id', sa.Integer(), nullable=False),
    sa.Column('wanted', sa.JSON(), nullable=False),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('is_unreviewed', sa.Boolean(), nullable=False),
    sa.Column('asked_by_id', sa.Integer(), nullable=True),
    sa.Column('asked_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('ended_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.CheckConstraint("state IN ('waiting', 'applied', 'taken_back')", name=op.f('ck_access_change_state')),
    sa.ForeignKeyConstraint(['asked_by_id'], ['user_account.id'], name=op.f('fk_access_change_asked_by_id_user_account')),
    sa.ForeignKeyConstraint(['asset_id'], ['asset.id'], name=op.f('fk_access_change_asset_id_asset')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_access_change')),
    sa.UniqueConstraint('public_id', name=op.f('uq_access_change_public_id'))
    )
    with op.batch_alter_table('access_change', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_access_change_asset_id'), ['asset_id'], unique=False)
        batch_op.create_index('uq_access_change_one_waiting', ['asset_id'], unique=True, sqlite_where=sa.text("state = 'waiting'"), postgresql_where=sa.text("state = 'waiting'"))

    op.create_table('conversion',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=24), nullable=False),
    sa.Column('file_id', sa.Integer(), nullable=False),
    sa.Column('filename', sa.String(length=255), nullable=False),
    sa.Column('type', sa.String(length=20), nullable=False),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('reason', sa.String(length=40), nullable=False),
    sa.Column('asset_id', sa.Integer(), nullable=True),
    sa.Column('created_by_id', sa.Integer(), nullable=True),
    sa.Column('created_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('ended_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.CheckConstraint("state IN ('waiting', 'done', 'failed')", name=op.f('ck_conversion_state')),
    sa.ForeignKeyConstraint(['asset_id'], ['asset.id'], name=op.f('fk_conversion_asset_id_asset')),
    sa.ForeignKeyConstraint(['created_by_id'], ['user_account.id'], name=op.f('fk_conversion_created_by_id_user_account')),
    sa.ForeignKeyConstraint(['file_id'], ['stored_file.id'], name=op.f('fk_conversion_file_id_stored_file')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_conversion')),
    sa.UniqueConstraint('public_id', name=op.f('uq_conversion_public_id'))
    )
    with op.batch_alter_table('conversion', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_conversion_created_by_id'), ['created_by_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_conversion_file_id'), ['file_id'], unique=False)

    op.create_table('doubt',
    sa.Column('asset_id', sa.Integer(), nullable=False),
    sa.Column('cause', sa.String(length=40), nullable=False),
    sa.Column('about', sa.String(length=200), nullable=False),
    sa.Column('since_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('blocks_verification', sa.Boolean(), nullable=False),
    sa.ForeignKeyConstraint(['asset_id'], ['asset.id'], name=op.f('fk_doubt_asset_id_asset')),
    sa.PrimaryKeyConstraint('asset_id', 'cause', 'about', name=op.f('pk_doubt'))
    )
    op.create_table('plan_item',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=24), nullable=False),
    sa.Column('title', sa.String(length=300), nullable=False),
    sa.Column('type', sa.String(length=20), nullable=False),
    sa.Column('due_on', sa.Date(), nullable=False),
    sa.Column('owner_id', sa.Integer(), nullable=True),
    sa.Column('asset_id', sa.Integer(), nullable=True),
    sa.Column('note', sa.Text(), nullable=False),
    sa.Column('done_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.Column('created_by_id', sa.Integer(), nullable=True),
    sa.Column('created_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['asset_id'], ['asset.id'], name=op.f('fk_plan_item_asset_id_asset')),
    sa.ForeignKeyConstraint(['created_by_id'], ['user_account.id'], name=op.f('fk_plan_item_created_by_id_user_account')),
    sa.ForeignKeyConstraint(['owner_id'], ['user_account.id'], name=op.f('fk_plan_item_owner_id_user_account')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_plan_item')),
    sa.UniqueConstraint('public_id', name=op.f('uq_plan_item_public_id'))
    )
    with op.batch_alter_table('plan_item', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_plan_item_asset_id'), ['asset_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_plan_item_due_on'), ['due_on'], unique=False)

    op.add_column('asset', sa.Column('source_checked_at', kb.db.UtcDateTime(timezone=True), nullable=True))
    op.add_column('asset', sa.Column('archived_at', kb.db.UtcDateTime(timezone=True), nullable=True))
    op.add_column('asset', sa.Column('is_from_field', sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column('rendered', sa.Column('likeness', sa.LargeBinary(), nullable=True))
    # SQLite cannot add a constraint later, and copying the table would take its rows along with the old one's
    op.execute("ALTER TABLE tag ADD COLUMN merged_into_id INTEGER CONSTRAINT fk_tag_merged_into_id_tag REFERENCES tag (id)")
    op.add_column('version', sa.Column('approved_digest', sa.String(length=64), server_default=sa.text("''"), nullable=False))
    op.add_column('version', sa.Column('is_unreviewed', sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index(op.f('ix_version_publish_at'), 'version', ['publish_at'], unique=False)
    op.create_index('uq_version_one_approved', 'version', ['asset_id'], unique=True, sqlite_where=sa.text("state = 'approved'"), postgresql_where=sa.text("state = 'approved'"))
    _protect_attachments()


def _protect_attachments() -> None:
    """What hangs on a frozen version is frozen with it."""
    if op.get_bind().dialect.name == "sqlite":
        for act in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER attachment_keep_{act.lower()} BEFORE {act} ON attachment "  # nosec B608
                "WHEN (SELECT state FROM version WHERE id = OLD.version_id) <> 'draft' "
                "BEGIN SELECT RAISE(ABORT, 'an attachment of a frozen version cannot be changed'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION attachment_keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF (SELECT state FROM version WHERE id = OLD.version_id) <> 'draft' THEN "
        "RAISE EXCEPTION 'an attachment of a frozen version cannot be changed'; END IF; "
        "IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END $$"
    )
    op.execute(
        "CREATE TRIGGER attachment_keep BEFORE UPDATE OR DELETE ON attachment FOR EACH ROW EXECUTE FUNCTION attachment_keep()"
    )
