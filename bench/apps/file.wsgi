"""file: ten mebibytes of the file ten-mib.bin, which lies beside this script, through wsgi.file_wrapper."""

import os

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ten-mib.bin")


def application(environ, start_response):
    file = open(PATH, "rb")  # noqa: SIM115 - the wrapper closes it
    headers = [("Content-Type", "application/octet-stream"), ("Content-Length", "10485760")]
    start_response("200 OK", headers)
    return environ["wsgi.file_wrapper"](file, 65536)
