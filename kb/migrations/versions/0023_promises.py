"""which former releases may serve on a newer schema"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = '0023'
down_revision: str | None = '0022'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None
keeps_former = True


def upgrade() -> None:
    op.create_table('schema_promise',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('oldest', sa.String(length=32), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_schema_promise'))
    )
