//! AWS credentials as the SDK's own chain finds them, each told to the redaction before it is used:
//! a profile's, a single sign-on's, and what takes the place of those that expire.

use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use secrecy::SecretString;

use crate::redaction::Redaction;

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
