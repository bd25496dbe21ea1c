"""Drives boto3 and the AWS CLI over every action of the queue server: sqs_boto3.py ENDPOINT_URL

Ends with an AssertionError at the first answer that is not as on AWS. boto3 itself checks every answer's MD5s.
"""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import boto3
from botocore.config import Config

ENDPOINT = sys.argv[1]
ACCOUNT = "000000000000"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"}

sqs = boto3.client(
    "sqs",
    endpoint_url=ENDPOINT,
    region_name=CREDENTIALS["AWS_DEFAULT_REGION"],
    aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
    aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=30),
)


@contextmanager
def raises(exception, code, status=400):
    """Expects one of the client's own exceptions, with the code that programs written for the Query protocol look at."""
    try:
        yield
    except exception as error:
        assert error.response["Error"]["Code"] == code, error.response
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == status, error.response
        assert error.response["Error"]["Message"], error.response
    else:
        raise AssertionError(f"{exception} was not raised")


def arn(name):
    return f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"


def eventually(look):
    deadline = time.monotonic() + 20
    while not (seen := look()):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)
    return seen


def queues():
    url = sqs.create_queue(QueueName="work", Attributes={"VisibilityTimeout": "60"}, tags={"team": "a"})["QueueUrl"]
    assert url == f"{ENDPOINT}/{ACCOUNT}/work", url
    assert sqs.get_queue_url(QueueName="work")["QueueUrl"] == url
    with raises(sqs.exceptions.QueueNameExists, "QueueAlreadyExists"):
        sqs.create_queue(QueueName="work", Attributes={"VisibilityTimeout": "61"})
    with raises(sqs.exceptions.QueueDoesNotExist, "AWS.SimpleQueueService.NonExistentQueue"):
        sqs.get_queue_url(QueueName="nowhere")
    with raises(sqs.exceptions.UnsupportedOperation, "AWS.SimpleQueueService.UnsupportedOperation"):
        sqs.create_queue(QueueName="work.fifo", Attributes={"FifoQueue": "true"})
    with raises(sqs.exceptions.InvalidAttributeName, "InvalidAttributeName"):
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Colour": "red"})
    with raises(sqs.exceptions.InvalidAttributeValue, "InvalidAttributeValue"):
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "901"})

    sqs.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "0", "MessageRetentionPeriod": "1209600"})
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["QueueArn"] == arn("work") and attributes["MessageRetentionPeriod"] == "1209600", attributes

    sqs.tag_queue(QueueUrl=url, Tags={"cost": "1"})
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"team": "a", "cost": "1"}
    sqs.untag_queue(QueueUrl=url, TagKeys=["team", "cost"])
    assert "Tags" not in sqs.list_queue_tags(QueueUrl=url)

    for number in range(5):
        sqs.create_queue(QueueName=f"page-{number}")
    pages = sqs.get_paginator("list_queues").paginate(QueueNamePrefix="page-", PaginationConfig={"PageSize": 2})
    pages = [page["QueueUrls"] for page in pages]
    assert [len(page) for page in pages] == [2, 2, 1], pages

    sqs.delete_queue(QueueUrl=f"{ENDPOINT}/{ACCOUNT}/page-0")
    with raises(sqs.exceptions.QueueDeletedRecently, "AWS.SimpleQueueService.QueueDeletedRecently"):
        sqs.create_queue(QueueName="page-0")
    sqs.purge_queue(QueueUrl=url)
    with raises(sqs.exceptions.PurgeQueueInProgress, "AWS.SimpleQueueService.PurgeQueueInProgress", 403):
        sqs.purge_queue(QueueUrl=url)
    return url


