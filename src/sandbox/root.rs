//! The root directory of a confined program: the system's programs, a few files of `/etc`, and no
//! file of the user.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::arguments::BubblewrapArguments;

/// Where systems keep programs and libraries. On some systems one of these is a link to another.
const SYSTEM: &[&str] =
    &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"];

/// Entries of `/etc` by which programs find libraries, alternatives, certificates and the time
/// zone.
const ETC: &[&str] = &[
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "crypto-policies",
    "debian_version",
    "fonts",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "lsb-release",
    "mime.types",
    "os-release",
    "pki",
    "ssl",
    "timezone",
];

/// The beginnings of entries of `/etc` whose names may end with a version.
const ETC_PREFIXES: &[&str] = &["java", "python", "maven", "gradle"];

/// How many links, interpreters and environments are followed from a program. More of them are a
/// cycle.
const LONGEST_CHAIN: usize = 16;

/// What the root directory is made of. It is found once, when the sandbox is opened.
#[derive(Debug, Clone)]
pub(super) struct Root {
    /// Directories of the search path outside of the system's, with what their programs need beside
    /// them.
    tools: Vec<PathBuf>,
    /// The directory with substitutes for files of `/etc` that describe the machine and its users.
    substitutes: PathBuf,
    /// Directories that hold the user's files. Neither they nor a directory above them is mounted
    /// as a whole.
    private: Vec<PathBuf>,
}

/// One entry that makes a program available inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RootEntry {
    /// A file or directory with its name outside.
    Mount(PathBuf),
    /// A symbolic link.
    Symlink { at: PathBuf, target: PathBuf },
}

impl Root {
    /// Finds the directories of tools and writes the substitutes for files of `/etc` into
    /// `directory`. `home` and `data_dir` are private.
    pub(super) fn new(
        search_path: &OsStr,
        home: &Path,
        data_dir: &Path,
        directory: &Path,
    ) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let (user, group) =
            (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let passwd = format!(
            "agent:x:{user}:{group}:agent:/tmp:/bin/sh\n\
             nobody:x:65534:65534:nobody:/:/bin/false\n"
        );
        for (name, text) in [
            ("passwd", passwd),
            ("group", format!("agent:x:{group}:\nnogroup:x:65534:\n")),
            ("hosts", "127.0.0.1 localhost sandbox\n::1 localhost\n".to_owned()),
            ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n".to_owned()),
            ("resolv.conf", String::new()),
        ] {
            fs::write(directory.join(name), text)?;
        }
        let private = [home, data_dir]
            .map(|path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf()))
            .to_vec();
        let mut root = Self { tools: Vec::new(), substitutes: directory.to_path_buf(), private };
        root.tools =
            std::env::split_paths(search_path).filter_map(|entry| root.tools_of(&entry)).collect();
        root.tools.dedup();
        Ok(root)
    }

    /// Adds the root directory to the arguments. `temporary` is the size of each temporary
    /// directory in bytes.
    pub(super) fn build(&self, arguments: &mut BubblewrapArguments, temporary: u64) {
        for path in SYSTEM.iter().map(Path::new) {
            match fs::read_link(path) {
                Ok(target) => arguments.bind("--symlink", &target, path),
                Err(_) => arguments.bind("--ro-bind-try", path, path),
            }
        }
        for path in etc_entries() {
            arguments.bind("--ro-bind-try", &path, &path);
        }
        for entry in fs::read_dir(&self.substitutes).into_iter().flatten().flatten() {
            arguments.bind("--ro-bind", &entry.path(), &Path::new("/etc").join(entry.file_name()));
        }
        arguments.pair("--proc", "/proc");
        arguments.pair("--dev", "/dev");
        for path in ["/dev/shm", "/tmp", "/var/tmp"] {
            arguments.pair("--size", temporary.to_string());
            arguments.pair("--tmpfs", path);
        }
        for path in &self.tools {
            arguments.bind("--ro-bind-try", path, path);
        }
    }

    /// Directories of the search path outside of the system's, which every program sees.
    pub(super) fn tools(&self) -> &[PathBuf] {
        &self.tools
    }

    /// The entries that a program needs from where it is installed: the targets of its links, the
    /// interpreter in its first line, and the whole Python environment or `node_modules` directory
    /// that it is in. Entries that every program sees are left out.
    pub(super) fn installation(&self, program: &Path) -> Vec<RootEntry> {
        let (mut entries, mut visible) = (Vec::new(), self.tools.clone());
        let mut waiting = vec![program.to_path_buf()];
        while let Some(path) = waiting.pop() {
            if is_system(&path) || visible.len() > self.tools.len() + LONGEST_CHAIN {
                continue;
            }
            waiting.extend(interpreter(&path));
            let python = python_environment(&path);
            waiting.extend(python.iter().map(|environment| environment.join("bin/python")));
            for environment in python
                .into_iter()
                .chain(node_modules(&path))
                .filter(|found| self.may_be_mounted(found))
            {
                if !visible.iter().any(|above| environment.starts_with(above)) {
                    entries.push(RootEntry::Mount(environment.clone()));
                    visible.push(environment);
                }
            }
            let is_visible = visible.iter().any(|above| path.starts_with(above));
            let target = fs::read_link(&path).ok();
            waiting.extend(target.as_ref().and_then(|target| resolve(&path, target)));
            if !is_visible {
                entries.push(match target {
                    Some(target) => RootEntry::Symlink { at: path.clone(), target },
                    None => RootEntry::Mount(path.clone()),
                });
            }
            visible.push(path);
        }
        entries
    }

    /// The directory that makes the programs of one entry of the search path work.
    ///
    /// Outside of the user's home, a directory `bin` belongs to one product, and so do the
    /// directories beside it. Inside the home these may be anything, so only the entry itself is
    /// visible.
    fn tools_of(&self, entry: &Path) -> Option<PathBuf> {
        if !entry.is_absolute() || is_system(entry) || !self.may_be_mounted(entry) {
            return None;
        }
        let product = entry.parent().filter(|_| entry.ends_with("bin")).filter(|product| {
            product.components().count() > 2
                && !self.private.iter().any(|private| product.starts_with(private))
        });
        Some(product.filter(|product| self.may_be_mounted(product)).unwrap_or(entry).to_path_buf())
    }

    /// Whether a path is a directory that does not contain the user's files.
    fn may_be_mounted(&self, path: &Path) -> bool {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        real.is_dir() && !self.private.iter().any(|private| private.starts_with(&real))
    }
}

