"""Every action of the queue by boto3, unmodified: sqs_boto3.py ENDPOINT_URL

boto3 checks MD5s itself and turns errors into the classes of its own model, so a wrong digest, shape or code fails here.
"""

import json
import sys
import time

import boto3

sqs = boto3.client("sqs", endpoint_url=sys.argv[1])


def refused(exception, call, **arguments):
    try:
        call(**arguments)
    except exception as error:
        return error
    raise AssertionError(f"{call.__name__} was not refused")


dlq = sqs.create_queue(QueueName="peer-dlq", tags={"team": "a"})["QueueUrl"]
dlq_arn = sqs.get_queue_attributes(QueueUrl=dlq, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
redrive = json.dumps({"deadLetterTargetArn": dlq_arn, "maxReceiveCount": 1})
url = sqs.create_queue(QueueName="peer", Attributes={"RedrivePolicy": redrive, "VisibilityTimeout": "30"})["QueueUrl"]

assert sqs.get_queue_url(QueueName="peer")["QueueUrl"] == url
assert url in sqs.list_queues(QueueNamePrefix="peer")["QueueUrls"]
assert sqs.list_dead_letter_source_queues(QueueUrl=dlq)["queueUrls"] == [url]
pages = sqs.get_paginator("list_queues").paginate(QueueNamePrefix="peer", PaginationConfig={"PageSize": 1})
assert sorted(found for page in pages for found in page["QueueUrls"]) == sorted([url, dlq])

assert sqs.list_queue_tags(QueueUrl=dlq)["Tags"] == {"team": "a"}
sqs.tag_queue(QueueUrl=dlq, Tags={"stage": "dev"})
sqs.untag_queue(QueueUrl=dlq, TagKeys=["team"])
assert sqs.list_queue_tags(QueueUrl=dlq)["Tags"] == {"stage": "dev"}

policy = json.dumps({"Version": "2012-10-17", "Statement": []})
sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy, "ReceiveMessageWaitTimeSeconds": "1"})
attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
assert attributes["Policy"] == policy and attributes["SqsManagedSseEnabled"] == "true", attributes
assert json.loads(attributes["RedrivePolicy"])["maxReceiveCount"] == 1

sent = sqs.send_message(
    QueueUrl=url,
    MessageBody="漢字 \U0001f600",
    MessageAttributes={
        "text": {"DataType": "String", "StringValue": "値"},
        "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        "number": {"DataType": "Number", "StringValue": "1.5"},
    },
    MessageSystemAttributes={"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793"}},
)
[message] = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"])["Messages"]
assert message["MessageId"] == sent["MessageId"] and message["Body"] == "漢字 \U0001f600"
assert message["MessageAttributes"]["bytes"]["BinaryValue"] == b"\x00\xff"
assert message["Attributes"]["AWSTraceHeader"].startswith("Root=1-")
assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
assert "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=0), "it is over its receive count"
assert sqs.get_queue_attributes(QueueUrl=dlq, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"] == {
    "ApproximateNumberOfMessages": "1"
}

task = sqs.start_message_move_task(SourceArn=dlq_arn)["TaskHandle"]
for _ in range(500):
    [listed] = sqs.list_message_move_tasks(SourceArn=dlq_arn)["Results"]
    if listed["Status"] == "COMPLETED":
        break
    time.sleep(0.01)
assert listed["Status"] == "COMPLETED" and listed["ApproximateNumberOfMessagesMoved"] == 1, listed
refused(sqs.exceptions.UnsupportedOperation, sqs.cancel_message_move_task, TaskHandle=task)
refused(sqs.exceptions.ResourceNotFoundException, sqs.cancel_message_move_task, TaskHandle="none")
[message] = sqs.receive_message(QueueUrl=url)["Messages"]
sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

answer = sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": str(number), "MessageBody": f"m{number}"} for number in range(10)])
assert len(answer["Successful"]) == 10 and "Failed" not in answer
messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
assert len(messages) == 10
entries = [{"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]} for number, message in enumerate(messages)]
changed = sqs.change_message_visibility_batch(QueueUrl=url, Entries=[entry | {"VisibilityTimeout": 60} for entry in entries])
assert len(changed["Successful"]) == 10
assert len(sqs.delete_message_batch(QueueUrl=url, Entries=entries)["Successful"]) == 10

refused(sqs.exceptions.QueueDoesNotExist, sqs.get_queue_url, QueueName="none")
refused(sqs.exceptions.QueueNameExists, sqs.create_queue, QueueName="peer", Attributes={"VisibilityTimeout": "31"})
refused(sqs.exceptions.ReceiptHandleIsInvalid, sqs.delete_message, QueueUrl=url, ReceiptHandle="nonsense")
refused(sqs.exceptions.InvalidMessageContents, sqs.send_message, QueueUrl=url, MessageBody="\ufffe")
refused(sqs.exceptions.InvalidAttributeName, sqs.set_queue_attributes, QueueUrl=url, Attributes={"Nonsense": "1"})
refused(sqs.exceptions.EmptyBatchRequest, sqs.send_message_batch, QueueUrl=url, Entries=[])
refused(sqs.exceptions.UnsupportedOperation, sqs.create_queue, QueueName="peer.fifo")
error = refused(sqs.exceptions.ClientError, sqs.receive_message, QueueUrl=url, MaxNumberOfMessages=11)
assert error.response["Error"]["Code"] == "InvalidParameterValue", error.response

sqs.purge_queue(QueueUrl=url)
refused(sqs.exceptions.PurgeQueueInProgress, sqs.purge_queue, QueueUrl=url)
for queue in (url, dlq):
    sqs.delete_queue(QueueUrl=queue)
refused(sqs.exceptions.QueueDoesNotExist, sqs.send_message, QueueUrl=url, MessageBody="m")
