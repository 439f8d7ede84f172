"""what browser a session began in, and where"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = '0016'
down_revision: str | None = '0015'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column('signed_in', sa.Column('agent', sa.String(length=200), nullable=True))
    op.add_column('signed_in', sa.Column('host', sa.String(length=64), nullable=True))
