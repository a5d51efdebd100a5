"""What a test wants of a server, in no server's words: each part knows how httpd and how nginx say it.

A configuration is a list of parts, or a text in the words of the one server a test is about. The options of a
group have Apache's names; nginx has the same with `_` for `-`.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

# The main interpreter, as the value of `application_group`.
MAIN = "%{GLOBAL}"


class NginxLines(NamedTuple):
    """nginx's lines by where they stand: in the `server` block of the test, in `http` itself, or above it."""

    server: str = ""
    http: str = ""
    main: str = ""


class Part(Protocol):
    def for_apache(self) -> str: ...

    def for_nginx(self) -> NginxLines: ...


Config = str | Sequence[Part]


@dataclass(frozen=True)
class Group:
    """A daemon group."""

    name: str
    options: str = ""

    def for_apache(self) -> str:
        return f"WSGIDaemonProcess {self.name} {self.options}".rstrip()

    def for_nginx(self) -> NginxLines:
        words = []
        for word in shlex.split(self.options):
            name, equals, value = word.partition("=")
            words.append(_word(name.replace("-", "_") + equals + value))
        return NginxLines(http=" ".join(["wsgi_daemon_process", _word(self.name), *words]) + ";")


@dataclass(frozen=True)
class Use:
    """The group that runs what names none."""

    group: str

    def for_apache(self) -> str:
        return f"WSGIProcessGroup {self.group}"

    def for_nginx(self) -> NginxLines:
        return NginxLines(http=f"wsgi_process_group {_word(self.group)};")


@dataclass(frozen=True)
class Mount:
    """A script at a path. Without an `application_group` it has an interpreter of its own."""

    path: str
    script: str
    group: str | None = None
    application_group: str | None = None
    # What both servers would say of this path only.
    inside: Lines | None = None

    def for_apache(self) -> str:
        line = f'WSGIScriptAlias {self.path} "{self.script}"'
        if self.group is not None:
            line += f" process-group={self.group}"
        if self.application_group is not None:
            line += f" application-group={self.application_group}"
        if self.inside is None or not self.inside.apache:
            return line
        return f'{line}\n<Location "{self.path}">\n{self.inside.for_apache()}\n</Location>'

    def for_nginx(self) -> NginxLines:
        # httpd names the interpreters of mounts like this by itself; nginx's default is the main interpreter.
        interpreter = self.application_group or f"localhost:${{port}}|{self.path}"
        lines = [f"wsgi_pass {_word(self.script)};", f"wsgi_application_group {_word(interpreter)};"]
        if self.group is not None:
            lines.append(f"wsgi_process_group {_word(self.group)};")
        if self.inside is not None:
            lines.append(self.inside.nginx)
        body = "\n    ".join(lines)
        return NginxLines(server=f"location {self.path} {{\n    {body}\n}}")


@dataclass(frozen=True)
class Import:
    """A script that is loaded when a process of the group starts."""

    script: str
    group: str
    application_group: str

    def for_apache(self) -> str:
        options = f"process-group={self.group} application-group={self.application_group}"
        return f'WSGIImportScript "{self.script}" {options}'

    def for_nginx(self) -> NginxLines:
        words = [self.script, f"daemon={self.group}", f"group={self.application_group}"]
        return NginxLines(http=f"wsgi_import {' '.join(map(_word, words))};")


@dataclass(frozen=True)
class Variable:
    """A key of every request's environ."""

    name: str
    value: str

    def for_apache(self) -> str:
        return f'SetEnv {self.name} "{self.value}"'

    def for_nginx(self) -> NginxLines:
        return NginxLines(server=f"wsgi_param {self.name} {_word(self.value)};")


@dataclass(frozen=True)
class Lines:
    """What each server says in words of its own; nginx's stand in the `server` block, or where they say."""

    apache: str = ""
    nginx: str = ""
    nginx_http: str = ""
    nginx_main: str = ""

    def for_apache(self) -> str:
        return self.apache

    def for_nginx(self) -> NginxLines:
        return NginxLines(self.nginx, self.nginx_http, self.nginx_main)


def as_apache(config: Config) -> str:
    """The configuration in Apache's directives."""
    return config if isinstance(config, str) else "\n".join(part.for_apache() for part in config) + "\n"


def as_nginx(config: Config) -> NginxLines:
    """The configuration in nginx's directives; a text stands in the `server` block."""
    if isinstance(config, str):
        return NginxLines(server=config)
    rendered = [part.for_nginx() for part in config]
    return NginxLines(*("\n".join(filter(None, column)) for column in zip(*rendered, strict=True)))


def _word(text: str) -> str:
    """One argument of an nginx directive, quoted."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