def messages(url):
    attributes = {
        "text": {"DataType": "String", "StringValue": "値"},
        "number": {"DataType": "Number.int", "StringValue": "7"},
        "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\x01\xff"},
    }
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988"}}
    body = 'a body: 漢字 🦀 "quotes"'
    sent = sqs.send_message(
        QueueUrl=url, MessageBody=body, MessageAttributes=attributes, MessageSystemAttributes=trace
    )
    received = sqs.receive_message(
        QueueUrl=url, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"], WaitTimeSeconds=20
    )["Messages"]
    assert len(received) == 1, received
    message = received[0]
    assert message["Body"] == body and message["MessageId"] == sent["MessageId"], message
    assert message["MessageAttributes"] == attributes, message
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"], message
    assert message["Attributes"]["AWSTraceHeader"] == "Root=1-5759e988", message
    assert message["Attributes"]["ApproximateReceiveCount"] == "1", message
    assert "Messages" not in sqs.receive_message(QueueUrl=url)

    handle = message["ReceiptHandle"]
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)
    # The message is visible again, so this changes nothing, and is no error.
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=900)
    again = sqs.receive_message(QueueUrl=url)["Messages"][0]
    assert "Attributes" not in again and "MessageAttributes" not in again, again
    sqs.delete_message(QueueUrl=url, ReceiptHandle=handle)
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])
    sqs.send_message(QueueUrl=url, MessageBody="x", MessageAttributes=attributes, MessageGroupId="tenant-a")
    grouped = sqs.receive_message(
        QueueUrl=url, MessageAttributeNames=["*"], MessageSystemAttributeNames=["MessageGroupId"]
    )["Messages"][0]
    assert grouped["Attributes"] == {"MessageGroupId": "tenant-a"}, grouped
    assert grouped["MessageAttributes"] == attributes, grouped
    sqs.delete_message(QueueUrl=url, ReceiptHandle=grouped["ReceiptHandle"])
    with raises(sqs.exceptions.ClientError, "InvalidParameterValue"):
        sqs.send_message(QueueUrl=url, MessageBody="x", MessageGroupId="a b")
    with raises(sqs.exceptions.ClientError, "InvalidParameterValue"):
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=1)
    with raises(sqs.exceptions.ReceiptHandleIsInvalid, "ReceiptHandleIsInvalid", 404):
        sqs.delete_message(QueueUrl=url, ReceiptHandle="nonsense")
    with raises(sqs.exceptions.InvalidMessageContents, "InvalidMessageContents"):
        sqs.send_message(QueueUrl=url, MessageBody="\x01")
    sqs.send_message(QueueUrl=url, MessageBody="x" * 2**20, DelaySeconds=900)


def batches(url):
    entries = [{"Id": str(number), "MessageBody": f"body {number}"} for number in range(10)]
    sent = sqs.send_message_batch(QueueUrl=url, Entries=entries)
    assert [entry["Id"] for entry in sent["Successful"]] == [entry["Id"] for entry in entries] and "Failed" not in sent
    received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert len(received) == 10, received
    handles = [{"Id": str(number), "ReceiptHandle": each["ReceiptHandle"]} for number, each in enumerate(received)]
    changed = sqs.change_message_visibility_batch(
        QueueUrl=url, Entries=[{**handle, "VisibilityTimeout": 120} for handle in handles]
    )
    assert len(changed["Successful"]) == 10, changed
    handles[3]["ReceiptHandle"] = "nonsense"
    deleted = sqs.delete_message_batch(QueueUrl=url, Entries=handles)
    assert len(deleted["Successful"]) == 9, deleted
    assert [(entry["Id"], entry["Code"], entry["SenderFault"]) for entry in deleted["Failed"]] == [
        ("3", "ReceiptHandleIsInvalid", True)
    ], deleted

    prefix = "AWS.SimpleQueueService."
    with raises(sqs.exceptions.EmptyBatchRequest, prefix + "EmptyBatchRequest"):
        sqs.send_message_batch(QueueUrl=url, Entries=[])
    with raises(sqs.exceptions.TooManyEntriesInBatchRequest, prefix + "TooManyEntriesInBatchRequest"):
        sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": str(n), "MessageBody": "x"} for n in range(11)])
    with raises(sqs.exceptions.BatchEntryIdsNotDistinct, prefix + "BatchEntryIdsNotDistinct"):
        sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": "a", "MessageBody": "x"}] * 2)
    with raises(sqs.exceptions.InvalidBatchEntryId, prefix + "InvalidBatchEntryId"):
        sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": "a b", "MessageBody": "x"}])
    with raises(sqs.exceptions.BatchRequestTooLong, prefix + "BatchRequestTooLong"):
        sqs.send_message_batch(
            QueueUrl=url, Entries=[{"Id": id, "MessageBody": "x" * 600_000} for id in ("a", "b")]
        )


