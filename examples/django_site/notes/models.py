"""A note: what the site keeps in its database."""

from django.db import models


class Note(models.Model):
    title = models.CharField(max_length=100)
    text = models.TextField(blank=True)
    written = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-written", "-id")

    def __str__(self):
        return self.title
