# Neither the role nor the user may touch the DLQ: what lies there has failed three times, and whether it
# runs again is a person's decision. Attach this policy to that person's own identity.
resource "aws_iam_policy" "operator" {
  count = var.create_operator_policy ? 1 : 0

  name        = "codingworker-operator"
  description = "Look into CodingWorker's dead-letter queue and redrive it"
  policy      = one(data.aws_iam_policy_document.operator[*].json)
}

# A move task acts with the caller's permissions: it receives and deletes on the DLQ and sends to the main
# queue (AWS, "Learn how to configure a dead-letter queue redrive in Amazon SQS").
data "aws_iam_policy_document" "operator" {
  count = var.create_operator_policy ? 1 : 0

  statement {
    sid       = "LookIntoAndRedriveTheDlq"
    resources = [local.dlq_arn]

    actions = [
      "sqs:ReceiveMessage",
      "sqs:DeleteMessage",
      "sqs:ChangeMessageVisibility",
      "sqs:GetQueueAttributes",
      "sqs:GetQueueUrl",
      "sqs:PurgeQueue",
      "sqs:StartMessageMoveTask",
      "sqs:CancelMessageMoveTask",
      "sqs:ListMessageMoveTasks",
    ]
  }

  statement {
    sid       = "PutTasksBack"
    resources = [local.tasks_queue_arn]

    actions = [
      "sqs:SendMessage",
      "sqs:GetQueueAttributes",
      "sqs:GetQueueUrl",
    ]
  }
}
