"""A Django project with the admin site, sessions in sqlite, uploads and downloads."""
