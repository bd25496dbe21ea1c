"""Asks a queue server that wants signatures, by boto3 and the AWS CLI: sqs_keys.py ENDPOINT_URL ACCESS_KEY_ID SECRET REGION"""

import os
import subprocess
import sys
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT, KEY, SECRET, REGION = sys.argv[1:]


def client(key, secret, region=REGION):
    return boto3.client(
        "sqs",
        endpoint_url=ENDPOINT,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=30),
    )


def refused(key, secret, code, region=REGION):
    try:
        client(key, secret, region).list_queues()
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error.response
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403, error.response
    else:
        raise AssertionError(f"{key} with {secret} was let in")


def cli(secret):
    aws = Path(sys.executable).with_name("aws")
    command = [sys.executable, str(aws), "--endpoint-url", ENDPOINT, "sqs", "list-queues"]
    keys = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": secret, "AWS_DEFAULT_REGION": REGION}
    environment = {**os.environ, **keys, "AWS_PAGER": "", "AWS_EC2_METADATA_DISABLED": "true"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


sqs = client(KEY, SECRET)
url = sqs.create_queue(QueueName="signed")["QueueUrl"]
sqs.send_message(QueueUrl=url, MessageBody="漢字 " * 1000)
assert len(sqs.receive_message(QueueUrl=url)["Messages"]) == 1
refused(KEY, "wrong", "SignatureDoesNotMatch")
refused("OTHER", SECRET, "InvalidClientTokenId")
refused(KEY, SECRET, "SignatureDoesNotMatch", "us-west-2")
arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
assert arn.split(":")[3] == REGION and arn.split(":")[4] == url.split("/")[3], (arn, url)

listed = cli(SECRET)
assert listed.returncode == 0 and url in listed.stdout, listed
wrong = cli("wrong")
assert wrong.returncode != 0 and "SignatureDoesNotMatch" in wrong.stderr, wrong
print("who signs is answered, who does not is refused")
