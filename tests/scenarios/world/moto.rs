//! AWS as moto's server imitates it, in a process of its own.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::{DEADLINE, tools};

pub struct Moto {
    pub url: String,
    /// Killed when it is dropped.
    _server: Child,
}

impl Moto {
    /// `None` when the test is to be skipped.
    pub async fn start() -> Option<Self> {
        let program = tools::tool("moto_server", "moto[server]")?;
        let mut server = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
        let address = async {
            loop {
                let line = lines.next_line().await.unwrap().expect("moto ended");
                if let Some((_, address)) = line.split_once("Running on ") {
                    return address.trim().to_owned();
                }
            }
        };
        let url = tokio::time::timeout(DEADLINE, address).await.expect("moto does not start");
        // It goes on logging, and would block on a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Some(Self { url, _server: server })
    }
}
