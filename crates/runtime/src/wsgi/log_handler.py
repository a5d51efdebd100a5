# `mod_wsgi.LogHandler`, run when an application first asks for it: few do, and `logging` is slow to import.

import logging


class LogHandler(logging.Handler):
    """Sends log records to the server's error log, on the request that the thread serves."""

    def emit(self, record):
        try:
            _write(record.levelno, self.format(record))  # noqa: F821  # whoever runs this puts it here
        except Exception:
            self.handleError(record)


LogHandler.__module__ = "mod_wsgi"
