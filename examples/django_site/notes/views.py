"""The pages: all notes, and an upload that is answered with its size and checksum."""

import hashlib

from django.http import JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from notes.models import Note


def index(request):
    return render(request, "notes/index.html", {"notes": Note.objects.all()[:50]})


@csrf_exempt  # Nothing is kept and nobody is logged in; command-line clients can use it as it is.
@require_POST
def upload(request):
    file = request.FILES.get("file")
    if file is None:
        return JsonResponse({"error": "send a file in the form field 'file'"}, status=400)
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    return JsonResponse({"name": file.name, "size": file.size, "sha256": digest.hexdigest()})
