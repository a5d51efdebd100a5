"""The contenders: what httpd loads and how a workload is mounted. All else is configured the same."""

from dataclasses import dataclass
from pathlib import Path

from .kit import Kit
from .workload import Workload

FLOOR = "floor"
REFERENCE = "mod_wsgi"
OURS = "oxwsgi"

#: Name of a contender -> what it is. `-sub`: the application runs in a sub-interpreter, the default.
CONTENDERS = {
    FLOOR: "the C handler that sends the same bytes",
    REFERENCE: "mod_wsgi, WSGIApplicationGroup %{GLOBAL}",
    REFERENCE + "-sub": "mod_wsgi, its default sub-interpreter",
    OURS: "oxwsgi, WSGIApplicationGroup %{GLOBAL}",
    OURS + "-sub": "oxwsgi, its default sub-interpreter",
}


@dataclass(frozen=True)
class Contender:
    name: str
    kit: Kit

    @property
    def is_floor(self) -> bool:
        return self.name == FLOOR

    def configuration(self, workload: Workload) -> str:
        """The lines that differ: the module, and the mount of the workload's script."""
        script = self.kit.apps / f"{workload.name}.wsgi"
        if self.is_floor:
            return "\n".join(
                [
                    f'LoadModule bench_floor_module "{self.kit.floor}"',
                    f'BenchFloor /{workload.name} "{script}" {workload.name}',
                ]
            )
        lines = [
            f'LoadModule wsgi_module "{self._module()}"',
            f'WSGIPythonHome "{self.kit.python_home}"',
            f'WSGIScriptAlias /{workload.name} "{script}"',
        ]
        if not self.name.endswith("-sub"):
            lines.append("WSGIApplicationGroup %{GLOBAL}")
        return "\n".join(lines)

    def _module(self) -> Path:
        return self.kit.reference if self.name.startswith(REFERENCE) else self.kit.ours()
