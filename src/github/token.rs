//! The token by which the worker speaks to GitHub.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use secrecy::{ExposeSecret as _, SecretString};

use crate::redaction::Redaction;

/// A token, and the file that it came from. Clones share it, so a new token reaches everybody.
///
/// Tokens expire: that of a GitHub App after an hour ("Generating an installation access token for
/// a GitHub App"). Whoever renews one writes the new token to the file, and the worker reads it
/// when GitHub refuses the old one.
#[derive(Debug, Clone)]
pub struct Token {
    secret: Arc<RwLock<SecretString>>,
    file: Option<PathBuf>,
}

impl Token {
    /// Reads the token that a file holds. A file that does not exist holds none, and is no error:
    /// `codingworker up` writes the file after the settings that name it were read.
    ///
    /// # Errors
    /// The file can't be read.
    pub(super) fn of_file(file: PathBuf) -> io::Result<Option<Self>> {
        let Some(secret) = read(&file)? else { return Ok(None) };
        Ok(Some(Self { secret: Arc::new(RwLock::new(secret)), file: Some(file) }))
    }

    /// Returns the token as it is now.
    #[must_use]
    pub fn secret(&self) -> SecretString {
        self.secret.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the file again, if the token came from one. Returns whether the file holds another
    /// token by now. `redaction` learns it before anybody uses it.
    pub async fn reload(&self, redaction: &Redaction) -> bool {
        let Some(file) = self.file.clone() else { return false };
        let read = tokio::task::spawn_blocking(move || read(&file)).await;
        let Ok(Ok(Some(new))) = read else { return false };
        if new.expose_secret() == self.secret().expose_secret() {
            return false;
        }
        redaction.learn(&new);
        *self.secret.write().unwrap_or_else(PoisonError::into_inner) = new;
        true
    }
}

impl From<SecretString> for Token {
    /// A token that stays the same.
    fn from(secret: SecretString) -> Self {
        Self { secret: Arc::new(RwLock::new(secret)), file: None }
    }
}

/// A file that is being written may be empty for a moment.
fn read(file: &Path) -> io::Result<Option<SecretString>> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(Some(text.trim()).filter(|token| !token.is_empty()).map(Into::into)),
        Err(missing) if missing.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_new_token_in_the_file_reaches_every_clone() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        assert!(Token::of_file(file.clone()).unwrap().is_none());
        std::fs::write(&file, "an-old-token\n").unwrap();
        let token = Token::of_file(file.clone()).unwrap().unwrap();
        let (clone, redaction) = (token.clone(), Redaction::default());
        assert!(!token.reload(&redaction).await, "it is the same");
        for unreadable in ["", "\n"] {
            std::fs::write(&file, unreadable).unwrap();
            assert!(!token.reload(&redaction).await, "there is none: the old one stays");
        }
        std::fs::write(&file, "a-later-token\n").unwrap();
        assert!(token.reload(&redaction).await);
        assert_eq!(clone.secret().expose_secret(), "a-later-token");
        assert!(!redaction.redact("is a-later-token here").contains("a-later-token"));
        std::fs::remove_file(&file).unwrap();
        assert!(!token.reload(&redaction).await);
        assert_eq!(token.secret().expose_secret(), "a-later-token");
    }
}
