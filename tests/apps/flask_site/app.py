"""A Flask application that uses what sites use.

/                   a page from a template, with links made by url_for
/json               the JSON it was sent, with its keys counted
/form               GET: a form; POST: stores the name in the session and redirects to /name
/name               the name of the session
/upload             POST a file: its length and SHA-256
/download?size=N    N bytes through send_file
/stream             a streamed response that uses the request while it streams
/crash              raises; /abort answers 418
/log                a warning through app.logger
"""

import hashlib
import io

from flask import (
    Flask,
    abort,
    current_app,
    jsonify,
    redirect,
    render_template_string,
    request,
    send_file,
    session,
    stream_with_context,
    url_for,
)

app = Flask(__name__)
app.secret_key = "only for tests"

PAGE = """<!doctype html><title>{{ title }}</title>
<a href="{{ url_for('form') }}">form</a>
<a href="{{ url_for('form', _external=True) }}">external</a>
{% for n in range(3) %}<p>{{ n }}</p>{% endfor %}"""


@app.get("/")
def index():
    return render_template_string(PAGE, title="Flask <runs>")


@app.post("/json")
def echo_json():
    data = request.get_json()
    return jsonify(data=data, count=len(data))


@app.route("/form", methods=["GET", "POST"])
def form():
    if request.method == "POST":
        session["name"] = request.form["name"]
        return redirect(url_for("name"))
    return '<form method="post"><input name="name"></form>'


@app.get("/name")
def name():
    return session.get("name", "nobody")


@app.post("/upload")
def upload():
    data = request.files["file"].read()
    return jsonify(length=len(data), digest=hashlib.sha256(data).hexdigest())


@app.get("/download")
def download():
    size = int(request.args["size"])
    return send_file(io.BytesIO(b"f" * size), mimetype="application/octet-stream", download_name="data.bin")


@app.get("/stream")
def stream():
    @stream_with_context
    def lines():
        for number in range(5):
            yield f"{request.args['word']} {number}\n"

    return lines(), {"Content-Type": "text/plain"}


@app.get("/crash")
def crash():
    raise ZeroDivisionError("in a view")


@app.get("/abort")
def teapot():
    abort(418)


@app.get("/log")
def log():
    current_app.logger.warning("a warning from Flask")
    return "logged"
