//! Who may use the queues: this machine when there are no keys, and whoever signs with the keys.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use localsqs::{KeyPair, Options, Queues};
use serde_json::json;
use tokio::net::TcpListener;

use crate::server::{Answer, Server, keys};

/// How a request is signed, and what is changed in it afterwards.
struct Signed {
    keys: KeyPair,
    region: &'static str,
    service: &'static str,
    time: SystemTime,
    target_is_signed: bool,
    sent_body: Option<&'static str>,
}

impl Signed {
    fn well() -> Self {
        let time = UNIX_EPOCH + UNIX_EPOCH.elapsed().unwrap();
        Self {
            keys: keys(),
            region: "us-east-1",
            service: "sqs",
            time,
            target_is_signed: true,
            sent_body: None,
        }
    }

    async fn send(self, server: &Server) -> Answer {
        let body = json!({ "QueueName": "q" }).to_string();
        let identity = Credentials::new(
            self.keys.access_key_id,
            self.keys.secret_access_key,
            None,
            None,
            "test",
        )
        .into();
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(self.time)
            .settings(SigningSettings::default())
            .build()
            .unwrap();
        let mut headers = vec![("host", server.endpoint.strip_prefix("http://").unwrap())];
        let target = ("x-amz-target", "AmazonSQS.CreateQueue");
        if self.target_is_signed {
            headers.push(target);
        }
        let body_to_sign = SignableBody::Bytes(body.as_bytes());
        let signable =
            SignableRequest::new("POST", &server.endpoint, headers.into_iter(), body_to_sign)
                .unwrap();
        let (instructions, _) = sign(signable, &parameters.into()).unwrap().into_parts();
        let mut request = reqwest::Client::new().post(&server.endpoint).header(target.0, target.1);
        for (name, value) in instructions.headers() {
            request = request.header(name, value);
        }
        Answer::of(request.body(self.sent_body.map_or(body, str::to_owned)).send().await.unwrap())
            .await
    }
}

#[tokio::test]
async fn a_request_that_is_signed_with_the_keys_is_answered() {
    let server = Server::start_with_keys().await;
    let answer = Signed::well().send(&server).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let late =
        Signed { time: Signed::well().time - Duration::from_secs(14 * 60), ..Signed::well() };
    assert_eq!(late.send(&server).await.status, 200, "clocks differ");
}

#[tokio::test]
async fn requests_are_signed_for_the_region_of_the_server() {
    let region = "ap-northeast-1";
    let options =
        Options { region: region.to_owned(), credentials: Some(keys()), ..Options::default() };
    let server = Server::start_with(options).await;
    let answer = Signed { region, ..Signed::well() }.send(&server).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let elsewhere = Signed::well().send(&server).await;
    assert_eq!(elsewhere.status, 403, "{elsewhere:?}");
}

#[tokio::test]
async fn a_request_with_a_wrong_signature_is_refused() {
    let server = Server::start_with_keys().await;
    let mismatch = ("InvalidSignatureException", "SignatureDoesNotMatch", 403);
    let hour = Duration::from_secs(3_600);
    let with_keys = |keys| Signed { keys, ..Signed::well() };
    for (what, signed, expected) in [
        (
            "secret",
            with_keys(KeyPair { secret_access_key: "wrong".to_owned(), ..keys() }),
            mismatch,
        ),
        (
            "key",
            with_keys(KeyPair { access_key_id: "OTHER".to_owned(), ..keys() }),
            ("UnrecognizedClientException", "InvalidClientTokenId", 403),
        ),
        ("region", Signed { region: "eu-west-1", ..Signed::well() }, mismatch),
        ("service", Signed { service: "sns", ..Signed::well() }, mismatch),
        ("past", Signed { time: Signed::well().time - hour, ..Signed::well() }, mismatch),
        ("future", Signed { time: Signed::well().time + hour, ..Signed::well() }, mismatch),
        ("target", Signed { target_is_signed: false, ..Signed::well() }, mismatch),
        (
            "body",
            Signed { sent_body: Some(r#"{"QueueName":"other"}"#), ..Signed::well() },
            mismatch,
        ),
    ] {
        let answer = signed.send(&server).await;
        assert_eq!(answer.error(), expected, "{what}: {answer:?}");
        assert_eq!(answer.body["__type"], format!("com.amazon.coral.service#{}", expected.0));
    }
    let unsigned = server.call("ListQueues", json!({})).await;
    assert_eq!(unsigned.error(), ("AccessDeniedException", "AccessDenied", 403));
    for nonsense in [
        "AWS4-HMAC-SHA256",
        "Bearer x",
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/, SignedHeaders=, Signature=",
    ] {
        let request =
            reqwest::Client::new().post(&server.endpoint).header("authorization", nonsense);
        let answer = Answer::of(
            request.header("x-amz-target", "AmazonSQS.ListQueues").send().await.unwrap(),
        )
        .await;
        let incomplete = ("IncompleteSignatureException", "IncompleteSignature", 400);
        assert_eq!(answer.error(), incomplete, "{nonsense}");
    }
}

#[tokio::test]
async fn without_keys_the_server_listens_on_loopback_only() {
    let directory = tempfile::tempdir().unwrap();
    let queues = Queues::open(directory.path(), Options::default()).unwrap();
    let everywhere = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let error = localsqs::serve(everywhere, queues, std::future::pending()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
}

#[tokio::test]
async fn without_keys_requests_of_web_pages_are_refused() {
    let server = Server::start().await;
    let port = server.endpoint.rsplit(':').next().unwrap();
    for (header, value) in
        [("origin", "https://evil.example".to_owned()), ("host", format!("evil.example:{port}"))]
    {
        let request = reqwest::Client::new().post(&server.endpoint).header(header, value);
        let answer = Answer::of(
            request.header("x-amz-target", "AmazonSQS.ListQueues").send().await.unwrap(),
        )
        .await;
        assert_eq!(answer.error(), ("AccessDeniedException", "AccessDenied", 403), "{header}");
    }
}
