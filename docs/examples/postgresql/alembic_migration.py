"""Create the tables of unihooks."""

from alembic import op

from unihooks.stores import migration_statements

revision = "0007"
down_revision = None  # the revision before it


def upgrade():
    for statement in migration_statements(until=1):  # asyncpg runs one at a time
        op.execute(statement)


def downgrade():
    op.execute("DROP SCHEMA unihooks CASCADE")
