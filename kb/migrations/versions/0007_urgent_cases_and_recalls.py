"""urgent cases and recalls"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

import kb.db

revision: str = '0007'
down_revision: str | None = '0006'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table('urgent_case',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=24), nullable=False),
    sa.Column('asset_id', sa.Integer(), nullable=False),
    sa.Column('version_id', sa.Integer(), nullable=False),
    sa.Column('passages', sa.JSON(), nullable=False),
    sa.Column('grade', sa.String(length=20), nullable=False),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('begun_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('due_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('told_late_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.Column('fixed_version_id', sa.Integer(), nullable=True),
    sa.Column('ended_by_id', sa.Integer(), nullable=True),
    sa.Column('ended_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.Column('ended_reason', sa.Text(), nullable=False),
    sa.CheckConstraint("(state = 'open') = (ended_at IS NULL)", name=op.f('ck_urgent_case_ended')),
    sa.CheckConstraint("grade IN ('top', 'high', 'normal')", name=op.f('ck_urgent_case_grade')),
    sa.CheckConstraint("state IN ('open', 'corrected', 'withdrawn', 'dismissed')", name=op.f('ck_urgent_case_state')),
    sa.ForeignKeyConstraint(['asset_id'], ['asset.id'], name=op.f('fk_urgent_case_asset_id_asset')),
    sa.ForeignKeyConstraint(['ended_by_id'], ['user_account.id'], name=op.f('fk_urgent_case_ended_by_id_user_account')),
    sa.ForeignKeyConstraint(['fixed_version_id'], ['version.id'], name=op.f('fk_urgent_case_fixed_version_id_version')),
    sa.ForeignKeyConstraint(['version_id'], ['version.id'], name=op.f('fk_urgent_case_version_id_version')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_urgent_case')),
    sa.UniqueConstraint('public_id', name=op.f('uq_urgent_case_public_id'))
    )
    with op.batch_alter_table('urgent_case', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_urgent_case_asset_id'), ['asset_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_urgent_case_begun_at'), ['begun_at'], unique=False)
        batch_op.create_index(batch_op.f('ix_urgent_case_state'), ['state'], unique=False)
        batch_op.create_index('uq_urgent_case_one_open', ['asset_id'], unique=True, sqlite_where=sa.text("state = 'open'"), postgresql_where=sa.text("state = 'open'"))

    op.create_table('recall',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=24), nullable=False),
    sa.Column('asset_id', sa.Integer(), nullable=False),
    sa.Column('version_id', sa.Integer(), nullable=False),
    sa.Column('case_id', sa.Integer(), nullable=True),
    sa.Column('replacement_id', sa.Integer(), nullable=True),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('begun_by_id', sa.Integer(), nullable=True),
    sa.Column('begun_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['asset_id'], ['asset.id'], name=op.f('fk_recall_asset_id_asset')),
    sa.ForeignKeyConstraint(['begun_by_id'], ['user_account.id'], name=op.f('fk_recall_begun_by_id_user_account')),
    sa.ForeignKeyConstraint(['case_id'], ['urgent_case.id'], name=op.f('fk_recall_case_id_urgent_case')),
    sa.ForeignKeyConstraint(['replacement_id'], ['asset.id'], name=op.f('fk_recall_replacement_id_asset')),
    sa.ForeignKeyConstraint(['version_id'], ['version.id'], name=op.f('fk_recall_version_id_version')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_recall')),
    sa.UniqueConstraint('case_id', name=op.f('uq_recall_case_id')),
    sa.UniqueConstraint('public_id', name=op.f('uq_recall_public_id'))
    )
    with op.batch_alter_table('recall', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_recall_asset_id'), ['asset_id'], unique=False)

    op.create_table('urgent_report',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('case_id', sa.Integer(), nullable=False),
    sa.Column('deal_id', sa.Integer(), nullable=False),
    sa.Column('damage', sa.Text(), nullable=False),
    sa.Column('by_id', sa.Integer(), nullable=True),
    sa.Column('at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['by_id'], ['user_account.id'], name=op.f('fk_urgent_report_by_id_user_account')),
    sa.ForeignKeyConstraint(['case_id'], ['urgent_case.id'], name=op.f('fk_urgent_report_case_id_urgent_case')),
    sa.ForeignKeyConstraint(['deal_id'], ['deal.id'], name=op.f('fk_urgent_report_deal_id_deal')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_urgent_report'))
    )
    with op.batch_alter_table('urgent_report', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_urgent_report_case_id'), ['case_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_urgent_report_deal_id'), ['deal_id'], unique=False)

    op.create_table('recall_line',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=24), nullable=False),
    sa.Column('recall_id', sa.Integer(), nullable=False),
    sa.Column('used_by_id', sa.Integer(), nullable=True),
    sa.Column('answers_id', sa.Integer(), nullable=True),
    sa.Column('deal_id', sa.Integer(), nullable=True),
    sa.Column('versions', sa.JSON(), nullable=False),
    sa.Column('uses', sa.Integer(), nullable=False),
    sa.Column('last_used_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('told_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('answer', sa.String(length=20), nullable=False),
    sa.Column('note', sa.Text(), nullable=False),
    sa.Column('answered_by_id', sa.Integer(), nullable=True),
    sa.Column('answered_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.Column('escalated_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.CheckConstraint("(answer = '') = (answered_at IS NULL)", name=op.f('ck_recall_line_answered')),
    sa.CheckConstraint("answer IN ('', 'not_given') OR note <> ''", name=op.f('ck_recall_line_has_note')),
    sa.CheckConstraint("answer IN ('', 'not_given', 'corrected', 'no_correction')", name=op.f('ck_recall_line_answer')),
    sa.ForeignKeyConstraint(['answered_by_id'], ['user_account.id'], name=op.f('fk_recall_line_answered_by_id_user_account')),
    sa.ForeignKeyConstraint(['answers_id'], ['user_account.id'], name=op.f('fk_recall_line_answers_id_user_account')),
    sa.ForeignKeyConstraint(['deal_id'], ['deal.id'], name=op.f('fk_recall_line_deal_id_deal')),
    sa.ForeignKeyConstraint(['recall_id'], ['recall.id'], name=op.f('fk_recall_line_recall_id_recall')),
    sa.ForeignKeyConstraint(['used_by_id'], ['user_account.id'], name=op.f('fk_recall_line_used_by_id_user_account')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_recall_line')),
    sa.UniqueConstraint('public_id', name=op.f('uq_recall_line_public_id')),
    sa.UniqueConstraint('recall_id', 'used_by_id', 'deal_id', name=op.f('uq_recall_line_recall_id_used_by_id_deal_id'))
    )
    with op.batch_alter_table('recall_line', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_recall_line_answers_id'), ['answers_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_recall_line_deal_id'), ['deal_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_recall_line_recall_id'), ['recall_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_recall_line_told_at'), ['told_at'], unique=False)

    # in words both databases take: SQLite would otherwise build a table anew that others refer to
    op.execute(
        "ALTER TABLE review_round ADD COLUMN case_id INTEGER "
        "CONSTRAINT fk_review_round_case_id_urgent_case REFERENCES urgent_case (id)"
    )
    op.create_index(op.f('ix_review_round_case_id'), 'review_round', ['case_id'])
