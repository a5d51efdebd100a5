"""flask: the hello of the first page of Flask's documentation."""

from flask import Flask

application = Flask("bench")


@application.get("/")
def hello():
    return "Hello World!"
