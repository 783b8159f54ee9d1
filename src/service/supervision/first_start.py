"""What the first `agentic up` makes: a data set with products, two agents, and a service account with its token."""

from __future__ import annotations

from importlib.resources import as_file, files

from service.accounts import actions as accounts
from service.accounts.access import LOCAL_ADMIN
from service.accounts.models import NewServiceAccount, TokenReset
from service.agents import actions as agents
from service.agents.models import NewAgent
from service.database import Connection
from service.datasets import actions as data_sets
from service.datasets.models import NewDataSet
from service.datasets.product_files import read_products
from service.supervision.access_file import Access

SAMPLE = files("service.supervision").joinpath("sample")
SHEET = "product-sheet.txt"
SAMPLE_INPUT = {"skus": ["SKU-001", "SKU-002"]}
ACCOUNT = "sample"


def sheet_bytes() -> bytes:
    """The product sheet that the sample execution is given."""
    return SAMPLE.joinpath(SHEET).read_bytes()


async def make_sample(connection: Connection, url: str) -> Access:
    """All of it, in the caller's transaction. The agents name no model: they use what `agentic up` was told."""
    made = await data_sets.create(connection, NewDataSet(name="Sample catalogue"))
    with as_file(SAMPLE.joinpath("products.csv")) as path:
        await data_sets.upsert_products(connection, made.id, read_products(path))
    enrichment = NewAgent(
        name="Catalogue enrichment", agent_type="catalog-enrichment", data_set=made.id, file_upload=True
    )
    agent = await agents.create(connection, LOCAL_ADMIN, enrichment)
    echo = NewAgent(name="Echo", agent_type="echo", data_set=made.id, file_upload=True)
    echo_agent = await agents.create(connection, LOCAL_ADMIN, echo)
    account = await accounts.create(connection, NewServiceAccount(name=ACCOUNT, data_sets=[made.id]))
    return Access(
        url=url,
        token=account.token,
        account=account.id,
        data_set=made.id,
        agent=agent.id,
        echo_agent=echo_agent.id,
    )


async def renew_token(connection: Connection, access: Access) -> Access:
    """A new token for the sample's account, where the one in cli.json no longer works."""
    account = await accounts.reset_token(connection, access.account, TokenReset())
    access.token = account.token
    return access
