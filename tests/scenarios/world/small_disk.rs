//! A small disk for one program: a tmpfs in its mount namespace, which disappears with the
//! program.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::tools::{on_the_path, skipped};

/// The program, which sees `directory` as a disk of so many kilobytes. `None`, when the system does
/// not allow a mount namespace and the test is to be skipped.
pub fn on_small_disk(command: &Command, directory: &Path, kilobytes: u32) -> Option<Command> {
    let unshare = on_the_path("unshare")?;
    std::fs::create_dir_all(directory).unwrap();
    let command = command.as_std();
    let own = ["--user", "--map-root-user", "--mount"];
    let namespaces = if rustix::process::getuid().is_root() { &own[2..] } else { &own[..] };
    if !std::process::Command::new(&unshare)
        .args(namespaces)
        .arg("true")
        .status()
        .unwrap()
        .success()
    {
        return skipped("needs the right to make a mount namespace");
    }
    let mount = "mount -t tmpfs -o size=\"$1\" tmpfs \"$2\" && shift 2 && exec \"$@\"";
    let mut within = Command::new(unshare);
    within
        .args(namespaces)
        .args(["sh", "-c", mount, "sh", &format!("{kilobytes}k")])
        .arg(directory);
    within.arg(command.get_program()).args(command.get_args()).env_clear().kill_on_drop(true);
    within.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Some(within)
}

/// The path by which others reach a file as a process in a mount namespace of its own sees it.
pub fn seen_by(process: u32, path: &Path) -> PathBuf {
    Path::new(&format!("/proc/{process}/root")).join(path.strip_prefix("/").unwrap())
}

/// Fills a disk to the last byte, by a file that is returned.
pub fn fill(directory: &Path) -> PathBuf {
    use std::io::Write;

    let path = directory.join("filler");
    let mut file = std::fs::File::create(&path).unwrap();
    for size in [64 * 1024, 4096, 512, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
    path
}
