"""What httpd is pointed at: the Flask application of app.py beside this script."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from app import app as application  # noqa: F401
