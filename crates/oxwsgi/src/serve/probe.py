"""Answers where this Python lives and, for a script given as the argument, which names it binds at its top level.

The script is parsed, never executed. One `key<TAB>value` a line.
"""

import os
import sys


def tell(key, value):
    sys.stdout.buffer.write(key.encode() + b"\t" + os.fsencode(value) + b"\n")


def bound(body):
    """The names that these statements bind, including those inside if, try and with."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                yield alias.asname or alias.name.split(".")[0]
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            for target in getattr(node, "targets", None) or [node.target]:
                for leaf in ast.walk(target):
                    if isinstance(leaf, ast.Name):
                        yield leaf.id
        for part in ("body", "orelse", "finalbody"):
            if isinstance(node, (ast.If, ast.Try, ast.With)):
                yield from bound(getattr(node, part, []))
        for handler in getattr(node, "handlers", []):
            yield from bound(handler.body)


tell("version", "%d.%d.%d" % sys.version_info[:3])
tell("implementation", sys.implementation.name)
tell("prefix", sys.prefix)
tell("executable", sys.executable or "")

if sys.version_info >= (3, 10):
    import ast
    import sysconfig

    tell("reads", os.path.dirname(os.__file__))
    for path in (sysconfig.get_path("purelib"), os.path.join(sys.prefix, "pyvenv.cfg")):
        if os.path.exists(path):
            tell("reads", path)
    variables = (sysconfig.get_config_var(name) or "" for name in ("LIBDIR", "INSTSONAME"))
    library = os.path.join(*variables)
    if library.endswith(".1.0") and os.path.exists(library):
        tell("reads", library)
    for script in sys.argv[1:]:
        try:
            with open(script, "rb") as file:
                tree = ast.parse(file.read())
        except (OSError, SyntaxError, ValueError):
            # Loading the script says it better, with a traceback.
            continue
        for name in bound(tree.body):
            tell("binds", name)
