"""The catalog-enrichment definition: one request and one write for capable models, SKU by SKU for small ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from service.definitions.context import Product, RunContext
from service.definitions.definition import Definition, Item, Offer, Step
from service.definitions.verdicts import Accept, Issue, Reject, Retry, Verdict
from tasks.definitions.catalog_enrichment import offers, prompts, quality
from tasks.definitions.catalog_enrichment.fields import problems_of_whole
from tasks.definitions.catalog_enrichment.models import (
    NO_DATA,
    OUTCOMES,
    UPDATED,
    CatalogEnrichmentAgenticExecutionInput,
    pointer,
)
from tasks.definitions.catalog_enrichment.record import (
    Enriched,
    attempts,
    details_of,
    outcome_of,
    wanted,
    written_products,
)
from tasks.definitions.catalog_enrichment.sheets import described_skus, mentions, section_of
from tasks.definitions.catalog_enrichment.tools import (
    list_products_without_description,
    search_files,
    search_products,
    upsert_products,
)

MAX_CHOSEN = 20
"""Products that are taken where the input names none and the model does not choose itself."""

enrichment = Definition(
    key="catalog-enrichment",
    name="Catalog Enrichment",
    agent_type="catalog-enrichment",
    input=CatalogEnrichmentAgenticExecutionInput,
    output=dict[str, str],
    tools=[search_files, search_products, list_products_without_description, upsert_products],
    failures={"no_product_data": "Neither the attached files nor the catalogue know any of the requested products."},
    max_tool_calls=200,
    system=prompts.SYSTEM,
    examples=prompts.EXAMPLES,
)


@enrichment.instructions
def ask(given: CatalogEnrichmentAgenticExecutionInput, context: RunContext) -> str:
    """All the work at once."""
    return prompts.everything(given, context.files, context.field_schema)


@enrichment.items
async def products_to_enrich(given: CatalogEnrichmentAgenticExecutionInput, context: RunContext) -> list[Item]:
    """The products that were asked for, else those of the catalogue that the files describe, else those without a
    description, else those that the files alone know."""
    if given.skus is not None:
        skus = list(dict.fromkeys(given.skus))
        known = {product.sku: product for product in await context.data_set.products(skus)}
        return [_item(known.get(sku) or Product(sku=sku), context) for sku in skus]
    described = described_skus(context.files)
    found = await context.data_set.products(described) if described else []
    chosen = sorted(found, key=lambda product: described.index(product.sku))
    if not chosen:
        chosen = await context.data_set.undescribed(limit=MAX_CHOSEN) or [Product(sku=sku) for sku in described]
    return [_item(product, context) for product in chosen[:MAX_CHOSEN]]


@enrichment.offer
def next_offer(step: Step[CatalogEnrichmentAgenticExecutionInput]) -> Offer:
    """Everything for capable models, the next move for small ones."""
    return offers.next_offer(step)


@enrichment.validator
async def some_product_is_known(proposal: Enriched) -> Verdict:
    """A run about products that nothing is known of ends: no correction can help it."""
    skus = wanted(proposal)
    if proposal.input.skus == [] or await _known(proposal, skus):
        return Accept()
    if proposal.input.skus is None and (described_skus(proposal.files) or await proposal.data_set.undescribed(limit=1)):
        return Accept()
    if proposal.input.skus is None:
        nothing = "No attached file describes a product, and the catalogue has none without a description."
        return Reject(nothing, "no_product_data")
    named = ", ".join(skus[:10])
    return Reject(
        f"Neither the attached files nor the catalogue know the products asked for: {named}.", "no_product_data"
    )


@enrichment.validator
def every_sku_is_answered(proposal: Enriched) -> Verdict:
    """The answer has an entry for each SKU and for no other, and each begins with a known outcome."""
    skus = wanted(proposal)
    extra = [sku for sku in proposal.output if proposal.input.skus is not None and sku not in skus]
    unclear = [sku for sku, text in proposal.output.items() if outcome_of(text) is None]
    return _verdict(
        [
            *(Issue(pointer(sku), "the answer lacks this SKU") for sku in skus if sku not in proposal.output),
            *(Issue(pointer(sku), "this SKU was not asked for") for sku in extra),
            *(Issue(pointer(sku), f"must begin with one of: {', '.join(OUTCOMES)}") for sku in unclear),
        ]
    )


@enrichment.validator
async def every_sku_was_attempted(proposal: Enriched) -> Verdict:
    """Each SKU that the files or the catalogue know was handed to upsert_products."""
    made = attempts(proposal.tool_calls)
    untried = await _known(proposal, [sku for sku in wanted(proposal) if sku not in made])
    if proposal.input.skus is None and not made and not proposal.output:
        return Retry("no product was enriched: choose products and write them with upsert_products")
    return _verdict([Issue(pointer(sku), "upsert_products was not called for this SKU") for sku in untried])


@enrichment.validator
async def every_upsert_succeeded(proposal: Enriched) -> Verdict:
    """The last upsert of each SKU went through; that of a SKU which nothing knows cannot."""
    failed = {sku: attempt.error for sku, attempt in attempts(proposal.tool_calls).items() if attempt.error}
    mendable = await _known(proposal, list(failed))
    return _verdict([Issue(pointer(sku), f"the last upsert_products failed: {failed[sku]}") for sku in mendable])


@enrichment.validator
def claims_are_true(proposal: Enriched) -> Verdict:
    """The answer says that a SKU was updated exactly where a call of the tool did it."""
    made = attempts(proposal.tool_calls)
    issues = []
    for sku, text in proposal.output.items():
        is_written = sku in made and made[sku].is_written
        says_so = outcome_of(text) == UPDATED
        if says_so and not is_written:
            issues.append(Issue(pointer(sku), "says that it was updated, but no upsert_products has succeeded for it"))
        elif is_written and not says_so and not made[sku].error:
            told = "upsert_products has succeeded for this SKU, the answer says otherwise"
            issues.append(Issue(pointer(sku), told, narrow={"enum": [UPDATED]}))
    return _verdict(issues)


@enrichment.validator
def details_satisfy_the_schema(proposal: Enriched) -> Verdict:
    """What was written of each product so far, taken together, is what the agent's field schema asks for."""
    schema = proposal.field_schema
    if schema is None:
        return Accept()
    return _verdict(
        [
            Issue(pointer(sku, "details", *map(str, problem.path)), problem.message)
            for sku, attempt in attempts(proposal.tool_calls).items()
            if attempt.is_written
            for problem in problems_of_whole(details_of(attempt.details), schema)
        ]
    )


