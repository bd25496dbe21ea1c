//! A disk for one program, in its mount namespace: a small one, or one that stops for a while. It
//! disappears with the program.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::tools::{on_the_path, skipped};

/// The program, which sees `directory` as a disk of so many kilobytes. `None`, when the system does
/// not allow a mount namespace and the test is to be skipped.
pub fn on_small_disk(command: &Command, directory: &Path, kilobytes: u32) -> Option<Command> {
    let own = ["--user", "--map-root-user", "--mount"];
    let namespaces = if is_root() { &own[2..] } else { &own[..] };
    let unshare = on_the_path("unshare")?;
    let tried = std::process::Command::new(unshare).args(namespaces).arg("true").status();
    if !tried.unwrap().success() {
        return skipped("needs the right to make a mount namespace");
    }
    mounted(command, namespaces, directory, &format!("-t tmpfs -o size={kilobytes}k tmpfs"))
}

/// The program, which sees `directory` as a disk that [`Standstill`] can stop. `None`, when the
/// system does not allow that and the test is to be skipped.
pub fn on_a_disk_that_stops(command: &Command, directory: &Path) -> Option<Command> {
    let (make, _) = (on_the_path("mkfs.ext4")?, on_the_path("fsfreeze")?);
    if !is_root() || !Path::new("/dev/loop-control").exists() {
        return skipped("needs root and loop devices, to stop a file system");
    }
    let image = directory.with_extension("ext4");
    std::fs::File::create(&image).unwrap().set_len(256 << 20).unwrap();
    let made = std::process::Command::new(make).arg("-q").arg(&image).status().unwrap();
    assert!(made.success(), "no file system was made");
    mounted(command, &["--mount"], directory, &format!("-o loop '{}'", image.display()))
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

fn mounted(
    command: &Command,
    namespaces: &[&str],
    directory: &Path,
    mount: &str,
) -> Option<Command> {
    std::fs::create_dir_all(directory).unwrap();
    let command = command.as_std();
    let mut within = Command::new(on_the_path("unshare")?);
    within
        .args(namespaces)
        .args(["sh", "-c", &format!("mount {mount} \"$1\" && shift && exec \"$@\""), "sh"])
        .arg(directory);
    within.arg(command.get_program()).args(command.get_args()).env_clear().kill_on_drop(true);
    within.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Some(within)
}

/// A disk takes no writes for as long as this lives (fsfreeze(8)): whoever writes waits.
pub struct Standstill(PathBuf);

impl Standstill {
    pub fn of(disk: &Path) -> Self {
        freeze("--freeze", disk);
        Self(disk.to_owned())
    }
}

impl Drop for Standstill {
    fn drop(&mut self) {
        freeze("--unfreeze", &self.0);
    }
}

fn freeze(how: &str, disk: &Path) {
    let done = std::process::Command::new("fsfreeze").arg(how).arg(disk).status().unwrap();
    assert!(done.success() || std::thread::panicking(), "fsfreeze {how} {}", disk.display());
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
