"""Loaded right after the application: tells `oxwsgi serve` how the import went."""

import os
import sys

SCRIPT = "@SCRIPT@"
CALLABLE = "@CALLABLE@"
MODULE = "@MODULE@"


def is_meant(module, value):
    """Whether it could be the application: a function of this module, or an object that can be called."""
    if isinstance(value, type) or not callable(value):
        return False
    try:
        # A function of another module was imported to be used.
        return value.__module__ == module.__name__ or not hasattr(value, "__name__")
    except Exception:
        # An object that stands for another one, which is not there without a request.
        return False


def application_names(module):
    names = (name for name, value in list(vars(module).items()) if is_meant(module, value))
    return [name for name in names if not name.startswith("_")]


def report():
    loaded = None
    for name, module in list(sys.modules.items()):
        if name.startswith("_mod_wsgi_") and getattr(module, "__file__", None) == SCRIPT:
            loaded = module
    found = getattr(loaded, CALLABLE, None)
    names = []
    if callable(found):
        outcome = "loaded"
    else:
        shown = sys.modules.get(MODULE) if MODULE else loaded
        names = application_names(shown) if shown else []
        has_name = loaded is not None and hasattr(loaded, CALLABLE)
        outcome = "failed" if loaded is None else "uncallable" if has_name else "absent"
    line = f"oxwsgi-report {os.getpid()} {outcome} {type(found).__name__} {','.join(names)}\n"
    sys.stderr.write(line)
    sys.stderr.flush()


report()
