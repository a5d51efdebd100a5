"""What application servers import that have no place for several scripts: that of the variable BENCH_SCRIPT.

With BENCH_MARK, mark.wsgi is below it, at /bench-mark; only then is there a function in between.
"""

import os
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader


def load(path):
    loader = SourceFileLoader(os.path.basename(path).replace(".", "_"), path)
    module = module_from_spec(spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module.application


application = load(os.environ["BENCH_SCRIPT"])

if "BENCH_MARK" in os.environ:
    measured, mark = application, load(os.environ["BENCH_MARK"])

    def application(environ, start_response):
        if environ["PATH_INFO"] == "/bench-mark":
            return mark(environ, start_response)
        return measured(environ, start_response)