def dead_letters():
    dead = sqs.create_queue(QueueName="mail-dlq")["QueueUrl"]
    policy = {"deadLetterTargetArn": arn("mail-dlq"), "maxReceiveCount": 1}
    url = sqs.create_queue(QueueName="mail", Attributes={"RedrivePolicy": json.dumps(policy)})["QueueUrl"]
    assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [url]
    as_text = {**policy, "maxReceiveCount": "1"}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": json.dumps(as_text)})
    shown = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]
    assert json.loads(shown["RedrivePolicy"]) == policy, shown
    own = {"deadLetterTargetArn": arn("mail-dlq"), "maxReceiveCount": 1000}
    sqs.set_queue_attributes(QueueUrl=dead, Attributes={"RedrivePolicy": json.dumps(own)})
    assert sorted(sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"]) == [url, dead]
    sqs.set_queue_attributes(QueueUrl=dead, Attributes={"RedrivePolicy": ""})
    for body in ("one", "two"):
        sqs.send_message(QueueUrl=url, MessageBody=body)
    sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    died = sqs.receive_message(QueueUrl=dead, VisibilityTimeout=0, MessageSystemAttributeNames=["All"])["Messages"][0]
    assert died["Attributes"]["DeadLetterQueueSourceArn"] == arn("mail"), died

    with raises(sqs.exceptions.ResourceNotFoundException, "ResourceNotFoundException", 404):
        sqs.start_message_move_task(SourceArn=arn("nowhere"))
    task = sqs.start_message_move_task(SourceArn=arn("mail-dlq"), MaxNumberOfMessagesPerSecond=1)["TaskHandle"]
    with raises(sqs.exceptions.UnsupportedOperation, "AWS.SimpleQueueService.UnsupportedOperation"):
        sqs.start_message_move_task(SourceArn=arn("mail-dlq"))
    assert sqs.cancel_message_move_task(TaskHandle=task)["ApproximateNumberOfMessagesMoved"] < 2
    latest = lambda: sqs.list_message_move_tasks(SourceArn=arn("mail-dlq"))["Results"][0]
    eventually(lambda: latest()["Status"] == "CANCELLED")
    sqs.start_message_move_task(SourceArn=arn("mail-dlq"))
    eventually(lambda: latest()["Status"] == "COMPLETED")
    assert len(sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]) == 2


def cli(*arguments):
    """What `aws sqs` prints, read as JSON."""
    aws = Path(sys.executable).with_name("aws")
    command = [sys.executable, str(aws), "--endpoint-url", ENDPOINT, "--output", "json", "sqs", *arguments]
    environment = {**os.environ, **CREDENTIALS, "AWS_PAGER": "", "AWS_EC2_METADATA_DISABLED": "true"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout) if done.stdout.strip() else None


def command_line():
    url = cli("create-queue", "--queue-name", "by-hand", "--attributes", "VisibilityTimeout=5")["QueueUrl"]
    assert url == f"{ENDPOINT}/{ACCOUNT}/by-hand"
    assert url in cli("list-queues", "--queue-name-prefix", "by-")["QueueUrls"]
    attributes = cli("get-queue-attributes", "--queue-url", url, "--attribute-names", "VisibilityTimeout")
    assert attributes == {"Attributes": {"VisibilityTimeout": "5"}}, attributes
    sent = cli("send-message", "--queue-url", url, "--message-body", "漢字")
    received = cli("receive-message", "--queue-url", url, "--wait-time-seconds", "20")["Messages"][0]
    assert received["MessageId"] == sent["MessageId"] and received["Body"] == "漢字", received
    handle = ("--queue-url", url, "--receipt-handle", received["ReceiptHandle"])
    cli("change-message-visibility", *handle, "--visibility-timeout", "60")
    cli("delete-message", *handle)
    cli("delete-queue", "--queue-url", url)
    try:
        cli("get-queue-url", "--queue-name", "by-hand")
    except RuntimeError as error:
        assert "AWS.SimpleQueueService.NonExistentQueue" in str(error), error
    else:
        raise AssertionError("the queue is still there")


work = queues()
messages(work)
batches(work)
dead_letters()
command_line()
print("boto3 and the AWS CLI were answered as on AWS")
