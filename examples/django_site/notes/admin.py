"""Notes in Django's administration."""

from django.contrib import admin

from notes.models import Note


@admin.register(Note)
class NoteAdmin(admin.ModelAdmin):
    list_display = ("title", "written")
    search_fields = ("title", "text")
