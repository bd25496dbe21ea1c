"""The main path of the queue by the AWS CLI, unmodified: sqs_aws_cli.py ENDPOINT_URL"""

import json
import subprocess
import sys


def aws(action, **options):
    arguments = [part for name, value in options.items() for part in ("--" + name.replace("_", "-"), value)]
    command = ["aws", "sqs", action, "--endpoint-url", sys.argv[1], "--output", "json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return json.loads(done.stdout) if done.stdout.strip() else {}


url = aws("create-queue", queue_name="cli", attributes='{"VisibilityTimeout":"60"}')["QueueUrl"]
assert aws("get-queue-url", queue_name="cli")["QueueUrl"] == url
sent = aws("send-message", queue_url=url, message_body="from the AWS CLI")
[message] = aws("receive-message", queue_url=url, attribute_names="All")["Messages"]
assert message["Body"] == "from the AWS CLI" and message["MessageId"] == sent["MessageId"]
handle = message["ReceiptHandle"]
aws("change-message-visibility", queue_url=url, receipt_handle=handle, visibility_timeout="120")
aws("delete-message", queue_url=url, receipt_handle=handle)
counted = aws("get-queue-attributes", queue_url=url, attribute_names="All")["Attributes"]
assert counted["ApproximateNumberOfMessagesNotVisible"] == "0", counted
aws("delete-queue", queue_url=url)
