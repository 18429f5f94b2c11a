"""The orders' table and the tables of unihooks."""

from django.db import migrations, models

from shop.hooks import dispatcher


def migrate_unihooks(_apps, _schema_editor):
    dispatcher().migrate()


class Migration(migrations.Migration):
    atomic = False  # unihooks migrates on a connection of its own
    initial = True
    dependencies = ()
    operations = (
        migrations.CreateModel(
            name="Order",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.IntegerField(unique=True)),
            ],
        ),
        migrations.RunPython(migrate_unihooks, migrations.RunPython.noop),
    )
