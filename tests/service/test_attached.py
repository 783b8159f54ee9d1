"""Which database a process works on, and what is said where its URL cannot be read."""

from __future__ import annotations

import pytest

from service.attached import settings_with_database
from service.errors import SetupError
from service.settings import Settings


@pytest.mark.parametrize("name", ["DATABASE_URL", "DATABASE_DIRECT_URL"])
@pytest.mark.parametrize("url", ["postgres//me:hunter2@db/agentic", "postgresql://me:hunter 2@db/agentic"])
def test_settings_with_database_of_an_unreadable_url_names_the_variable_and_hides_it(name: str, url: str) -> None:
    with pytest.raises(SetupError, match=f"^{name} is no URL") as refused:
        settings_with_database(Settings.read({"DATABASE_URL": "postgresql://db/agentic", name: url}))
    assert "hunter" not in refused.value.detail
