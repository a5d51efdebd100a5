"""The site's URLs: the notes at the root, Django's administration below /admin/."""

from django.contrib import admin
from django.urls import path
from notes import views

urlpatterns = [
    path("", views.index, name="index"),
    path("upload", views.upload, name="upload"),
    path("admin/", admin.site.urls),
]
