//! Where something is now that was renamed or transferred.
//!
//! GitHub answers the old address with a redirect to the new one ("Best practices for using the
//! REST API", "Follow redirects"). A redirect is followed once, by a read, and within the API: the
//! token is sent nowhere else.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{GitHub, GitHubError};
use crate::language::Phrase;
use crate::task::{IssueNumber, RepoName};

#[derive(Deserialize)]
struct Named {
    full_name: String,
}

/// An issue by what does not change its place: its number and its repository's address.
#[derive(Deserialize)]
struct Placed {
    number: u64,
    repository_url: String,
}

impl GitHub {
    /// Returns the repository and the number that an issue has now. They differ from what is given
    /// when the repository was renamed or transferred, or the issue was transferred.
    ///
    /// # Errors
    /// GitHub can't be asked, or the redirect leads out of its API.
    pub async fn issue_now(
        &self,
        repository: &RepoName,
        number: IssueNumber,
    ) -> Result<(RepoName, IssueNumber), GitHubError> {
        let path = format!("/repos/{repository}");
        let Named { full_name } = self.read_moved(&path).await?;
        let name: RepoName = full_name.parse().map_err(|_| self.unnamed(&path))?;
        if !name.is_same_as(repository) {
            return Ok((name, number));
        }
        let path = format!("/repos/{repository}/issues/{number}");
        let Placed { number, repository_url } = self.read_moved(&path).await?;
        let (_, name) = repository_url.split_once("/repos/").unwrap_or_default();
        let name = name.parse().map_err(|_| self.unnamed(&path))?;
        let number = IssueNumber::new(number).ok_or_else(|| self.unnamed(&path))?;
        Ok((name, number))
    }

    fn unnamed(&self, path: &str) -> GitHubError {
        let url = format!("{}{path}", self.api_url);
        let detail = Phrase::new("it does not say where this is now", "移動先が示されていません");
        GitHubError::Unexpected { url, detail }
    }

    async fn read_moved<T: DeserializeOwned>(&self, path: &str) -> Result<T, GitHubError> {
        let moved = match self.read(path).await {
            Err(GitHubError::Moved { url, location }) => (url, location),
            answer => return answer,
        };
        let (url, location) = moved;
        match location.strip_prefix(&self.api_url).filter(|path| path.starts_with('/')) {
            Some(path) => self.read(path).await,
            None => Err(GitHubError::Moved { url, location }),
        }
    }
}
