"""indexes of what waits

Follows 20261125_0940. What it locks and whether it can be taken back: NOTES.md.
"""

import sqlalchemy as sa
from alembic import op

revision = "20261125_1324"
down_revision = "20261125_0940"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("dispatches", schema=None) as batch_op:
        batch_op.drop_index("ix_dispatches_pool")
        batch_op.create_index(
            "ix_dispatches_pool",
            ["tenant_id", "ring_id", "created_at"],
            unique=False,
            postgresql_where=sa.text("state = 'running'"),
            sqlite_where=sa.text("state = 'running'"),
        )
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.create_index(
            "ix_orders_to_rate_for_me",
            ["tenant_id", "beneficiary_id"],
            unique=False,
            postgresql_where=sa.text("state = 'done'"),
            sqlite_where=sa.text("state = 'done'"),
        )
        batch_op.create_index(
            "ix_orders_to_rate",
            ["tenant_id", "filer_id"],
            unique=False,
            postgresql_where=sa.text("state = 'done'"),
            sqlite_where=sa.text("state = 'done'"),
        )


def downgrade() -> None:
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_orders_to_rate",
            postgresql_where=sa.text("state = 'done'"),
            sqlite_where=sa.text("state = 'done'"),
        )
        batch_op.drop_index(
            "ix_orders_to_rate_for_me",
            postgresql_where=sa.text("state = 'done'"),
            sqlite_where=sa.text("state = 'done'"),
        )
    with op.batch_alter_table("dispatches", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_dispatches_pool",
            postgresql_where=sa.text("state = 'running'"),
            sqlite_where=sa.text("state = 'running'"),
        )
        batch_op.create_index(
            "ix_dispatches_pool", ["tenant_id", "ring_id", "state", "created_at"], unique=False
        )
