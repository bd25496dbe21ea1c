use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::redaction::Redaction;

const LONG: Duration = Duration::from_secs(60);

fn log_to(file: &Path) -> Log {
    Log { file: file.to_owned(), redaction: Redaction::new(["a-known-secret".into()]) }
}

fn shell(script: &str) -> Invocation {
    Invocation {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        directory: "/".into(),
        environment: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
        input: Vec::new(),
        deadline: LONG,
        output_limit: 10_000,
        streams: Streams::Merged,
        log: None,
    }
}

async fn finish(invocation: Invocation) -> Finished {
    run(invocation, &CancellationToken::new()).await.expect("the shell starts")
}

/// Waits until every process id in the file, one a line, names no living process.
async fn check_dead(pids: &Path, count: usize) {
    let pids: Vec<i32> =
        fs::read_to_string(pids).unwrap().lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(pids.len(), count);
    for pid in pids {
        let deadline = Instant::now() + Duration::from_secs(10);
        while lives(pid) {
            assert!(Instant::now() < deadline, "process {pid} is still alive");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn lives(pid: i32) -> bool {
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    let dead = |stat: String| {
        stat.rsplit_once(')').is_some_and(|(_, fields)| fields.trim_start().starts_with('Z'))
    };
    match state {
        Some(stat) => !dead(stat),
        None => {
            cfg!(not(target_os = "linux"))
                && rustix::process::test_kill_process(rustix::process::Pid::from_raw(pid).unwrap())
                    .is_ok()
        }
    }
}

/// A script that leaves two children behind, which write their ids into `pids`. On Linux one of
/// them leaves the process group.
fn with_grandchildren(pids: &Path, then: &str) -> (Invocation, usize) {
    let escape = if cfg!(target_os = "linux") { "setsid " } else { "" };
    let child = format!(
        "sh -c 'echo $$ >> {0}; trap \"\" TERM; while :; do sleep 1; done'",
        pids.display()
    );
    let wait = format!("while [ \"$(wc -l < {0})\" -lt 2 ]; do sleep 0.01; done", pids.display());
    fs::write(pids, "").unwrap();
    (shell(&format!("{child} & ({escape}{child} &) \n {wait}; echo ready; {then}")), 2)
}

#[tokio::test]
async fn output_input_environment_and_directory_are_those_of_the_invocation() {
    let directory = tempfile::tempdir().unwrap();
    let invocation = Invocation {
        directory: directory.path().canonicalize().unwrap(),
        environment: vec![("GREETING".into(), "hello".into())],
        input: b"from the pipe".to_vec(),
        streams: Streams::Apart,
        ..shell("cat; echo; echo $GREETING $HOME; pwd; echo trouble >&2; exit 3")
    };
    let finished = finish(invocation).await;
    assert_eq!(finished.ending, Ending::Exited(3));
    let output =
        format!("from the pipe\nhello\n{}\n", directory.path().canonicalize().unwrap().display());
    assert_eq!(String::from_utf8_lossy(&finished.output), output);
    assert_eq!(finished.errors, b"trouble\n");
    assert!(!finished.truncated);
}

#[tokio::test]
async fn merged_streams_keep_their_order() {
    let finished = finish(shell("echo 1; echo 2 >&2; echo 3; echo 4 >&2; kill -9 $$")).await;
    assert_eq!(finished.output, b"1\n2\n3\n4\n");
    assert_eq!(finished.ending, Ending::Signaled(9));
}

#[tokio::test]
async fn a_program_may_leave_its_input_unread() {
    let finished = finish(Invocation { input: vec![b'x'; 1 << 20], ..shell("exit 0") }).await;
    assert!(finished.ending.is_success());
}

#[tokio::test]
async fn output_over_the_limit_is_read_to_its_end_cut_and_logged_whole() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("run.log");
    fs::write(&log, "before\n").unwrap();
    let script =
        "echo first; i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done; echo last";
    let finished =
        finish(Invocation { output_limit: 100, log: Some(log_to(&log)), ..shell(script) }).await;
    assert!(finished.ending.is_success() && finished.truncated);
    let output = String::from_utf8(finished.output).unwrap();
    assert!(
        output.starts_with("first\n0123456789\n") && output.ends_with("0123456789\nlast\n"),
        "{output}"
    );
    assert!(output.contains("bytes left out") && output.len() < 200, "{output}");
    let logged = fs::read_to_string(&log).unwrap();
    assert_eq!(logged.len(), "before\nfirst\nlast\n".len() + 20_000 * 11);
    assert!(logged.starts_with("before\nfirst\n"));
}

#[tokio::test]
async fn secrets_are_redacted_in_a_log_and_in_output_that_has_one() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("run.log");
    let by_pattern = format!("{}x7Kq2Lw9Zr4Tn8Vb3Mc6Jd1Hf5Gs0PyQeUi2", "ghp_");
    let script =
        format!("printf 'one a-known-'; sleep 0.1; printf 'secret\ntwo {by_pattern}\nthree'");
    let finished = finish(Invocation { log: Some(log_to(&log)), ..shell(&script) }).await;
    assert_eq!(
        String::from_utf8(finished.output).unwrap(),
        "one [redacted]\ntwo [redacted]\nthree"
    );
    assert_eq!(fs::read_to_string(&log).unwrap(), "one [redacted]\ntwo [redacted]\nthree");
    // Output without a log, such as a pack of git, is kept as it is.
    assert_eq!(finish(shell("printf a-known-secret")).await.output, b"a-known-secret");
}

#[tokio::test]
async fn a_log_that_cannot_be_written_is_an_error_that_names_it() {
    let log = PathBuf::from("/nonexistent/run.log");
    let failed =
        run(Invocation { log: Some(log_to(&log)), ..shell("echo x") }, &CancellationToken::new())
            .await
            .unwrap_err();
    assert_eq!(failed.to_string(), "could not write the log /nonexistent/run.log");
}

#[tokio::test]
async fn at_the_deadline_the_whole_tree_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let pids = directory.path().join("pids");
    let (invocation, count) = with_grandchildren(&pids, "trap '' TERM; while :; do sleep 1; done");
    let finished = finish(Invocation { deadline: Duration::from_secs(2), ..invocation }).await;
    assert_eq!(finished.ending, Ending::TimedOut);
    assert_eq!(finished.output, b"ready\n");
    assert!(
        finished.duration < Duration::from_secs(2) + GRACE + DRAIN + Duration::from_secs(5),
        "{:?}",
        finished.duration
    );
    check_dead(&pids, count).await;
}

