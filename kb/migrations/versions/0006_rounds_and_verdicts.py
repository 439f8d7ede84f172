"""rounds, steps, verdicts, comments, policy"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

import kb.db

revision: str = '0006'
down_revision: str | None = '0005'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table('review_policy',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('table', sa.JSON(), nullable=False),
    sa.Column('by_id', sa.Integer(), nullable=True),
    sa.Column('at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['by_id'], ['user_account.id'], name=op.f('fk_review_policy_by_id_user_account')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_review_policy')),
    sa.UniqueConstraint('number', name=op.f('uq_review_policy_number'))
    )
    op.create_table('review_round',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=24), nullable=False),
    sa.Column('asset_id', sa.Integer(), nullable=False),
    sa.Column('version_id', sa.Integer(), nullable=False),
    sa.Column('access_change_id', sa.Integer(), nullable=True),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('policy_number', sa.Integer(), nullable=False),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('publishes', sa.Boolean(), nullable=False),
    sa.Column('begun_by_id', sa.Integer(), nullable=True),
    sa.Column('begun_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('ended_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.CheckConstraint("(state = 'open') = (ended_at IS NULL)", name=op.f('ck_review_round_ended')),
    sa.CheckConstraint("state IN ('open', 'approved', 'changes_requested', 'rejected', 'taken_back')", name=op.f('ck_review_round_state')),
    sa.ForeignKeyConstraint(['access_change_id'], ['access_change.id'], name=op.f('fk_review_round_access_change_id_access_change')),
    sa.ForeignKeyConstraint(['asset_id'], ['asset.id'], name=op.f('fk_review_round_asset_id_asset')),
    sa.ForeignKeyConstraint(['begun_by_id'], ['user_account.id'], name=op.f('fk_review_round_begun_by_id_user_account')),
    sa.ForeignKeyConstraint(['version_id'], ['version.id'], name=op.f('fk_review_round_version_id_version')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_review_round')),
    sa.UniqueConstraint('access_change_id', name=op.f('uq_review_round_access_change_id')),
    sa.UniqueConstraint('public_id', name=op.f('uq_review_round_public_id'))
    )
    with op.batch_alter_table('review_round', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_review_round_asset_id'), ['asset_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_review_round_state'), ['state'], unique=False)
        batch_op.create_index(batch_op.f('ix_review_round_version_id'), ['version_id'], unique=False)
        batch_op.create_index('uq_review_round_one_text', ['version_id'], unique=True, sqlite_where=sa.text('access_change_id IS NULL'), postgresql_where=sa.text('access_change_id IS NULL'))

    op.create_table('review_comment',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=24), nullable=False),
    sa.Column('round_id', sa.Integer(), nullable=False),
    sa.Column('answers_id', sa.Integer(), nullable=True),
    sa.Column('user_id', sa.Integer(), nullable=True),
    sa.Column('party', sa.String(length=20), nullable=False),
    sa.Column('quote', sa.Text(), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('resolved_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.Column('resolved_by_id', sa.Integer(), nullable=True),
    sa.ForeignKeyConstraint(['answers_id'], ['review_comment.id'], name=op.f('fk_review_comment_answers_id_review_comment')),
    sa.ForeignKeyConstraint(['resolved_by_id'], ['user_account.id'], name=op.f('fk_review_comment_resolved_by_id_user_account')),
    sa.ForeignKeyConstraint(['round_id'], ['review_round.id'], name=op.f('fk_review_comment_round_id_review_round')),
    sa.ForeignKeyConstraint(['user_id'], ['user_account.id'], name=op.f('fk_review_comment_user_id_user_account')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_review_comment')),
    sa.UniqueConstraint('public_id', name=op.f('uq_review_comment_public_id'))
    )
    with op.batch_alter_table('review_comment', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_review_comment_round_id'), ['round_id'], unique=False)

    op.create_table('review_step',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('round_id', sa.Integer(), nullable=False),
    sa.Column('party', sa.String(length=20), nullable=False),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('hours', sa.Integer(), nullable=False),
    sa.Column('reviewers', sa.Integer(), nullable=False),
    sa.Column('due_at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.Column('told_percent', sa.Integer(), nullable=False),
    sa.Column('tell_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.Column('former_version_id', sa.Integer(), nullable=True),
    sa.Column('claimed_by_id', sa.Integer(), nullable=True),
    sa.Column('claimed_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.Column('ended_at', kb.db.UtcDateTime(timezone=True), nullable=True),
    sa.CheckConstraint("party IN ('legal', 'marketing', 'sales')", name=op.f('ck_review_step_party')),
    sa.CheckConstraint("state IN ('open', 'approved', 'changes_requested', 'rejected')", name=op.f('ck_review_step_state')),
    sa.ForeignKeyConstraint(['claimed_by_id'], ['user_account.id'], name=op.f('fk_review_step_claimed_by_id_user_account')),
    sa.ForeignKeyConstraint(['former_version_id'], ['version.id'], name=op.f('fk_review_step_former_version_id_version')),
    sa.ForeignKeyConstraint(['round_id'], ['review_round.id'], name=op.f('fk_review_step_round_id_review_round')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_review_step')),
    sa.UniqueConstraint('round_id', 'party', name=op.f('uq_review_step_round_id_party'))
    )
    with op.batch_alter_table('review_step', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_review_step_claimed_by_id'), ['claimed_by_id'], unique=False)
        batch_op.create_index('ix_review_step_open', ['party', 'due_at'], unique=False, sqlite_where=sa.text("state = 'open'"), postgresql_where=sa.text("state = 'open'"))
        batch_op.create_index(batch_op.f('ix_review_step_round_id'), ['round_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_review_step_tell_at'), ['tell_at'], unique=False)

    op.create_table('verdict',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('public_id', sa.String(length=24), nullable=False),
    sa.Column('round_id', sa.Integer(), nullable=False),
    sa.Column('step_id', sa.Integer(), nullable=False),
    sa.Column('party', sa.String(length=20), nullable=False),
    sa.Column('user_id', sa.Integer(), nullable=False),
    sa.Column('answer', sa.String(length=20), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('at', kb.db.UtcDateTime(timezone=True), nullable=False),
    sa.CheckConstraint("answer = 'approve' OR reason <> ''", name=op.f('ck_verdict_has_reason')),
    sa.CheckConstraint("answer IN ('approve', 'request_changes', 'reject')", name=op.f('ck_verdict_answer')),
    sa.ForeignKeyConstraint(['round_id'], ['review_round.id'], name=op.f('fk_verdict_round_id_review_round')),
    sa.ForeignKeyConstraint(['step_id'], ['review_step.id'], name=op.f('fk_verdict_step_id_review_step')),
    sa.ForeignKeyConstraint(['user_id'], ['user_account.id'], name=op.f('fk_verdict_user_id_user_account')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_verdict')),
    sa.UniqueConstraint('public_id', name=op.f('uq_verdict_public_id')),
    sa.UniqueConstraint('round_id', 'user_id', name=op.f('uq_verdict_round_id_user_id'))
    )
    with op.batch_alter_table('verdict', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_verdict_round_id'), ['round_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_verdict_step_id'), ['step_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_verdict_user_id'), ['user_id'], unique=False)

    with op.batch_alter_table('asked_party', schema=None) as batch_op:
        batch_op.add_column(sa.Column('kind', sa.String(length=20), server_default='question', nullable=False))
        batch_op.create_check_constraint(batch_op.f('ck_asked_party_kind'), "kind IN ('question', 'round')")
        batch_op.drop_index(batch_op.f('uq_asked_party_one_open'), sqlite_where=sa.text('ended_at IS NULL'))
        batch_op.create_index('uq_asked_party_one_open', ['asset_id', 'party', 'kind'], unique=True, sqlite_where=sa.text('ended_at IS NULL'), postgresql_where=sa.text('ended_at IS NULL'))
