# Names that the trust policy must never hold. Each run gives one bad value, and the variable
# that it was given to must be the one that refuses it.

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

run "an_organization_is_no_wildcard" {
  command = plan

  variables {
    github_org = "*"
  }

  expect_failures = [var.github_org]
}

run "an_organization_holds_no_question_mark" {
  command = plan

  variables {
    github_org = "octo-or?"
  }

  expect_failures = [var.github_org]
}

run "an_organization_is_not_empty" {
  command = plan

  variables {
    github_org = ""
  }

  expect_failures = [var.github_org]
}

run "an_organization_starts_with_no_hyphen" {
  command = plan

  variables {
    github_org = "-octo"
  }

  expect_failures = [var.github_org]
}

run "an_organization_ends_with_no_hyphen" {
  command = plan

  variables {
    github_org = "octo-"
  }

  expect_failures = [var.github_org]
}

run "an_organization_has_no_two_hyphens_together" {
  command = plan

  variables {
    github_org = "octo--org"
  }

  expect_failures = [var.github_org]
}

run "an_organization_holds_no_slash" {
  command = plan

  variables {
    github_org = "octo/org"
  }

  expect_failures = [var.github_org]
}

run "an_organization_has_at_most_39_characters" {
  command = plan

  variables {
    github_org = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
  }

  expect_failures = [var.github_org]
}

run "an_organization_is_one_line" {
  command = plan

  variables {
    github_org = "octo\n"
  }

  expect_failures = [var.github_org]
}

run "at_least_one_repository_is_listed" {
  command = plan

  variables {
    github_repos = []
  }

  expect_failures = [var.github_repos]
}

run "a_repository_is_no_wildcard" {
  command = plan

  variables {
    github_repos = ["app", "*"]
  }

  expect_failures = [var.github_repos]
}

run "a_repository_holds_no_question_mark" {
  command = plan

  variables {
    github_repos = ["ap?"]
  }

  expect_failures = [var.github_repos]
}

run "a_repository_comes_without_its_owner" {
  command = plan

  variables {
    github_repos = ["octo-org/app"]
  }

  expect_failures = [var.github_repos]
}

run "a_repository_brings_no_ref_along" {
  command = plan

  variables {
    github_repos = ["app:ref"]
  }

  expect_failures = [var.github_repos]
}

run "a_repository_is_not_empty" {
  command = plan

  variables {
    github_repos = [""]
  }

  expect_failures = [var.github_repos]
}

run "a_repository_is_no_dot" {
  command = plan

  variables {
    github_repos = ["."]
  }

  expect_failures = [var.github_repos]
}

run "a_repository_is_no_two_dots" {
  command = plan

  variables {
    github_repos = [".."]
  }

  expect_failures = [var.github_repos]
}

run "a_repository_ends_without_git" {
  command = plan

  variables {
    github_repos = ["app.git"]
  }

  expect_failures = [var.github_repos]
}

run "a_repository_has_at_most_100_characters" {
  command = plan

  variables {
    github_repos = ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
  }

  expect_failures = [var.github_repos]
}

run "a_repository_is_one_line" {
  command = plan

  variables {
    github_repos = ["app\n"]
  }

  expect_failures = [var.github_repos]
}

run "a_repository_is_not_null" {
  command = plan

  variables {
    github_repos = ["app", null]
  }

  expect_failures = [var.github_repos]
}

run "a_repository_is_listed_once" {
  command = plan

  variables {
    github_repos = ["app", "App"]
  }

  expect_failures = [var.github_repos]
}
