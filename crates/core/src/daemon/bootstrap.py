# Makes a worker of the `python` that runs this: loads the runtime, its first argument, as an extension.

import sys

# `-c` puts the working directory there; a site that wants to import from it says `home=`.
if sys.path[:1] == [""]:
    del sys.path[0]


def load(file):
    from importlib.machinery import ExtensionFileLoader, ModuleSpec

    loader = ExtensionFileLoader("oxwsgi_runtime", file)
    try:
        module = loader.create_module(ModuleSpec(loader.name, loader, origin=file))
        loader.exec_module(module)
    except ImportError as error:
        sys.exit(f"WSGI1020: The Python runtime {file} cannot be loaded by {sys.executable}: {error}")
    return module.run


run = load(sys.argv[1])
del load
run()
