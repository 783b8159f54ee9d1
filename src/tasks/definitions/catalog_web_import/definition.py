"""The catalog-web-import definition: pages in, products out, and an answer that says what came of each page."""

from __future__ import annotations

from service.definitions.context import RunContext
from service.definitions.definition import Definition, Item, Offer, Step
from service.definitions.verdicts import Accept, Issue, Reject, Retry, Verdict
from tasks.definitions.catalog_enrichment.fields import problems_of_whole
from tasks.definitions.catalog_enrichment.models import pointer
from tasks.definitions.catalog_enrichment.record import details_of
from tasks.definitions.catalog_web_import import offers, prompts
from tasks.definitions.catalog_web_import.facts import invented, is_named
from tasks.definitions.catalog_web_import.models import IMPORTED, NO_PRODUCT, NOT_READ, OUTCOMES, CatalogWebImportInput
from tasks.definitions.catalog_web_import.record import Imported, outcome_of, visits_of
from tasks.definitions.catalog_web_import.tools import fetch_page, upsert_products

web_import = Definition(
    key="catalog-web-import",
    name="Catalog Web Import",
    agent_type="catalog-web-import",
    input=CatalogWebImportInput,
    output=dict[str, str],
    tools=[fetch_page, upsert_products],
    failures={
        "no_page_reachable": "None of the pages could be fetched and read.",
        "no_product_data": "Pages could be read, but none of them has a product that can be imported.",
    },
    accepts_files=False,
    max_tool_calls=200,
    system=prompts.SYSTEM,
    examples=prompts.EXAMPLES,
)


@web_import.instructions
def ask(given: CatalogWebImportInput, context: RunContext) -> str:
    """All the pages at once."""
    return prompts.everything(given, context.field_schema)


@web_import.items
def pages(given: CatalogWebImportInput, _context: RunContext) -> list[Item]:
    """A page at a time, for small models."""
    return [Item(key=url, instructions=prompts.one_page(url)) for url in given.distinct_urls]


@web_import.offer
def next_offer(step: Step[CatalogWebImportInput]) -> Offer:
    """Everything for capable models, the next move for small ones."""
    return offers.next_offer(step)


@web_import.validator
def every_url_is_answered(proposal: Imported) -> Verdict:
    """The answer has an entry for each URL and for no other, and each begins with a known outcome."""
    urls = proposal.input.distinct_urls
    unclear = [url for url, text in proposal.output.items() if url in urls and outcome_of(text) is None]
    return _verdict(
        [
            *(Issue(pointer(url), "the answer lacks this URL") for url in urls if url not in proposal.output),
            *(Issue(pointer(url), "this URL was not given") for url in proposal.output if url not in urls),
            *(Issue(pointer(url), f"must begin with one of: {', '.join(OUTCOMES)}") for url in unclear),
        ]
    )


@web_import.validator
def every_url_was_tried(proposal: Imported) -> Verdict:
    """Each URL was handed to fetch_page, whatever came of it."""
    untried = [url for url, visit in visits_of(proposal).items() if not visit.was_tried]
    return _verdict([Issue(pointer(url), "fetch_page was not called for this URL") for url in untried])


@web_import.validator
def some_page_was_reached(proposal: Imported) -> Verdict:
    """A run whose pages were all tried and all away ends: no correction can help it."""
    made = visits_of(proposal)
    if any(visit.text is not None or not visit.was_tried for visit in made.values()):
        return Accept()
    reasons = "; ".join(visit.error for visit in made.values())
    return Reject(f"None of the pages could be read: {reasons}.", "no_page_reachable")


@web_import.validator
def some_page_had_a_product(proposal: Imported) -> Verdict:
    """Where pages were read and nothing was written, the model looks a second time; then the run ends."""
    made = visits_of(proposal)
    read = [url for url, visit in made.items() if visit.text is not None]
    if any(visit.written or not visit.was_tried or visit.carries_products for visit in made.values()) or not read:
        return Accept()
    if proposal.cycle == 1:
        return Retry("nothing was imported: look at the pages once more for products with a SKU")
    return Reject(f"No product could be imported from the pages that were read: {', '.join(read)}.", "no_product_data")


@web_import.validator
def every_upsert_succeeded(proposal: Imported) -> Verdict:
    """The last upsert of each product went through; that of a SKU which the page lacks cannot."""
    return _verdict(
        [
            Issue(pointer(url), f"the last upsert_products of {sku!r} failed: {error}")
            for url, visit in visits_of(proposal).items()
            for sku, error in visit.failed.items()
            if is_named(sku, visit.text or "", url)
        ]
    )


@web_import.validator
def claims_are_true(proposal: Imported) -> Verdict:
    """The answer says of each page what the tools did: imported, read without a product, or not read."""
    issues = []
    for url, visit in visits_of(proposal).items():
        said = outcome_of(proposal.output.get(url, ""))
        if said == IMPORTED and not visit.written:
            issues.append(Issue(pointer(url), "says imported, but no upsert_products has succeeded for this page"))
        elif said in (NO_PRODUCT, NOT_READ) and visit.written:
            told = "upsert_products has succeeded for this page, the answer says otherwise"
            issues.append(Issue(pointer(url), told, narrow={"enum": [IMPORTED]}))
        elif said == NOT_READ and visit.text is not None:
            issues.append(Issue(pointer(url), "the page was read, the answer says otherwise"))
        elif said == NO_PRODUCT and visit.was_tried and visit.text is None:
            told = f"the page could not be read ({visit.error}), the answer says otherwise"
            issues.append(Issue(pointer(url), told, narrow={"enum": [NOT_READ]}))
    return _verdict(issues)


@web_import.validator
def missing_products_are_missing(proposal: Imported) -> Verdict:
    """The answer says that there is no product only where the page itself does not name one for machines."""
    given_up = [url for url, text in proposal.output.items() if outcome_of(text) == NO_PRODUCT]
    found = [url for url, visit in visits_of(proposal).items() if url in given_up and visit.carries_products]
    return _verdict([Issue(pointer(url), "the page carries product data") for url in found])


@web_import.validator
def facts_are_on_the_page(proposal: Imported) -> Verdict:
    """What was written is held once more to the page as the model was shown it."""
    return _verdict(
        [
            Issue(pointer(url), f"{sku}: {problem}")
            for url, visit in visits_of(proposal).items()
            for sku, product in visit.written.items()
            for problem in invented(product, visit.text or "", url)
        ]
    )


@web_import.validator
def details_satisfy_the_schema(proposal: Imported) -> Verdict:
    """What was written of each product so far, taken together, is what the agent's field schema asks for."""
    schema = proposal.field_schema
    if schema is None:
        return Accept()
    return _verdict(
        [
            Issue(pointer(url), f"{sku}: {problem.field('details')} {problem.message}")
            for url, visit in visits_of(proposal).items()
            for sku, product in visit.written.items()
            for problem in problems_of_whole(details_of(product), schema)
        ]
    )


def _verdict(issues: list[Issue]) -> Verdict:
    return Retry(*issues) if issues else Accept()
