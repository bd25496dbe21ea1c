//! AWS credentials from the SDK's default provider chain. The redaction learns every credential
//! before the SDK uses it: those of a profile, those of a single sign-on, and the ones that replace
//! credentials that expired.

use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use secrecy::SecretString;

use crate::redaction::Redaction;

/// Wraps a provider so that the redaction learns the secrets that it returns.
#[derive(Debug)]
pub(super) struct Learned {
    found: SharedCredentialsProvider,
    redaction: Redaction,
}

impl Learned {
    pub(super) fn new(found: SharedCredentialsProvider, redaction: &Redaction) -> Self {
        Self { found, redaction: redaction.clone() }
    }

    async fn provide(&self) -> provider::Result {
        let credentials = self.found.provide_credentials().await?;
        let secrets = [Some(credentials.secret_access_key()), credentials.session_token()];
        for secret in secrets.into_iter().flatten() {
            self.redaction.learn(&SecretString::from(secret));
        }
        Ok(credentials)
    }
}

impl ProvideCredentials for Learned {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.provide())
    }
}
