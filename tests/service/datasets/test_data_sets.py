"""/api/data-sets/ and their products."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests import http
from tests.http import Client
from tests.service.conftest import World

PATH = "/api/data-sets/"


@pytest.fixture
def admin(anonymous: Client, world: World) -> Client:
    anonymous.headers.update(world.admin.headers)
    return anonymous


@pytest.fixture
def products(world: World) -> str:
    return f"{PATH}{world.data_set}/products/"


def without_time(product: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in product.items() if name not in ("updated_at", "stock")}


def test_created_data_set_is_answered_in_full_and_given_to_nobody(admin: Client, world: World) -> None:
    answer = admin.post(PATH, json={"name": "Spring"})

    record = answer.json()
    assert answer.status_code == 201
    assert list(record) == ["id", "name", "created_at", "content_days", "execution_days"]
    assert admin.get(f"{PATH}{record['id']}/").json() == record
    assert admin.get(f"{PATH}{record['id']}/", headers=world.user.headers).status_code == 404


def test_account_lists_what_it_was_given_and_an_admin_all(client: Client, world: World) -> None:
    own = client.get(PATH).json()
    everything = client.get(PATH, headers=world.admin.headers).json()

    assert [item["id"] for item in own["results"]] == [world.data_set]
    assert everything["count"] == 2


def test_renamed_data_set_keeps_its_id(admin: Client, world: World) -> None:
    assert admin.patch(f"{PATH}{world.data_set}/", json={"name": "New"}).json()["name"] == "New"
    assert admin.patch(f"{PATH}{world.data_set}/", json={}).json()["name"] == "New"
    assert admin.patch(f"{PATH}{world.data_set}/", json={"name": None}).status_code == 400


def test_data_set_with_agents_cannot_be_deleted(admin: Client, world: World) -> None:
    answer = admin.delete(f"{PATH}{world.data_set}/")

    assert answer.status_code == 409
    assert "3 agent(s)" in answer.json()["detail"]
    assert admin.get(f"{PATH}{world.data_set}/").status_code == 200


def test_deleted_data_set_is_absent_for_everybody(admin: Client, world: World) -> None:
    for agent_id in (world.one, world.two, world.uploads):
        admin.delete(f"/api/agents/{agent_id}/")

    assert admin.delete(f"{PATH}{world.data_set}/").status_code == 204

    for headers in (world.admin.headers, world.user.headers):
        assert admin.get(f"{PATH}{world.data_set}/", headers=headers).status_code == 404
        assert admin.get(f"{PATH}{world.data_set}/products/", headers=headers).status_code == 404
    assert admin.delete(f"{PATH}{world.data_set}/").status_code == 404
    assert admin.post(f"{PATH}{world.data_set}/products/", json={"sku": "A"}).status_code == 404
    assert admin.get(f"/api/service-accounts/{world.user.id}/").json()["data_sets"] == []
    body = {"name": "Shop", "agent_type": "one", "data_set": world.data_set}
    assert admin.post("/api/agents/", json=body).status_code == 400


def test_others_than_admins_get_403_for_what_they_see_and_404_for_what_they_do_not(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    foreign = client.get("/api/agents/", headers=world.stranger.headers).json()["results"][0]["data_set"]
    before = http.row_counts(connection)

    assert client.post(PATH, json={}).status_code == 403
    for data_set_id, status in ((world.data_set, 403), (foreign, 404), (9999, 404)):
        assert client.patch(f"{PATH}{data_set_id}/", json={"name": "mine"}).status_code == status
        assert client.delete(f"{PATH}{data_set_id}/").status_code == status
        assert client.post(f"{PATH}{data_set_id}/products/", json={"sku": "A"}).status_code == status
    assert http.row_counts(connection) == before


def test_one_product_is_answered_as_one(admin: Client, products: str) -> None:
    answer = admin.post(products, json={"sku": "A", "name": "Mug", "details": {"colour": "red"}})

    assert answer.status_code == 200
    assert list(answer.json()) == ["sku", "name", "description", "details", "updated_at", "stock"]
    assert without_time(answer.json()) == {
        "sku": "A",
        "name": "Mug",
        "description": "",
        "details": {"colour": "red"},
    }


def test_list_of_products_is_answered_in_its_order(admin: Client, products: str) -> None:
    answer = admin.post(products, json=[{"sku": "B"}, {"sku": "C"}, {"sku": "A"}])

    assert [product["sku"] for product in answer.json()] == ["B", "C", "A"]


def test_product_that_exists_keeps_what_is_left_out_and_merges_details(admin: Client, products: str) -> None:
    whole = {"sku": "A", "name": "Mug", "description": "A mug.", "details": {"colour": "red", "size": 1}}
    admin.post(products, json=whole)

    changed = admin.post(products, json=[{"sku": "A", "description": "", "details": {"size": 2}}, {"sku": "B"}])

    assert without_time(changed.json()[0]) == {
        "sku": "A",
        "name": "Mug",
        "description": "",
        "details": {"colour": "red", "size": 2},
    }
    assert admin.get(products).json()["count"] == 2


def test_products_are_listed_by_sku_for_who_sees_the_data_set(admin: Client, world: World, products: str) -> None:
    admin.post(products, json=[{"sku": sku} for sku in ("B", "A")])

    page = admin.get(products, headers=world.user.headers).json()

    assert [product["sku"] for product in page["results"]] == ["A", "B"]
    assert admin.get(products, headers=world.stranger.headers).status_code == 404


def test_sku_given_twice_is_400_naming_both_and_nothing_is_written(admin: Client, products: str) -> None:
    answer = admin.post(products, json=[{"sku": "A"}, {"sku": "B"}, {"sku": "A"}])

    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["[0].sku", "[2].sku"]
    assert admin.get(products).json()["count"] == 0


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["sku"]),
        ([], ["body"]),
        ("A", ["body"]),
        ([{"sku": "A"}, {"sku": 1}, {"name": "x", "price": 1}], ["[1].sku", "[2].price", "[2].sku"]),
        ({"sku": "A", "details": {"a": ["x\0y"]}}, ["details.a[0]"]),
        ({"sku": "A", "details": []}, ["details"]),
    ],
)
def test_wrong_products_are_400_naming_all_fields_and_nothing_is_written(
    admin: Client, products: str, body: Any, fields: list[str]
) -> None:
    answer = admin.post(products, json=body)

    assert answer.status_code == 400
    assert sorted(error["field"] for error in answer.json()["errors"]) == fields
    assert admin.get(products).json()["count"] == 0


@pytest.mark.parametrize("text", ['{"sku": "A", "details": {"a": 1e400}}', '{"sku": "\\ud800"}', '{"sku": NaN}'])
def test_numbers_and_text_that_json_or_the_database_do_not_take_are_400(
    admin: Client, products: str, text: str
) -> None:
    answer = admin.post(products, content=text.encode(), headers={"Content-Type": "application/json"})

    assert answer.status_code == 400
    assert admin.get(products).json()["count"] == 0


def test_more_products_than_allowed_are_400(admin: Client, products: str) -> None:
    answer = admin.post(products, json=[{"sku": f"{number}"} for number in range(1001)])

    assert answer.status_code == 400
