//! Verifies AWS's Signature Version 4 (the IAM User Guide, "Create a signed AWS API request").
//!
//! The server computes the signature from the request as it arrived, and compares the two in
//! constant time. This module does no I/O, and takes the time as an argument.

use axum::http::{HeaderMap, Method, Uri};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::broker::KeyPair;
use crate::clock::Time;
use crate::error::{Code, Error};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How far the date of a request may be from this machine's clock, in milliseconds. AWS allows 15
/// minutes ("Troubleshoot Signature Version 4 signing").
const CLOCK_SKEW_MILLIS: i64 = 15 * 60 * 1000;

/// The parts of an `Authorization` header.
struct Authorization<'a> {
    access_key_id: &'a str,
    /// Date, region, service and `aws4_request`.
    scope: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

/// Checks that a request was signed with `keys` for this server's `region`.
///
/// # Errors
/// The signature is missing, made with another key, too old, or not that of this request.
pub(crate) fn verify(
    keys: &KeyPair,
    region: &str,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
    now: Time,
) -> Result<(), Error> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let authorization = header("authorization").ok_or_else(|| {
        Error::new(
            Code::AccessDenied,
            "Access is denied: the request is not signed, and this server answers only requests \
             that are signed with its key pair.",
        )
    })?;
    let incomplete = || {
        Error::new(
            Code::IncompleteSignature,
            "The request signature does not conform to AWS standards.",
        )
    };
    let authorization = Authorization::parse(authorization).ok_or_else(incomplete)?;
    if authorization.access_key_id != keys.access_key_id {
        return Err(Error::new(
            Code::InvalidClientTokenId,
            "The security token included in the request is invalid.",
        ));
    }
    let date = header("x-amz-date").ok_or_else(incomplete)?;
    let sent = parse_date(date).ok_or_else(incomplete)?;
    if (now.millis() - sent).abs() > CLOCK_SKEW_MILLIS {
        return Err(Error::new(
            Code::SignatureDoesNotMatch,
            format!("Signature not yet current or expired: {date}."),
        ));
    }
    let expected_scope = format!("{}/{region}/sqs/aws4_request", date.get(..8).unwrap_or_default());
    if authorization.scope != expected_scope {
        let message = format!("Credential should be scoped to {expected_scope}.");
        return Err(Error::new(Code::SignatureDoesNotMatch, message));
    }
    // The action is in a header. If that were not signed, whoever intercepts a request could turn
    // it into another action.
    let signed =
        |required: &str| authorization.signed_headers.split(';').any(|name| name == required);
    if let Some(unsigned) =
        ["host", "x-amz-date", "x-amz-target"].into_iter().find(|name| !signed(name))
    {
        let message = format!("'{unsigned}' must be a 'SignedHeader' in the AWS Authorization.");
        return Err(Error::new(Code::SignatureDoesNotMatch, message));
    }
    let canonical = canonical_request(method, uri, headers, authorization.signed_headers, body);
    let to_sign = format!(
        "{ALGORITHM}\n{date}\n{expected_scope}\n{}",
        hex::encode(Sha256::digest(canonical.as_bytes()))
    );
    let mut key = format!("AWS4{}", keys.secret_access_key).into_bytes();
    // The key for one day, region and service is derived from the secret step by step.
    for part in expected_scope.split('/') {
        key = sign(&key, part).finalize().into_bytes().to_vec();
    }
    let given = hex::decode(authorization.signature).map_err(|_| incomplete())?;
    sign(&key, &to_sign).verify_slice(&given).map_err(|_| {
        Error::new(
            Code::SignatureDoesNotMatch,
            "The request signature we calculated does not match the signature you provided.",
        )
    })
}

impl<'a> Authorization<'a> {
    fn parse(header: &'a str) -> Option<Self> {
        let parts = header.strip_prefix(ALGORITHM)?;
        let part = |name: &str| {
            parts.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
        };
        let (access_key_id, scope) = part("Credential")?.split_once('/')?;
        Some(Self {
            access_key_id,
            scope,
            signed_headers: part("SignedHeaders")?,
            signature: part("Signature")?,
        })
    }
}

fn canonical_request(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    signed: &str,
    body: &[u8],
) -> String {
    let mut query: Vec<String> = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| if pair.contains('=') { pair.to_owned() } else { format!("{pair}=") })
        .collect();
    query.sort();
    let headers: String = signed
        .split(';')
        .map(|name| {
            let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
            let values: Vec<String> = values
                .map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "))
                .collect();
            format!("{name}:{}\n", values.join(","))
        })
        .collect();
    format!(
        "{method}\n{}\n{}\n{headers}\n{signed}\n{}",
        uri.path(),
        query.join("&"),
        hex::encode(Sha256::digest(body))
    )
}

fn sign(key: &[u8], text: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    mac
}

/// Reads `YYYYMMDDTHHMMSSZ` as milliseconds since the Unix epoch.
fn parse_date(date: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| date.get(range)?.parse::<i64>().ok();
    if date.len() != 16 || date.get(8..9) != Some("T") || date.get(15..) != Some("Z") {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    // Days since the epoch by "days_from_civil" of Howard Hinnant's "chrono-Compatible Low-Level
    // Date Algorithms". Its years begin in March, so that a leap day is the last day of a year.
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100
        + day_of_year
        - 719_468;
    Some(((days * 24 + number(9..11)?) * 60 + number(11..13)?) * 60_000 + number(13..15)? * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_the_clock_counts_them() {
        assert_eq!(parse_date("19700101T000000Z"), Some(0));
        assert_eq!(parse_date("20150830T123600Z"), Some(1_440_938_160_000));
        assert_eq!(parse_date("20240229T235959Z"), Some(1_709_251_199_000));
        assert_eq!(parse_date("2015-08-30"), None);
    }
}
