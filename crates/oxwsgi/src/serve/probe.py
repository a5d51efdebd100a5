"""Answers where this Python lives and, for a script given as the argument, which names it binds.

The script is parsed, never executed. One `key<TAB>value` a line.
"""

import ast
import os
import sys
import sysconfig
from pathlib import Path


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
                yield from (leaf.id for leaf in ast.walk(target) if isinstance(leaf, ast.Name))
        elif isinstance(node, (ast.If, ast.Try, ast.With)):
            for part in ("body", "orelse", "finalbody"):
                yield from bound(getattr(node, part, []))
            for handler in getattr(node, "handlers", []):
                yield from bound(handler.body)


def read_at_start():
    """What must be readable, as far as it is there. The shared library is the affair of who loads it."""
    library, packages = Path(os.__file__).parent, Path(sysconfig.get_path("purelib"))
    for path in (library, packages, Path(sys.prefix, "pyvenv.cfg")):
        try:
            present = path.exists()
        except PermissionError:
            present = True
        if present:
            yield path


tell("version", ".".join(map(str, sys.version_info[:3])))
tell("implementation", sys.implementation.name)
tell("prefix", sys.prefix)
tell("executable", sys.executable or "")
for path in read_at_start():
    tell("reads", path)
for script in sys.argv[1:]:
    try:
        tree = ast.parse(Path(script).read_bytes())
    except (OSError, SyntaxError, ValueError):
        # Loading the script says it better, with a traceback.
        continue
    for name in bound(tree.body):
        tell("binds", name)
