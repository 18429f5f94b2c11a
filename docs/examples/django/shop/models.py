"""Orders."""

from django.db import models


class Order(models.Model):
    """Something that a customer has bought."""

    number = models.IntegerField(unique=True)

    def __str__(self):
        return str(self.number)
