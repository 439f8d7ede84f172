"""notices by mail"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

import kb.db

revision: str = '0010'
down_revision: str | None = '0009'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column('notice', sa.Column('mailed_at', kb.db.UtcDateTime(timezone=True), nullable=True))
    op.execute("UPDATE notice SET mailed_at = at")  # what was told before mail was is not mailed afterwards
    op.add_column('user_account', sa.Column('mails', sa.String(length=10), server_default='hourly', nullable=False))
    op.add_column('user_account', sa.Column('mailed_at', kb.db.UtcDateTime(timezone=True), nullable=True))
