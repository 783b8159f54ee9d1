"""One built and installed wheel for all deployment tests of a session."""

from __future__ import annotations

import pytest

from tests.deployment.installation import Installation, build_wheel, install


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    folder = tmp_path_factory.mktemp("wheel")
    return install(build_wheel(folder), folder)
