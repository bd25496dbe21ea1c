# Numbers that would lock a repository to nothing, or some repositories and not others. Each run gives one bad
# value, and the variable that it was given to must be the one that refuses it.

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

run "an_owner_id_is_a_number" {
  command = plan

  variables {
    github_owner_id = "octo-org"
    github_repo_ids = { app = "1001" }
  }

  expect_failures = [var.github_owner_id]
}

run "an_owner_id_is_no_wildcard" {
  command = plan

  variables {
    github_owner_id = "*"
    github_repo_ids = { app = "1001" }
  }

  expect_failures = [var.github_owner_id]
}

run "an_owner_id_does_not_come_alone" {
  command = plan

  variables {
    github_owner_id = "42"
  }

  expect_failures = [var.github_owner_id]
}

run "repository_ids_do_not_come_alone" {
  command = plan

  variables {
    github_repo_ids = { app = "1001" }
  }

  expect_failures = [var.github_owner_id]
}

run "a_repository_id_is_a_number" {
  command = plan

  variables {
    github_owner_id = "42"
    github_repo_ids = { app = "R_kgDO" }
  }

  expect_failures = [var.github_repo_ids]
}

run "a_repository_id_is_no_wildcard" {
  command = plan

  variables {
    github_owner_id = "42"
    github_repo_ids = { app = "*" }
  }

  expect_failures = [var.github_repo_ids]
}

run "a_repository_id_is_not_null" {
  command = plan

  variables {
    github_owner_id = "42"
    github_repo_ids = { app = null }
  }

  expect_failures = [var.github_repo_ids]
}

run "ids_leave_no_listed_repository_out" {
  command = plan

  variables {
    github_repos    = ["app", "site"]
    github_owner_id = "42"
    github_repo_ids = { app = "1001" }
  }

  expect_failures = [var.github_repo_ids]
}

run "ids_add_no_repository_to_the_list" {
  command = plan

  variables {
    github_owner_id = "42"
    github_repo_ids = { app = "1001", site = "1002" }
  }

  expect_failures = [var.github_repo_ids]
}

run "ids_spell_a_repository_as_the_list_does" {
  command = plan

  variables {
    github_owner_id = "42"
    github_repo_ids = { App = "1001" }
  }

  expect_failures = [var.github_repo_ids]
}
