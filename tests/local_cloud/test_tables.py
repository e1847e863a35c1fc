"""moto's tables at DynamoDB's pace: the answers are the same."""

import pytest
from botocore.exceptions import ClientError

KEYS = ("place", "id")


@pytest.fixture
def table(cloud):
    """A table's client, with three items in two partitions."""
    client = cloud.client("dynamodb", "us-east-1")
    client.create_table(
        TableName="some", BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in KEYS],
        KeySchema=[{"AttributeName": "place", "KeyType": "HASH"}, {"AttributeName": "id", "KeyType": "RANGE"}],
    )  # fmt: skip
    for place, identity in (("a", "2"), ("a", "1"), ("b", "1")):
        client.put_item(TableName="some", Item=item(place, identity))
    return client


def item(place, identity, **more):
    return {"place": {"S": place}, "id": {"S": identity}, **more}


def keys(items):
    return [(one["place"]["S"], one["id"]["S"]) for one in items]


def queried(table, place, condition="place = :place", **more):
    values = {":place": {"S": place}, **more}
    answer = table.query(TableName="some", KeyConditionExpression=condition, ExpressionAttributeValues=values)
    return keys(answer["Items"])


def scanned(table):
    return sorted(keys(table.scan(TableName="some")["Items"]))


def test_a_query_answers_of_its_partition_alone_in_its_order(table):
    assert queried(table, "a") == [("a", "1"), ("a", "2")]
    assert queried(table, "a", "place = :place AND begins_with(id, :id)", **{":id": {"S": "2"}}) == [("a", "2")]
    assert queried(table, "nowhere") == []
    assert scanned(table) == [("a", "1"), ("a", "2"), ("b", "1")], "and takes nothing away"


def test_a_transaction_is_carried_out_whole(table):
    table.transact_write_items(TransactItems=[
        {"Put": {"TableName": "some", "Item": item("c", "1")}},
        {"Delete": {"TableName": "some", "Key": item("a", "1")}},
    ])  # fmt: skip
    assert scanned(table) == [("a", "2"), ("b", "1"), ("c", "1")]


@pytest.mark.parametrize("update", [False, True])
def test_a_transaction_that_is_cancelled_leaves_all_as_it_was(table, update):
    before = table.scan(TableName="some")["Items"]
    writes = [
        {"Put": {"TableName": "some", "Item": item("c", "1")}},
        {"Put": {"TableName": "some", "Item": item("a", "2", more={"S": "new"})}},
        {"Delete": {"TableName": "some", "Key": item("a", "1")}},
        {
            "ConditionCheck": {
                "TableName": "some",
                "Key": item("b", "1"),
                "ConditionExpression": "attribute_exists(more)",
            }
        },
    ]
    values = {"UpdateExpression": "SET more = :x", "ExpressionAttributeValues": {":x": {"S": "x"}}}
    some_update = {"Update": {"TableName": "some", "Key": item("d", "1"), **values}}
    with pytest.raises(ClientError) as caught:
        table.transact_write_items(TransactItems=[*([some_update] if update else []), *writes])
    assert caught.value.response["Error"]["Code"] == "TransactionCanceledException"
    after = table.scan(TableName="some")["Items"]
    assert sorted(after, key=str) == sorted(before, key=str)


def test_an_attribute_of_each_type_comes_back_as_it_was_put(table):
    flat = {
        "text": {"S": "größe"}, "number": {"N": "1.5"}, "bytes": {"B": b"\xff\x00"}, "yes": {"BOOL": True},
        "nothing": {"NULL": True}, "texts": {"SS": ["a", "b"]}, "numbers": {"NS": ["1", "2"]},
        "pieces": {"BS": [b"\xff", b"\x00"]},
    }  # fmt: skip
    whole = item("a", "3", **flat, map={"M": flat}, list={"L": [{"M": flat}, *flat.values()]}, empty={"M": {}})
    table.put_item(TableName="some", Item=whole)
    key = item("a", "3")
    (scanned_one,) = [found for found in table.scan(TableName="some")["Items"] if found["id"] == key["id"]]
    written = table.transact_get_items(TransactItems=[{"Get": {"TableName": "some", "Key": key}}])["Responses"]
    assert table.get_item(TableName="some", Key=key)["Item"] == scanned_one == written[0]["Item"] == whole