@enrichment.validator
def missing_data_is_missing(proposal: Enriched) -> Verdict:
    """The answer says that there is no data only where the files have no section on the SKU."""
    given_up = [sku for sku, text in proposal.output.items() if outcome_of(text) == NO_DATA]
    found = [sku for sku in given_up if section_of(sku, proposal.files) is not None]
    return _verdict([Issue(pointer(sku), "the files have a section on this SKU") for sku in found])


def _rule(rule: Callable[[quality.Written], Iterator[Issue]]) -> None:
    """Register a rule of quality as a validator of every product that was written."""

    def judge(proposal: Enriched) -> Verdict:
        return _verdict([issue for written in written_products(proposal) for issue in rule(written)])

    judge.__name__ = rule.__name__
    enrichment.validator(judge)


_rule(quality.is_complete)
_rule(quality.copies_values)
_rule(quality.names_product)
_rule(quality.is_full_sentence)
_rule(quality.avoids_forbidden_words)
_rule(quality.numbers_are_in_file)
_rule(quality.bullets_are_in_file)
_rule(quality.bullets_are_distinct)


async def _known(proposal: Enriched, skus: Sequence[str]) -> list[str]:
    """Those of the SKUs that the files or the catalogue know."""
    products = {product.sku for product in await proposal.data_set.products(skus)} if skus else set()
    return [sku for sku in skus if sku in products or mentions(sku, proposal.files)]


def _verdict(issues: list[Issue]) -> Verdict:
    return Retry(*issues) if issues else Accept()


def _item(product: Product, context: RunContext) -> Item:
    section = section_of(product.sku, context.files)
    name = product.name or (section.name if section else "")
    return Item(key=product.sku, instructions=prompts.one_product(product.sku, name))
