//! The root directory that a confined program finds: the system's programs, a few files of `/etc`,
//! and nothing of the user's.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::arguments::BubblewrapArguments;

/// Where systems keep programs and libraries. Some of them are links to others.
const SYSTEM: &[&str] =
    &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"];

/// What of `/etc` programs need in order to find libraries, alternatives, certificates and the
/// time.
const SETTINGS: &[&str] = &[
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
/// Those of Java and Python bear their version.
const SETTINGS_BY_VERSION: &[&str] = &["java", "python", "maven", "gradle"];

/// Links, interpreters and environments that a program may be found through; more is a circle.
const LONGEST_CHAIN: usize = 16;

/// What a root is made of; found once, when the sandbox is opened.
#[derive(Debug, Clone)]
pub(super) struct Root {
    /// Directories of the search path that are not the system's, with what their programs need
    /// beside them.
    tools: Vec<PathBuf>,
    /// What stands in for files of `/etc` that tell about the machine and its users.
    made: PathBuf,
    /// Never bound as a whole, nor anything above them: what is in them is the user's.
    private: Vec<PathBuf>,
}

/// Something of the file system that a program is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Bound(PathBuf),
    Link { at: PathBuf, to: PathBuf },
}

impl Root {
    /// `home` and `data_dir` are private; `directory` is for the files that stand in.
    pub(super) fn new(
        search_path: &OsStr,
        home: &Path,
        data_dir: &Path,
        directory: &Path,
    ) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let (user, group) =
            (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        for (name, text) in [
            (
                "passwd",
                format!(
                    "agent:x:{user}:{group}:agent:/tmp:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
                ),
            ),
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
        let mut root = Self { tools: Vec::new(), made: directory.to_path_buf(), private };
        root.tools =
            std::env::split_paths(search_path).filter_map(|entry| root.tools_of(&entry)).collect();
        root.tools.dedup();
        Ok(root)
    }

    pub(super) fn build(&self, backend: &mut BubblewrapArguments, temporary: u64) {
        for path in SYSTEM.iter().map(Path::new) {
            match fs::read_link(path) {
                Ok(target) => backend.bind("--symlink", &target, path),
                Err(_) => backend.bind("--ro-bind-try", path, path),
            }
        }
        for path in settings() {
            backend.bind("--ro-bind-try", &path, &path);
        }
        for entry in fs::read_dir(&self.made).into_iter().flatten().flatten() {
            backend.bind("--ro-bind", &entry.path(), &Path::new("/etc").join(entry.file_name()));
        }
        backend.pair("--proc", "/proc");
        backend.pair("--dev", "/dev");
        for path in ["/dev/shm", "/tmp", "/var/tmp"] {
            backend.pair("--size", temporary.to_string());
            backend.pair("--tmpfs", path);
        }
        for path in &self.tools {
            backend.bind("--ro-bind-try", path, path);
        }
    }

    /// Directories of the search path that are not the system's.
    pub(super) fn tools(&self) -> &[PathBuf] {
        &self.tools
    }

    /// A program with what it needs of where it is installed: what it is a link to, the interpreter
    /// of its first line, and the whole of the Python environment or the `node_modules` that it is
    /// in. What is shown anyhow is not repeated.
    pub(super) fn installation(&self, program: &Path) -> Vec<Part> {
        let (mut parts, mut shown) = (Vec::new(), self.tools.clone());
        let mut waiting = vec![program.to_path_buf()];
        while let Some(path) = waiting.pop() {
            if is_system(&path) || shown.len() > self.tools.len() + LONGEST_CHAIN {
                continue;
            }
            waiting.extend(interpreter(&path));
            let python = python_environment(&path);
            waiting.extend(python.iter().map(|environment| environment.join("bin/python")));
            for environment in python
                .into_iter()
                .chain(node_modules(&path))
                .filter(|found| self.may_be_bound(found))
            {
                if !shown.iter().any(|above| environment.starts_with(above)) {
                    parts.push(Part::Bound(environment.clone()));
                    shown.push(environment);
                }
            }
            let is_shown = shown.iter().any(|above| path.starts_with(above));
            let target = fs::read_link(&path).ok();
            waiting.extend(target.as_ref().and_then(|target| next(&path, target)));
            if !is_shown {
                parts.push(match target {
                    Some(to) => Part::Link { at: path.clone(), to },
                    None => Part::Bound(path.clone()),
                });
            }
            shown.push(path);
        }
        parts
    }

    /// Outside the home a directory `bin` belongs to one product, and its neighbors do too; inside
    /// it they may be anything.
    fn tools_of(&self, entry: &Path) -> Option<PathBuf> {
        if !entry.is_absolute() || is_system(entry) || !self.may_be_bound(entry) {
            return None;
        }
        let product = entry.parent().filter(|_| entry.ends_with("bin")).filter(|product| {
            product.components().count() > 2
                && !self.private.iter().any(|private| product.starts_with(private))
        });
        Some(product.filter(|product| self.may_be_bound(product)).unwrap_or(entry).to_path_buf())
    }

    fn may_be_bound(&self, path: &Path) -> bool {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        real.is_dir() && !self.private.iter().any(|private| private.starts_with(&real))
    }
}

fn is_system(path: &Path) -> bool {
    SYSTEM.iter().any(|system| path.starts_with(system))
}

fn settings() -> impl Iterator<Item = PathBuf> {
    let versioned = fs::read_dir("/etc").into_iter().flatten().flatten().filter(|entry| {
        SETTINGS_BY_VERSION
            .iter()
            .any(|prefix| entry.file_name().as_bytes().starts_with(prefix.as_bytes()))
    });
    let fixed = SETTINGS.iter().map(|name| Path::new("/etc").join(name));
    fixed.chain(versioned.map(|entry| entry.path()))
}

/// What a link leads to, by a name without `..` in it: itself maybe another link, in a directory
/// whose name is its own.
fn next(link: &Path, target: &Path) -> Option<PathBuf> {
    let target = link.parent()?.join(target);
    Some(target.parent()?.canonicalize().ok()?.join(target.file_name()?))
}

/// The program that the first line of a script names, unless it is looked for on the search path.
fn interpreter(script: &Path) -> Option<PathBuf> {
    use std::io::Read as _;

    let mut start = Vec::new();
    fs::File::open(script).ok()?.take(512).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?.trim_ascii();
    let name = line.split(|&byte| byte == b' ').next()?;
    Some(PathBuf::from(OsStr::from_bytes(name))).filter(|path| path.is_absolute())
}

/// The packages that a program of Node's is among.
fn node_modules(program: &Path) -> Option<PathBuf> {
    program.ancestors().skip(1).find(|above| above.ends_with("node_modules")).map(Path::to_path_buf)
}

/// The environment or installation that an executable in its `bin` belongs to: one with
/// `pyvenv.cfg`, or with Python's library.
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

