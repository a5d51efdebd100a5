"""One page that shows that an application runs, and where.

/         the page: what runs, a form, a streamed answer
/greet    POST: answers with the name and an upload's size and checksum
/stream   text, one line at a time
/fail     raises an exception, to show its traceback in the terminal
"""

import hashlib
import os
import platform
import pwd
import threading
import time

from flask import Flask, Response, redirect, render_template, request, url_for

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 64 * 1024 * 1024


def facts(environ):
    """What runs this, as rows of a table."""
    group = environ.get("mod_wsgi.process_group")
    if group is None:
        mode = "without a WSGI module"
    else:
        mode = f"daemon process group {group}" if group else "embedded in httpd's own process"
    concurrency = [
        "several threads" if environ["wsgi.multithread"] else "one thread",
        "several processes" if environ["wsgi.multiprocess"] else "one process",
    ]
    return [
        ("Python", f"{platform.python_implementation()} {platform.python_version()}"),
        ("Server", environ.get("SERVER_SOFTWARE", "unknown")),
        ("Mode", mode),
        ("Concurrency", ", ".join(concurrency)),
        ("This answer", f"process {os.getpid()}, thread {threading.get_native_id()}"),
        ("Runs as", pwd.getpwuid(os.getuid()).pw_name),
        ("Mounted at", environ.get("SCRIPT_NAME") or "/"),
    ]


@app.context_processor
def server():
    """What its users call it."""
    software = request.environ.get("SERVER_SOFTWARE", "a server")
    return {"server": "Apache httpd" if software.startswith("Apache") else software.split("/")[0]}


@app.get("/")
def index():
    return render_template("index.html", facts=facts(request.environ), greeting=None)


@app.get("/greet")
def greet_form():
    return redirect(url_for("index"))


@app.post("/greet")
def greet():
    greeting = {"name": request.form.get("name", "").strip() or "World", "file": None}
    upload = request.files.get("file")
    if upload and upload.filename:
        content = upload.read()
        greeting["file"] = {
            "name": upload.filename,
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
    return render_template("index.html", facts=facts(request.environ), greeting=greeting)


@app.get("/stream")
def stream():
    def lines():
        for number in range(1, 11):
            yield f"{number:2} of 10 at {time.strftime('%H:%M:%S')}\n"
            time.sleep(0.2)

    return Response(lines(), mimetype="text/plain")


@app.get("/fail")
def fail():
    raise RuntimeError("This is the demonstration of a failure; its traceback is in the terminal.")
