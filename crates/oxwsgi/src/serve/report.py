"""Loaded by httpd right after the application: tells `oxwsgi serve` how the import went."""

import os
import sys

SCRIPT = @SCRIPT@
CALLABLE = @CALLABLE@
MODULE = @MODULE@


def application_names(module):
    """The names in a module that could be meant as the application."""
    for name, value in list(vars(module).items()):
        if name.startswith("_") or isinstance(value, type) or not callable(value):
            continue
        # A function of another module was imported to be used; an object that can be called was made here.
        if getattr(value, "__module__", None) == module.__name__ or not hasattr(value, "__name__"):
            yield name


def report():
    loaded = None
    for name, module in list(sys.modules.items()):
        if name.startswith("_mod_wsgi_") and getattr(module, "__file__", None) == SCRIPT:
            loaded = module
    found = getattr(loaded, CALLABLE, None)
    if loaded is None:
        outcome = "failed"
    elif callable(found):
        outcome = "loaded"
    else:
        outcome = "uncallable" if hasattr(loaded, CALLABLE) else "absent"
    shown = sys.modules.get(MODULE) if MODULE else loaded
    names = ",".join(application_names(shown)) if shown else ""
    line = f"oxwsgi-report {os.getpid()} {outcome} {type(found).__name__} {names}\n"
    sys.stderr.write(line)
    sys.stderr.flush()


report()