    /// A home with a Python environment, a package of Node's, a link to each, and a key.
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
            let parts = self.root.installation(&Path::new(&self.path()).join(program)).into_iter();
            let told = parts.map(|part| match part {
                Part::Bound(path) => path.display().to_string(),
                Part::Link { at, to } => format!("{} -> {}", at.display(), to.display()),
            });
            told.map(|part| part.replace(&self.path(), "~")).collect()
        }
    }

    #[test]
    fn the_search_path_shows_directories_of_programs_and_never_the_home() {
        let home = Home::new();
        assert_eq!(home.root.tools, [Path::new(&home.path()).join("bin")]);
    }

    #[test]
    fn a_program_brings_what_it_needs_and_no_more() {
        let home = Home::new();
        assert_eq!(home.installed("bin/alone"), Vec::<String>::new(), "the search path shows it");
        assert_eq!(home.installed("data/x"), ["~/data/x"]);
        assert_eq!(home.installed("bin/aider"), ["~/venv"]);
        assert_eq!(home.installed("venv/bin/aider"), ["~/venv"]);
        assert_eq!(home.installed("bin/cli"), ["~/node/lib/node_modules"]);
        symlink("venv/bin/aider", Path::new(&home.path()).join("aider")).unwrap();
        assert_eq!(home.installed("aider"), ["~/aider -> venv/bin/aider", "~/venv"]);
    }
}