fn is_system(path: &Path) -> bool {
    SYSTEM.iter().any(|system| path.starts_with(system))
}

/// The entries of this machine's `/etc` that a confined program sees.
fn etc_entries() -> impl Iterator<Item = PathBuf> {
    let versioned = fs::read_dir("/etc").into_iter().flatten().flatten().filter(|entry| {
        ETC_PREFIXES
            .iter()
            .any(|prefix| entry.file_name().as_bytes().starts_with(prefix.as_bytes()))
    });
    let fixed = ETC.iter().map(|name| Path::new("/etc").join(name));
    fixed.chain(versioned.map(|entry| entry.path()))
}

/// The path that a link leads to. It has no `..`, and its last component may be a link again.
fn resolve(link: &Path, target: &Path) -> Option<PathBuf> {
    let target = link.parent()?.join(target);
    Some(target.parent()?.canonicalize().ok()?.join(target.file_name()?))
}

/// The absolute path of the interpreter that the first line of a script names (execve(2)).
fn interpreter(script: &Path) -> Option<PathBuf> {
    use std::io::Read as _;

    let mut start = Vec::new();
    fs::File::open(script).ok()?.take(512).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?.trim_ascii();
    let name = line.split(|&byte| byte == b' ').next()?;
    Some(PathBuf::from(OsStr::from_bytes(name))).filter(|path| path.is_absolute())
}

/// The `node_modules` directory that a program is in.
fn node_modules(program: &Path) -> Option<PathBuf> {
    program.ancestors().skip(1).find(|above| above.ends_with("node_modules")).map(Path::to_path_buf)
}

/// The Python environment or installation whose directory `bin` has the executable. An environment
/// has a file `pyvenv.cfg`; an installation has Python's library.
fn python_environment(executable: &Path) -> Option<PathBuf> {
    let prefix = executable.parent().filter(|directory| directory.ends_with("bin"))?.parent()?;
    let is_python = executable.file_name()?.as_bytes().starts_with(b"python");
    let is_installation = is_python && prefix.join("lib").is_dir();
    (prefix.join("pyvenv.cfg").is_file() || is_installation).then(|| prefix.to_path_buf())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A home directory with a Python environment, a Node package, a link to each, and a key.
    struct Home {
        directory: tempfile::TempDir,
        root: Root,
    }

    impl Home {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let home = directory.path().canonicalize().unwrap().join("home");
            for file in [
                ".ssh/key",
                "venv/bin/aider",
                "venv/pyvenv.cfg",
                "node/lib/node_modules/cli/main.js",
                "bin/alone",
                "data/x",
            ] {
                let file = home.join(file);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, "#!/bin/sh\n").unwrap();
            }
            symlink("../venv/bin/aider", home.join("bin/aider")).unwrap();
            symlink("../node/lib/node_modules/cli/main.js", home.join("bin/cli")).unwrap();
            let search_path = format!("{0}/bin:{0}:/usr/bin:relative", home.display());
            let root =
                Root::new(search_path.as_ref(), &home, &home.join("data"), &home.join("data/etc"))
                    .unwrap();
            Self { directory, root }
        }

        fn path(&self) -> String {
            format!("{}/home", self.directory.path().canonicalize().unwrap().display())
        }

        fn installed(&self, program: &str) -> Vec<String> {
            let entries = self.root.installation(&Path::new(&self.path()).join(program));
            let texts = entries.into_iter().map(|entry| match entry {
                RootEntry::Mount(path) => path.display().to_string(),
                RootEntry::Symlink { at, target } => {
                    format!("{} -> {}", at.display(), target.display())
                }
            });
            texts.map(|text| text.replace(&self.path(), "~")).collect()
        }
    }

    #[test]
    fn tools_on_the_search_path_are_visible_and_the_home_is_not() {
        let home = Home::new();
        assert_eq!(home.root.tools, [Path::new(&home.path()).join("bin")]);
    }

    #[test]
    fn a_program_gets_the_entries_that_it_needs_and_no_others() {
        let home = Home::new();
        assert_eq!(home.installed("bin/alone"), Vec::<String>::new(), "it is on the search path");
        assert_eq!(home.installed("data/x"), ["~/data/x"]);
        assert_eq!(home.installed("bin/aider"), ["~/venv"]);
        assert_eq!(home.installed("venv/bin/aider"), ["~/venv"]);
        assert_eq!(home.installed("bin/cli"), ["~/node/lib/node_modules"]);
        symlink("venv/bin/aider", Path::new(&home.path()).join("aider")).unwrap();
        assert_eq!(home.installed("aider"), ["~/aider -> venv/bin/aider", "~/venv"]);
    }
}
