"""URLs and views of the test site.

/admin/          Django's admin site
/upload          POST a file: its length and SHA-256 (no CSRF check)
/download        the file data/download.bin through FileResponse
/stream          a StreamingHttpResponse of 100 lines
/crash           raises
"""

import hashlib

from django.conf import settings
from django.contrib import admin
from django.http import FileResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt


@csrf_exempt
def upload(request):
    seen, length = hashlib.sha256(), 0
    for chunk in request.FILES["file"].chunks():
        seen.update(chunk)
        length += len(chunk)
    return JsonResponse({"length": length, "digest": seen.hexdigest(), "note": request.POST["note"]})


def download(request):
    return FileResponse((settings.DATA / "download.bin").open("rb"), as_attachment=True)


def stream(request):
    return StreamingHttpResponse((f"line {number}\n" for number in range(100)), content_type="text/plain")


def crash(request):
    raise ZeroDivisionError("in a view")


urlpatterns = [
    path("admin/", admin.site.urls),
    path("upload", upload),
    path("download", download),
    path("stream", stream),
    path("crash", crash),
]
