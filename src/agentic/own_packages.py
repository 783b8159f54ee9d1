"""Making sure that `service` and `tasks` mean ours, though the folder that an author works in may hold a tasks.py."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent


def claim(name: str) -> None:
    """Load our package under its name, whatever lies earlier on the path.

    Raises ImportError where another module has taken the name already.
    """
    init = HOME / name / "__init__.py"
    known = sys.modules.get(name)
    if known is not None:
        theirs = getattr(known, "__file__", None)
        if theirs is None or not init.samefile(theirs):
            raise ImportError(
                f"the module {name!r} was imported from {theirs} before agentic, which has a package of that name; "
                "import agentic first or rename the module"
            )
        return
    spec = spec_from_file_location(name, init, submodule_search_locations=[str(init.parent)])
    if spec is None or spec.loader is None:
        raise ImportError(f"{init} cannot be loaded")
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


claim("service")
