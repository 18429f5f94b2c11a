"""Create the tables of unihooks."""

from django.db import migrations

from unihooks.stores import migration_sql


class Migration(migrations.Migration):
    dependencies = ()
    operations = (migrations.RunSQL(migration_sql(until=1), reverse_sql="DROP SCHEMA unihooks CASCADE"),)