#[tokio::test]
async fn a_program_may_end_itself_after_sigterm() {
    let invocation = shell("trap 'echo bye; exit 0' TERM; while :; do sleep 0.05; done");
    let finished = finish(Invocation { deadline: Duration::from_millis(300), ..invocation }).await;
    assert_eq!(finished.ending, Ending::TimedOut);
    assert!(finished.output.ends_with(b"bye\n"), "{}", String::from_utf8_lossy(&finished.output));
}

#[tokio::test]
async fn grandchildren_left_behind_are_killed_and_do_not_hold_the_pipe() {
    let directory = tempfile::tempdir().unwrap();
    let pids = directory.path().join("pids");
    let (invocation, count) = with_grandchildren(&pids, "exit 0");
    let finished = finish(invocation).await;
    assert!(finished.ending.is_success());
    assert!(finished.duration < LONG / 2, "{:?}", finished.duration);
    check_dead(&pids, count).await;
}

#[tokio::test]
async fn a_stop_ends_the_program_and_a_stop_before_the_start_starts_nothing() {
    let stop = CancellationToken::new();
    let directory = tempfile::tempdir().unwrap();
    let pids = directory.path().join("pids");
    let (invocation, count) = with_grandchildren(&pids, "sleep 60");
    let (finished, ()) = tokio::join!(run(invocation, &stop), async {
        while fs::read_to_string(&pids).unwrap_or_default().lines().count() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.cancel();
    });
    assert_eq!(finished.unwrap().ending, Ending::Stopped);
    check_dead(&pids, count).await;

    let trace = directory.path().join("trace");
    let finished = run(shell(&format!("touch {}", trace.display())), &stop).await.unwrap();
    assert_eq!(finished.ending, Ending::Stopped);
    assert!(!trace.exists());
}

#[tokio::test]
async fn dropping_the_run_kills_the_tree() {
    let directory = tempfile::tempdir().unwrap();
    let pids = directory.path().join("pids");
    let (invocation, count) = with_grandchildren(&pids, "sleep 60");
    let stop = CancellationToken::new();
    tokio::select! {
        ended = run(invocation, &stop) => panic!("it ended by itself: {ended:?}"),
        () = async {
            while fs::read_to_string(&pids).unwrap_or_default().lines().count() < 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        } => {}
    }
    check_dead(&pids, count).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn runs_at_the_same_time_do_not_touch_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let done = directory.path().join("done");
    let (long, short) = tokio::join!(
        finish(shell(&format!(
            "while [ ! -e {} ]; do sleep 0.01; done; echo survived",
            done.display()
        ))),
        async {
            let short = finish(shell("setsid sleep 60 & exit 0")).await;
            fs::write(&done, "").unwrap();
            short
        }
    );
    assert_eq!(long.output, b"survived\n");
    assert!(short.ending.is_success());
}

#[tokio::test]
async fn a_missing_program_and_a_missing_directory_are_named() {
    let missing = Invocation { program: "/nonexistent/agent".into(), ..shell("") };
    let error = run(missing, &CancellationToken::new()).await.unwrap_err();
    assert!(matches!(&error, ProcessError::NotFound { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "/nonexistent/agent was not found: install it, or name its path in the settings"
    );

    let nowhere = Invocation { directory: "/nonexistent".into(), ..shell("") };
    let error = run(nowhere, &CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.to_string(), "could not start /bin/sh in /nonexistent");
}

#[test]
fn executables_are_found_on_absolute_entries_of_the_search_path() {
    let directory = tempfile::tempdir().unwrap();
    let (plain, tool) = (directory.path().join("plain"), directory.path().join("tool"));
    for (path, mode) in [(&plain, 0o644), (&tool, 0o755)] {
        fs::write(path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let search_path =
        std::env::join_paths([Path::new("relative"), Path::new(""), directory.path()]).unwrap();
    assert_eq!(find_executable("tool", &search_path), Some(tool.clone()));
    assert_eq!(find_executable("plain", &search_path), None);
    assert_eq!(find_executable("absent", &search_path), None);
    assert_eq!(find_executable("", &search_path), None);
    assert_eq!(find_executable(tool.to_str().unwrap(), OsStr::new("")), Some(tool));
    assert_eq!(find_executable(plain.to_str().unwrap(), OsStr::new("")), None);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn adopted_zombies_are_reaped() {
    let script = "sleep 60 & setsid sleep 60 & (sleep 60 &) ; exit 0";
    assert!(finish(shell(script)).await.ending.is_success());
    let this = format!(" {} ", std::process::id());
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let left: Vec<String> = processes
        .filter_map(|process| fs::read_to_string(process.path().join("stat")).ok())
        .filter(|stat| stat.contains(") Z ") && stat.contains(&this) && stat.contains("(sleep)"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
