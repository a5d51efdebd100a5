# Run by the Python of a home, as `python -I -S -c`, to say what it is: see answer.rs. It runs at every
# start of the server, so it imports only what is built in. Any Python understands the first part, to be
# told its version. The argument `library` asks for the shared library too.
import sys

implementation = getattr(sys, "implementation", None)
version = sys.version_info
lines = [
    "oxwsgi-python",
    "implementation=%s" % (implementation.name if implementation else "cpython"),
    "version=%d.%d.%d" % tuple(version[:3]),
]


def describe():
    import _imp

    lines.append("executable=" + sys.executable)
    lines.append("extension_suffix=" + _imp.extension_suffixes()[0])
    for path in libraries() if "library" in sys.argv else ():
        try:
            with open(path, "rb") as file:
                usable = file.read(1) != b""
        except OSError:
            usable = False
        lines.append(("library=" if usable else "looked=") + path)
        if usable:
            break


def libraries():
    # A program that is itself linked against the library has it loaded.
    try:
        with open("/proc/self/maps", "rb") as maps:
            for line in maps:
                path = line.rstrip(b"\n").split(None, 5)[5:]
                if path and path[0].rpartition(b"/")[2].startswith(b"libpython"):
                    yield path[0].decode(sys.getfilesystemencoding(), "surrogateescape")
                    return
    except OSError:
        pass
    multiarch = getattr(implementation, "_multiarch", "")
    stem = "libpython%d.%d%s" % (version[0], version[1], sys.abiflags)
    names = [stem + ".dylib"] if sys.platform == "darwin" else [stem + ".so.1.0", stem + ".so"]
    folders = ["lib", "lib64"] + (["lib/" + multiarch] if multiarch else [])
    for folder in folders:
        for name in names:
            yield "%s/%s/%s" % (sys.base_exec_prefix, folder, name)
    # Not where it usually is: ask how it was built, which takes longer.
    import sysconfig

    build = sysconfig.get_config_vars()
    for folder in "LIBDIR", "LIBPL", "PYTHONFRAMEWORKPREFIX":
        for name in "INSTSONAME", "LDLIBRARY":
            if build.get(folder) and build.get(name) and not build[name].endswith(".a"):
                yield "%s/%s" % (build[folder], build[name])


if implementation and implementation.name == "cpython" and version >= (3, 10):
    describe()
answer = "\n".join(lines) + "\nend\n"
if version >= (3,):
    sys.stdout.buffer.write(answer.encode(sys.getfilesystemencoding(), "surrogateescape"))
else:
    sys.stdout.write(answer)
