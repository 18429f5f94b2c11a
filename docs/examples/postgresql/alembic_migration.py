"""Create the tables of unihooks."""

from alembic import op

from unihooks.stores import migration_sql

revision = "0007"
down_revision = None  # the revision before it


def upgrade():
    op.execute(migration_sql(until=1))


def downgrade():
    op.execute("DROP SCHEMA unihooks CASCADE")
