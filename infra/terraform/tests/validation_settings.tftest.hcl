# Settings that AWS would refuse late, or take and then lose tasks by. Each run gives one bad value, and the
# variable that it was given to must be the one that refuses it.

provider "aws" {
  region                      = "ap-northeast-1"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

override_data {
  target = data.aws_caller_identity.current
  values = { account_id = "111122223333" }
}

variables {
  github_org   = "octo-org"
  github_repos = ["app"]
}

run "a_region_is_no_availability_zone" {
  command = plan

  variables {
    aws_region = "ap-northeast-1a"
  }

  expect_failures = [var.aws_region]
}

run "a_region_is_no_place" {
  command = plan

  variables {
    aws_region = "Tokyo"
  }

  expect_failures = [var.aws_region]
}

run "an_environment_is_not_empty" {
  command = plan

  variables {
    environment = ""
  }

  expect_failures = [var.environment]
}

run "an_environment_has_no_capitals_or_blanks" {
  command = plan

  variables {
    environment = "My Dev"
  }

  expect_failures = [var.environment]
}

run "an_environment_has_at_most_32_characters" {
  command = plan

  variables {
    environment = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
  }

  expect_failures = [var.environment]
}

run "a_visibility_timeout_leaves_time_to_extend_it" {
  command = plan

  variables {
    sqs_visibility_timeout = 29
  }

  expect_failures = [var.sqs_visibility_timeout]
}

run "a_visibility_timeout_is_at_most_12_hours" {
  command = plan

  variables {
    sqs_visibility_timeout = 43201
  }

  expect_failures = [var.sqs_visibility_timeout]
}

run "a_visibility_timeout_is_whole_seconds" {
  command = plan

  variables {
    sqs_visibility_timeout = 10800.5
  }

  expect_failures = [var.sqs_visibility_timeout]
}

run "retention_is_at_least_a_minute" {
  command = plan

  variables {
    sqs_visibility_timeout = 30
    sqs_message_retention  = 59
  }

  expect_failures = [var.sqs_message_retention]
}

run "retention_is_at_most_14_days" {
  command = plan

  variables {
    sqs_message_retention = 1209601
  }

  expect_failures = [var.sqs_message_retention]
}

run "retention_is_whole_seconds" {
  command = plan

  variables {
    sqs_message_retention = 604800.5
  }

  expect_failures = [var.sqs_message_retention]
}

run "retention_is_shorter_than_the_dead_letter_queues" {
  command = plan

  variables {
    sqs_message_retention = 1209600
  }

  expect_failures = [var.sqs_message_retention]
}

run "retention_outlasts_one_delivery" {
  command = plan

  variables {
    sqs_message_retention = 10800
  }

  expect_failures = [var.sqs_message_retention]
}

run "a_task_is_delivered_at_least_once" {
  command = plan

  variables {
    sqs_max_receive_count = 0
  }

  expect_failures = [var.sqs_max_receive_count]
}

run "a_task_is_delivered_at_most_1000_times" {
  command = plan

  variables {
    sqs_max_receive_count = 1001
  }

  expect_failures = [var.sqs_max_receive_count]
}

run "a_task_is_delivered_a_whole_number_of_times" {
  command = plan

  variables {
    sqs_max_receive_count = 2.5
  }

  expect_failures = [var.sqs_max_receive_count]
}

run "an_address_has_a_domain" {
  command = plan

  variables {
    alarm_email = "you@localhost"
  }

  expect_failures = [var.alarm_email]
}

run "an_address_has_an_at_sign" {
  command = plan

  variables {
    alarm_email = "example.com"
  }

  expect_failures = [var.alarm_email]
}

run "an_address_is_one_address" {
  command = plan

  variables {
    alarm_email = "you@example.com,me@example.com"
  }

  expect_failures = [var.alarm_email]
}

run "an_address_is_not_empty" {
  command = plan

  variables {
    alarm_email = ""
  }

  expect_failures = [var.alarm_email]
}
