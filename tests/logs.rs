//! What services write: nothing of it is lost, mixed or cut, whoever dies, and no disk stalls a service.

mod support;

#[path = "support/command.rs"]
#[allow(dead_code, reason = "it is for all commands")]
mod command;

use bootstrap::limits::LOG_LINE_BYTES;
use flate2::read::GzDecoder;
use nix::fcntl::{Flock, FlockArg};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal::{SIGCONT, SIGHUP, SIGKILL, SIGSTOP, SIGTERM, SIGUSR2};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use support::{Process, Stage, Supervised, comes_true, eventually, example};

/// A service that talks, as TOML; `%` in `keys` is the directory of the stage.
fn talk(stage: &Stage, name: &str, options: &[&str], keys: &str) -> String {
    let program = example("talk");
    let command = [&[&*program, "--name", name], options].concat();
    let keys = keys.replace('%', stage.dir().to_str().unwrap());
    format!("[[service]]\nname = \"{name}\"\ncommand = {command:?}\n{keys}\n")
}

/// The log writer that it has now.
fn writer(supervised: &Supervised) -> Process {
    let last = |line: &String| Some(line.split_once("the log writer is pid=")?.1.parse().unwrap());
    let mut found = None;
    eventually("there is a log writer", || {
        let started = supervised.count("the log writer is pid=");
        let ended = supervised.count(" the log writer … ended");
        found = supervised.lines().iter().rev().find_map(last).map(Process).filter(|_| started > ended);
        found.is_some()
    });
    found.unwrap()
}

/// Every backup of a file and the file itself, the oldest first.
fn parts(path: &Path) -> Vec<String> {
    let number = |number: u32| PathBuf::from(format!("{}.{number}", path.display()));
    let mut parts = Vec::new();
    for earlier in (1..2000)
        .map(number)
        .take_while(|plain| plain.exists() || Path::new(&format!("{}.gz", plain.display())).exists())
    {
        let mut text = String::new();
        if let Ok(mut file) = File::open(&earlier) {
            file.read_to_string(&mut text).unwrap();
        } else {
            let packed = File::open(format!("{}.gz", earlier.display())).unwrap();
            GzDecoder::new(packed).read_to_string(&mut text).unwrap();
        }
        parts.push(text);
    }
    parts.reverse();
    parts.push(fs::read_to_string(path).unwrap_or_default());
    parts
}

/// The lines of a file that a writer may be in the midst of: one that is not yet whole is left for the next look.
fn whole_lines(path: &Path) -> String {
    let mut text = fs::read_to_string(path).unwrap_or_default();
    text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
    text
}

/// How often each number came, by who said it. Each line has to be whole.
fn numbers(text: &str, stamped: bool) -> BTreeMap<String, BTreeMap<usize, u32>> {
    let mut found: BTreeMap<String, BTreeMap<usize, u32>> = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let rest = if stamped { &words[3..] } else { &words[..] };
        let [name, number, xs] = rest else { panic!("cut or mixed: {line:?}") };
        let number: usize = number.parse().unwrap_or_else(|_| panic!("cut or mixed: {line:?}"));
        assert_eq!(*xs, "x".repeat(number % 97), "cut or mixed: {line:?}");
        if stamped {
            let service = name.trim_end_matches("-err");
            assert_eq!(words[1], service, "{line:?}");
            assert!(words[0].ends_with('Z') && words[2].starts_with("pid="), "{line:?}");
        }
        *found.entry((*name).into()).or_default().entry(number).or_default() += 1;
    }
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is cut");
    found
}

/// Each of `names` has said each number.
#[track_caller]
fn all_said(found: &BTreeMap<String, BTreeMap<usize, u32>>, names: &[&str], count: usize) {
    assert_eq!(found.keys().collect::<Vec<_>>(), names);
    for (name, numbers) in found {
        let missing: Vec<usize> = (0..count).filter(|number| !numbers.contains_key(number)).collect();
        assert!(
            missing.is_empty(),
            "{name}: {} lines lost, {:?} first",
            missing.len(),
            &missing[..missing.len().min(5)]
        );
    }
}

/// Each of them once.
#[track_caller]
fn none_said_twice(found: &BTreeMap<String, BTreeMap<usize, u32>>) {
    for (name, numbers) in found {
        let twice = numbers.iter().find(|(_, count)| **count > 1);
        assert!(twice.is_none(), "{name}: {twice:?} times");
    }
}

fn wait_done(stage: &Stage, name: &str) {
    let path = stage.dir().join(name);
    eventually(&format!("{name} is there"), || path.exists());
}

#[test]
fn a_writer_that_is_killed_again_and_again_in_a_flood_loses_no_line() {
    let stage = Stage::new();
    let path = stage.dir().join("a.log");
    let done = stage.path("done");
    let options = ["--lines", "300000", "--chunk", "5001", "--done", &done];
    let config = talk(
        &stage,
        "a",
        &options,
        "stdout = \"file:%/a.log\"\nlog_max_bytes = \"1M\"\nlog_backups = 1000\nlog_timestamps = false",
    );
    let supervised = stage.start(&config, &["a"]);
    let mut killed = 0;
    while !Path::new(&done).exists() && killed < 4 {
        let process = writer(&supervised);
        let size = || parts(&path).iter().map(String::len).sum::<usize>();
        let before = size();
        eventually("it has written some", || size() > before || Path::new(&done).exists());
        process.signal(SIGKILL);
        killed += 1;
        eventually("its end is told", || supervised.count("the log writer was ended by SIGKILL") == killed);
    }
    assert!(killed >= 2, "the flood was over too soon");
    wait_done(&supervised.stage, "done");
    // What is kept open is the directory: it is read after the end of everything.
    let text = after_stop(supervised, &path);
    all_said(&numbers(&text, false), &["a"], 300_000);
}

/// Stops it, and reads the file with all its backups.
fn after_stop(mut supervised: Supervised, path: &Path) -> String {
    supervised.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(supervised.wait_exit(), 0, "{supervised}");
    eventually("the log writer has ended", || supervised.offspring().is_empty());
    parts(path).concat()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "between which times each line was written")]
fn two_services_with_two_streams_in_one_file_are_neither_mixed_nor_cut_over_rotations() {
    let stage = Stage::new();
    let path = stage.dir().join("all.log");
    let keys = "stdout = \"file:%/all.log\"\nstderr = \"file:%/all.log\"\nlog_max_bytes = \"200K\"\nlog_backups = 1000\nlog_compress = true";
    let (a, b) = (stage.path("a.done"), stage.path("b.done"));
    let config = talk(&stage, "a", &["--lines", "20000", "--both", "--chunk", "3001", "--done", &a], keys)
        + &talk(&stage, "b", &["--lines", "20000", "--both", "--chunk", "777", "--done", &b], keys);
    let began = std::time::SystemTime::now() - std::time::Duration::from_millis(1);
    let supervised = stage.start(&config, &["a", "b"]);
    let pids = BTreeMap::from(["a", "b"].map(|name| (name, supervised.pid_of(name, 1).0)));
    wait_done(&supervised.stage, "a.done");
    wait_done(&supervised.stage, "b.done");
    let text = after_stop(supervised, &path);
    let ended = std::time::SystemTime::now();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let time = humantime::parse_rfc3339(words[0]).unwrap();
        assert!(began <= time && time <= ended, "{line:?}");
        assert_eq!(words[2], format!("pid={}", pids[words[1]]), "{line:?}");
    }
    let found = numbers(&text, true);
    all_said(&found, &["a", "a-err", "b", "b-err"], 20_000);
    none_said_twice(&found);
}

#[test]
fn backups_are_compressed_whole_and_no_more_than_asked_for() {
    let stage = Stage::new();
    let done = stage.path("done");
    let keys = "stdout = \"file:%/a.log\"\nlog_max_bytes = \"100K\"\nlog_backups = 3\nlog_compress = true\nlog_timestamps = false";
    let config = talk(&stage, "a", &["--lines", "30000", "--done", &done], keys);
    let supervised = stage.start(&config, &["a"]);
    wait_done(&supervised.stage, "done");
    let dir = supervised.stage.dir().to_path_buf();
    let names = || {
        let entries =
            fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = entries.filter(|name| name.starts_with("a.log")).collect();
        names.sort();
        names
    };
    // Between two files of that name there is none for a moment.
    let last_is_there = |text: String| text.contains("\na 29999 ");
    eventually("all is written", || fs::read_to_string(dir.join("a.log")).is_ok_and(last_is_there));
    eventually("all are packed", || names() == ["a.log", "a.log.1.gz", "a.log.2.gz", "a.log.3.gz"]);
    // The last lines that are kept, in their order and without a gap.
    let text = parts(&dir.join("a.log")).concat();
    let kept: Vec<usize> = numbers(&text, false)["a"].keys().copied().collect();
    assert_eq!(kept, (kept[0]..30_000).collect::<Vec<_>>());
    supervised.stop();
}

/// A mount namespace of its own with a small file system at `small` in the directory of the stage.
fn on_a_small_disk(stage: Stage) -> Option<Stage> {
    let small = stage.path("small");
    fs::create_dir(&small).unwrap();
    let script = format!("mount -t tmpfs -o size=1M tmpfs {small} && exec \"$@\"");
    let wrapper = ["unshare", "--mount", "sh", "-c", &script, "sh"];
    let tried = Command::new(wrapper[0]).args(&wrapper[1..]).arg("true").output().unwrap();
    if !tried.status.success() {
        eprintln!("skipped: no file system can be mounted here: {}", String::from_utf8_lossy(&tried.stderr));
        return None;
    }
    Some(stage.through(&wrapper))
}

/// Gives the small file system room.
fn grow(supervised: &Supervised) {
    let (pid, small) = (supervised.process().0.to_string(), supervised.stage.path("small"));
    let remount = ["--target", &pid, "--mount", "mount", "-o", "remount,size=64M", &small];
    assert!(Command::new("nsenter").args(remount).status().unwrap().success());
}

#[test]
fn a_full_disk_stalls_no_service_and_what_waits_is_written_when_there_is_room() {
    let Some(stage) = on_a_small_disk(Stage::new()) else { return };
    let done = stage.path("done");
    // The disk takes 1 MiB; this is about 3 MiB.
    let keys = "stdout = \"file:%/small/a.log\"\nlog_timestamps = false";
    let config = talk(&stage, "a", &["--lines", "55000", "--done", &done], keys);
    let supervised = stage.start(&config, &["a"]);
    wait_done(&supervised.stage, "done");
    supervised.wait_for("ERROR bootstrap file:… No space left on device; lines wait, and services go on");
    // As the writer sees it.
    let small =
        PathBuf::from(format!("/proc/{}/root{}", supervised.process().0, supervised.stage.path("small")));
    let path = small.join("a.log");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.ends_with('\n'), "a full disk leaves whole lines");
    let first = numbers(&text, false)["a"].len();
    assert!(first > 1000 && first < 55_000, "{first}");
    grow(&supervised);
    supervised.wait_for("takes lines again");
    let mut found = BTreeMap::new();
    eventually("all is written", || {
        found = numbers(&whole_lines(&path), false);
        found["a"].len() == 55_000
    });
    all_said(&found, &["a"], 55_000);
    none_said_twice(&found);
    supervised.stop();
}

#[test]
fn what_a_full_disk_does_not_take_is_dropped_beyond_a_bound_and_counted() {
    let Some(stage) = on_a_small_disk(Stage::new()) else { return };
    let done = stage.path("done");
    // About 16 MiB: more than is kept in memory.
    let keys = "stdout = \"file:%/small/a.log\"\nlog_timestamps = false";
    let config = talk(&stage, "a", &["--lines", "300000", "--done", &done], keys);
    let supervised = stage.start(&config, &["a"]);
    wait_done(&supervised.stage, "done");
    supervised.wait_for("ERROR bootstrap file:… there is no more room for lines that wait");
    let small =
        PathBuf::from(format!("/proc/{}/root{}", supervised.process().0, supervised.stage.path("small")));
    let path = small.join("a.log");
    grow(&supervised);
    let told = supervised.wait_for("of services lost");
    let lost = told.split_once("a.log: ").unwrap().1.split(' ').next().unwrap().parse::<usize>().unwrap();
    let mut text = String::new();
    let mut said = BTreeMap::new();
    eventually("the rest is written", || {
        text = whole_lines(&path);
        let lines: String =
            text.split_inclusive('\n').filter(|line| !line.starts_with("bootstrap:")).collect();
        said = numbers(&lines, false);
        said["a"].len() + lost == 300_000 && text.contains("lines lost here")
    });
    assert!(text.contains(&format!("bootstrap: {lost} lines lost here")));
    supervised.stop();
}

#[test]
fn a_writer_that_cannot_write_is_named_at_the_end_and_gives_up_when_nobody_is_left() {
    let Some(stage) = on_a_small_disk(Stage::new()) else { return };
    let done = stage.path("done");
    let keys = "stdout = \"file:%/small/a.log\"\nlog_timestamps = false";
    let config = talk(&stage, "a", &["--lines", "55000", "--done", &done], keys);
    let mut supervised = stage.start(&config, &["a"]);
    wait_done(&supervised.stage, "done");
    supervised.wait_for("ERROR bootstrap file:… No space left on device; lines wait, and services go on");
    let process = writer(&supervised);
    supervised.signal(SIGTERM);
    supervised.wait_exit();
    let told = format!("the log writer pid={} goes on, and gives up what fails in 10s", process.0);
    assert!(supervised.said(&told), "{supervised}");
    eventually("the writer is gone", || !process.is_alive());
    supervised.wait_for("Z ERROR bootstrap the log writer ends; … bytes of lines or more are lost");
}

#[test]
fn upgrades_of_the_supervisor_in_a_flood_lose_nothing_and_leave_the_writer_alone() {
    let stage = Stage::new();
    let path = stage.dir().join("a.log");
    let done = stage.path("done");
    let options = ["--lines", "150000", "--both", "--done", &done];
    let keys = "stdout = \"file:%/a.log\"\nstderr = \"file:%/a.log\"\nlog_max_bytes = \"4M\"\nlog_backups = 100\nlog_timestamps = false";
    let config = talk(&stage, "a", &options, keys);
    let mut supervised = stage.start(&config, &["a"]);
    let process = writer(&supervised);
    for _ in 0..5 {
        supervised.forget();
        supervised.signal(SIGUSR2);
        supervised.wait_for(" bootstrap pid= … is now");
    }
    assert!(process.is_alive() && supervised.process().children().contains(&process), "{supervised}");
    wait_done(&supervised.stage, "done");
    let found = numbers(&after_stop(supervised, &path), false);
    all_said(&found, &["a", "a-err"], 150_000);
    none_said_twice(&found);
}

#[test]
fn a_supervisor_that_is_killed_in_a_flood_costs_no_line_and_the_next_one_takes_the_pipes() {
    let stage = Stage::new();
    let path = stage.dir().join("a.log");
    let done = stage.path("done");
    let options = ["--lines", "300000", "--done", &done];
    let keys =
        "stdout = \"file:%/a.log\"\nlog_max_bytes = \"1M\"\nlog_backups = 1000\nlog_timestamps = false";
    let config = talk(&stage, "a", &options, keys);
    let mut supervised = stage.start(&config, &["a"]);
    let (server, former) = (supervised.pid_of("a", 1), writer(&supervised));
    eventually("it has begun", || path.metadata().is_ok_and(|found| found.len() > 0));
    // Without the file that names it the former writer would read on, beside the new one.
    let directory = supervised.stage.dir().join("run");
    eventually("it is removed", || fs::remove_dir_all(&directory).is_ok());
    eventually("the writer is written down again", || directory.join("log-writer").exists());
    eventually("and so is who runs", || directory.join("records").exists());
    supervised.kill_and_start_again();
    supervised.wait_for(" a generation=1 pid= … adopted");
    assert!(writer(&supervised) != former, "{supervised}");
    eventually("the former writer is gone", || !former.is_alive());
    assert!(server.is_alive() && !supervised.said("is not read"), "{supervised}");
    wait_done(&supervised.stage, "done");
    let found = numbers(&after_stop(supervised, &path), false);
    all_said(&found, &["a"], 300_000);
}

#[test]
fn a_service_outlives_the_supervisor_and_the_writer_together_and_loses_no_line() {
    let stage = Stage::new();
    let path = stage.dir().join("a.log");
    let done = stage.path("done");
    let keys = "stdout = \"file:%/a.log\"\nlog_timestamps = false";
    let config = talk(&stage, "a", &["--lines", "300000", "--done", &done], keys);
    let mut supervised = stage.start(&config, &["a"]);
    let (server, former) = (supervised.pid_of("a", 1), writer(&supervised));
    eventually("it has begun", || path.metadata().is_ok_and(|found| found.len() > 0));
    // First the one, or it would be started anew.
    supervised.signal(SIGSTOP);
    former.signal(SIGKILL);
    eventually("the former writer is gone", || !former.is_alive());
    // It may have been killed in the middle of a line.
    let file = File::options().append(true).open(&path).unwrap();
    let mut locked = Flock::lock(file, FlockArg::LockExclusive).unwrap();
    if fs::read(&path).unwrap().ends_with(b"\n") {
        locked.write_all(b"a 12 xx").unwrap();
    }
    drop(locked);
    supervised.kill_and_start_again();
    supervised.wait_for(" a generation=1 pid= … adopted");
    assert!(server.is_alive(), "{supervised}");
    wait_done(&supervised.stage, "done");
    let found = numbers(&after_stop(supervised, &path), false);
    all_said(&found, &["a"], 300_000);
}

#[test]
fn a_writer_that_hangs_stalls_only_who_has_filled_its_pipe_and_is_replaced() {
    let stage = Stage::new();
    let path = stage.dir().join("a.log");
    let (little, much) = (stage.path("little"), stage.path("much"));
    let keys = "stdout = \"file:%/a.log\"\nlog_timestamps = false";
    let config = talk(&stage, "idle", &["--lines", "0"], keys);
    let supervised = stage.start(&config, &["idle"]);
    let process = writer(&supervised);
    process.signal(SIGSTOP);
    // 1,000 lines are 50 KB, and fit into the pipe; 100,000 do not.
    let talks = talk(&supervised.stage, "little", &["--lines", "1000", "--done", &little], keys)
        + &talk(&supervised.stage, "much", &["--lines", "100000", "--done", &much], keys);
    supervised.stage.write("services.toml", &(config + &talks));
    supervised.signal(SIGHUP);
    wait_done(&supervised.stage, "little");
    let stalled = supervised.pid_of("much", 1);
    eventually("it waits for room in its pipe", || {
        fs::read_to_string(format!("/proc/{}/wchan", stalled.0)).unwrap().contains("pipe")
    });
    assert!(!Path::new(&much).exists());
    supervised.wait_for("the log writer has not answered for 10s; sent it SIGKILL");
    wait_done(&supervised.stage, "much");
    let found = numbers(&after_stop(supervised, &path), false);
    assert_eq!((found["little"].len(), found["much"].len()), (1000, 100_000));
}

/// It was noticed only when the next process was started, which may be never.
#[test]
fn a_writer_that_hangs_while_nothing_starts_is_found_by_what_services_write() {
    let stage = Stage::new();
    let path = stage.dir().join("a.log");
    let keys =
        "stdout = \"file:%/a.log\"\nlog_timestamps = false".replace('%', stage.dir().to_str().unwrap());
    let go = stage.path("go");
    let script = format!("until [ -e {go} ]; do sleep 0.05; done; echo one; exec sleep 600");
    let config = format!("[[service]]\nname = \"a\"\ncommand = [\"sh\", \"-c\", {script:?}]\n{keys}\n");
    let supervised = stage.start(&config, &["a"]);
    let process = writer(&supervised);
    let is_taken =
        || process.descriptors().into_iter().filter(|(_, target)| target.starts_with("pipe")).count() > 2;
    eventually("it has taken the pipe", is_taken);
    process.signal(SIGSTOP);
    supervised.stage.write("go", "");
    supervised.wait_for("the log writer has not answered for 10s; sent it SIGKILL");
    eventually("the next one writes", || fs::read_to_string(&path).is_ok_and(|text| text == "one\n"));
    assert!(writer(&supervised) != process);
    supervised.stop();
}

#[test]
fn a_writer_that_goes_on_in_time_is_kept() {
    let stage = Stage::new();
    let done = stage.path("done");
    let keys = "stdout = \"file:%/a.log\"\nlog_timestamps = false";
    let config = talk(&stage, "a", &["--lines", "100000", "--done", &done], keys);
    let supervised = stage.start(&config, &["a"]);
    let process = writer(&supervised);
    process.signal(SIGSTOP);
    process.signal(SIGCONT);
    wait_done(&supervised.stage, "done");
    assert_eq!(writer(&supervised), process);
    supervised.stop();
}

#[test]
fn the_last_words_on_stderr_stand_in_the_report_of_a_failure() {
    let stage = Stage::new();
    let keys = "stdout = \"null\"\nstderr = \"file:%/a.log\"\nrestart = \"no\"";
    let config = talk(&stage, "a", &["--lines", "2", "--both", "--then", "no database"], keys)
        + &talk(&stage, "b", &["--lines", "1", "--then", "unseen"], "stdout = \"null\"\nready = \"started\"");
    let mut supervised = stage.launch(&config);
    supervised
        .wait_for("WARN a generation=1 pid= … said on stderr: \"a-err 0 \", \"a-err 1 x\", \"no database\"");
    assert_eq!(supervised.wait_exit(), 1);
    assert!(!supervised.said("b generation=1 … said on stderr"), "it is not captured\n{supervised}");
    let text = fs::read_to_string(supervised.stage.dir().join("a.log")).unwrap();
    assert!(text.ends_with("no database\n"), "what has no newline is ended with its process: {text:?}");
}

/// The pipe has ended, and the writer has said what came through it last, before anybody knows that it is a failure.
#[test]
fn the_last_words_are_known_though_stderr_was_closed_before_the_end() {
    let stage = Stage::new();
    let go = stage.path("go");
    let script = format!("echo no database >&2; exec 2>&-; until [ -e {go} ]; do sleep 0.05; done; exit 3");
    let stderr = format!("file:{}", stage.path("a.log"));
    let config =
        format!("[[service]]\nname = \"a\"\ncommand = [\"sh\", \"-c\", {script:?}]\nstderr = {stderr:?}\n");
    let mut supervised = stage.start(&config, &["a"]);
    let log = supervised.stage.dir().join("a.log");
    eventually("it is written", || log.exists());
    let process = writer(&supervised);
    let pipes = || process.descriptors().into_iter().filter(|(_, target)| target.starts_with("pipe")).count();
    // It has one of its own, of which it holds both ends, and its stderr.
    eventually("the writer has let go of the pipe", || pipes() == 3);
    supervised.stage.write("go", "");
    supervised.wait_for("WARN a generation=1 pid= … said on stderr: \"no database\"");
    assert_eq!(supervised.wait_exit(), 1);
}

#[test]
fn a_line_without_an_end_is_split_and_says_so() {
    let stage = Stage::new();
    let script = "head -c 40000 /dev/zero | tr '\\0' x; echo end; exec sleep 600";
    let keys =
        "stdout = \"file:%/a.log\"\nlog_timestamps = false".replace('%', stage.dir().to_str().unwrap());
    let config = format!("[[service]]\nname = \"a\"\ncommand = [\"sh\", \"-c\", {script:?}]\n{keys}\n");
    let supervised = stage.start(&config, &["a"]);
    let path = supervised.stage.dir().join("a.log");
    let text = || fs::read_to_string(&path).unwrap_or_default();
    eventually("all is written", || text().ends_with("end\n"));
    let text = text();
    let lines: Vec<&str> = text.lines().collect();
    let (last, parts) = lines.split_last().unwrap();
    let parts =
        parts.iter().map(|line| line.strip_suffix(" [goes on]").unwrap_or_else(|| panic!("{line:?}")));
    let parts: Vec<&str> = parts.collect();
    assert!(parts.len() > 1 && parts.iter().all(|part| part.len() < LOG_LINE_BYTES), "{text:?}");
    assert_eq!(parts.concat() + last, "x".repeat(40_000) + "end");
    supervised.stop();
}

#[test]
fn the_last_words_on_stderr_are_told_to_who_asked_for_the_start_and_by_status() {
    let stage = Stage::new();
    let keys = "stdout = \"null\"\nstderr = \"file:%/a.log\"\nrestart = \"no\"\nready = \"delay\"\nready_delay = \"1s\"";
    let other = talk(&stage, "b", &["--lines", "0"], "");
    let works = talk(&stage, "a", &["--lines", "1"], keys);
    let fails = talk(&stage, "a", &["--lines", "1", "--both", "--then", "no database"], keys);
    let supervised = stage.start(&(works + &other), &["a", "b"]);
    supervised.wait_for("a generation=1 … ready");
    supervised.stage.write("services.toml", &(fails + &other));
    let run = |arguments: &[&str]| {
        let output = supervised.stage.run(&[&["-c", "services.toml"], arguments].concat());
        (String::from_utf8(output.stdout).unwrap(), output.status.code())
    };
    let told = "    its stderr: \"a-err 0 \"\n    its stderr: \"no database\"\n";
    let (said, code) = run(&["reload"]);
    assert!(said.ends_with(told) && said.contains("a: the restart failed; what ran before serves"), "{said}");
    assert_eq!(code, Some(5), "{said}");
    let (said, _) = run(&["status", "a"]);
    assert!(said.contains("no database"), "{said}");
    let (said, code) = run(&["restart", "a", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(value.pointer("/services/0/last_words/1").unwrap(), "no database", "{said}");
    assert_eq!(code, Some(5));
    command::is_valid(&value);
    let (said, _) = run(&["status", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(value.pointer("/services/0/last_words/1").unwrap(), "no database", "{said}");
    command::is_valid(&value);
    supervised.stop();
}

/// With the last service everything ends, its clients included.
#[test]
#[expect(clippy::disallowed_methods, reason = "a command, beside the supervisor")]
fn the_last_words_are_told_though_the_supervisor_ends_with_them() {
    let stage = Stage::new();
    let go = stage.path("go");
    let script = format!("until [ -e {go} ]; do sleep 0.05; done; echo no database >&2; exit 3");
    let stderr = format!("file:{}", stage.path("a.log"));
    let config = format!(
        "[[service]]\nname = \"a\"\ncommand = [\"sh\", \"-c\", {script:?}]\nstderr = {stderr:?}\nready = \"delay\"\nready_delay = \"20s\"\n"
    );
    let mut supervised = stage.start(&config, &["a"]);
    let waiting =
        supervised.stage.command(&["-c", "services.toml", "start", "a"]).stdout(Stdio::piped()).spawn();
    supervised.wait_for("an operator asked: start 1 service");
    supervised.stage.write("go", "");
    let output = waiting.unwrap().wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.ends_with("    its stderr: \"no database\"\n"), "{said}\n{supervised}");
    assert_eq!(supervised.wait_exit(), 1);
}

#[test]
fn a_log_file_is_not_for_everybody() {
    use std::os::unix::fs::PermissionsExt as _;
    let stage = Stage::new();
    let config = talk(&stage, "a", &["--lines", "1"], "stdout = \"file:%/a.log\"");
    let supervised = stage.start(&config, &["a"]);
    let path = supervised.stage.dir().join("a.log");
    eventually("it is there", || path.exists());
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o027, 0);
    supervised.stop();
}

#[test]
fn nothing_is_captured_without_a_key_and_there_is_no_writer() {
    let stage = Stage::new();
    let config = talk(&stage, "a", &["--lines", "1"], "")
        + &talk(&stage, "b", &["--lines", "1"], "stdout = \"null\"\nstderr = \"null\"");
    let supervised = stage.start(&config, &["a", "b"]);
    let (a, b) = (supervised.pid_of("a", 1), supervised.pid_of("b", 1));
    eventually("there are two children and no more", || {
        let mut children = supervised.process().children();
        children.sort_by_key(|process| process.0);
        children == [a, b]
    });
    let streams = b.descriptors().into_iter().filter(|(number, _)| *number <= 2);
    assert!(streams.into_iter().all(|(_, target)| target == "/dev/null"));
    assert!(!supervised.said("log writer"), "{supervised}");
    supervised.stop();
}

#[test]
fn a_writer_is_there_only_while_a_service_needs_it() {
    let stage = Stage::new();
    let quiet = talk(&stage, "quiet", &["--lines", "0"], "");
    let loud = talk(&stage, "loud", &["--lines", "1"], "stdout = \"file:%/a.log\"");
    let supervised = stage.start(&(quiet.clone() + &loud), &["quiet", "loud"]);
    let process = writer(&supervised);
    let before = supervised.process().descriptors().len();
    supervised.stage.write("services.toml", &quiet);
    supervised.signal(SIGHUP);
    supervised.wait_for("loud stopped");
    eventually("the writer has ended", || !process.is_alive());
    assert!(!supervised.said("log writer … starting another"), "{supervised}");
    assert!(supervised.process().descriptors().len() < before);
    supervised.stop();
}

#[test]
fn logs_prints_the_last_lines_across_backups_and_follows_over_rotations() {
    let stage = Stage::new();
    let keys = "stdout = \"file:%/a.log\"\nlog_max_bytes = 4096\nlog_backups = 1000\nlog_compress = true\nlog_timestamps = false";
    let go = stage.path("go");
    let script = format!(
        "i=0; while [ $i -lt 1500 ]; do echo line $i; i=$((i+1)); done; until [ -e {go} ]; do sleep 0.05; done; \
         while [ $i -lt 9000 ]; do echo line $i; i=$((i+1)); done; exec sleep 600"
    );
    let keys = keys.replace('%', stage.dir().to_str().unwrap());
    let config = format!(
        "[[service]]\nname = \"a\"\ncommand = [\"sh\", \"-c\", {script:?}]\n{keys}\n[[service]]\nname = \"b\"\ncommand = [\"sleep\", \"600\"]\nstdout = \"journal\"\n"
    );
    let supervised = stage.start(&config, &["a"]);
    let printed = |arguments: &[&str]| {
        let output = supervised.stage.run(&[&["-c", "services.toml", "logs"], arguments].concat());
        (
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
            output.status.code(),
        )
    };
    let lines = |range: std::ops::Range<u32>| {
        range.map(|n| format!("line {n}")).chain([String::new()]).collect::<Vec<_>>().join("\n")
    };
    eventually("all is written", || printed(&["a", "-n", "1"]).0 == "line 1499\n");
    // Of 4096 bytes each there are four files by now.
    let (out, err, code) = printed(&["a", "-n", "1450"]);
    assert_eq!((out, code), (lines(50..1500), Some(0)));
    assert_eq!(err, "bootstrap: a: stderr goes where that of bootstrap goes\n");
    assert_eq!(printed(&["a"]).0, lines(1490..1500));
    assert_eq!(printed(&["a", "-n", "9999"]).0, lines(0..1500));
    let (out, err, code) = printed(&["b"]);
    assert_eq!((&*out, code), ("", Some(0)));
    assert!(err.contains("b: stdout goes to the journal: journalctl --identifier=b\n"), "{err}");
    assert!(err.contains("b: stderr goes where that of bootstrap goes\n"), "{err}");
    assert_eq!(printed(&["nobody"]).2, Some(4));

    #[expect(clippy::disallowed_methods, reason = "a reader that follows, beside the supervisor")]
    let mut reader = Command::new(env!("CARGO_BIN_EXE_bootstrap"))
        .args(["-c", "services.toml", "logs", "--follow", "-n", "5", "a"])
        .current_dir(supervised.stage.dir())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut followed = BufReader::new(reader.stdout.take().unwrap()).lines();
    for number in 1495..1500 {
        assert_eq!(followed.next().unwrap().unwrap(), format!("line {number}"));
    }
    supervised.stage.write("go", "");
    for number in 1500..9000 {
        assert_eq!(followed.next().unwrap().unwrap(), format!("line {number}"));
    }
    reader.kill().unwrap();
    reader.wait().unwrap();
    supervised.stop();
}

/// A reader of `logs --follow` in the directory of the stage.
fn follower(stage: &Stage) -> std::process::Child {
    let mut command = stage.command(&["-c", "services.toml", "logs", "--follow", "-n", "1", "a"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    #[expect(clippy::disallowed_methods, reason = "a reader that follows, beside the supervisor")]
    command.spawn().unwrap()
}

fn process(reader: &std::process::Child) -> Process {
    Process(reader.id().try_into().unwrap())
}

/// Follows over many rotations of which it sees none, since it is stopped; gives the numbers that it prints and what it says.
fn followed_while_stopped(keys: &str) -> (Vec<u32>, String) {
    let stage = Stage::new();
    let (go, done) = (stage.path("go"), stage.path("done"));
    let script = format!(
        "echo 0; until [ -e {go} ]; do sleep 0.05; done; \
         i=1; while [ $i -le 90000 ]; do echo $i; i=$((i+1)); done; touch {done}; exec sleep 600"
    );
    let keys = format!("stdout = \"file:{}\"\nlog_timestamps = false\n{keys}", stage.path("a.log"));
    let config = format!("[[service]]\nname = \"a\"\ncommand = [\"sh\", \"-c\", {script:?}]\n{keys}\n");
    let supervised = stage.start(&config, &["a"]);
    let log = supervised.stage.dir().join("a.log");
    eventually("the first is written", || fs::read_to_string(&log).is_ok_and(|text| text == "0\n"));
    let mut reader = follower(&supervised.stage);
    let mut lines = BufReader::new(reader.stdout.take().unwrap()).lines();
    let mut numbers = vec![lines.next().unwrap().unwrap().parse().unwrap()];
    process(&reader).signal(SIGSTOP);
    eventually("it is stopped", || process(&reader).state() == Some('T'));
    supervised.stage.write("go", "");
    wait_done(&supervised.stage, "done");
    eventually("the last is written", || {
        fs::read_to_string(&log).is_ok_and(|text| text.ends_with("\n90000\n") || text == "90000\n")
    });
    process(&reader).signal(SIGCONT);
    while numbers.last() != Some(&90_000) {
        numbers.push(lines.next().expect("it ends").unwrap().parse().unwrap());
    }
    reader.kill().unwrap();
    let output = reader.wait_with_output().unwrap();
    supervised.stop();
    (numbers, String::from_utf8(output.stderr).unwrap())
}

/// It had heard of some of the rotations only: lines were missing, and others came twice and out of order.
#[test]
fn who_is_behind_by_many_rotations_has_each_line_once_and_in_order() {
    for compress in [false, true] {
        let keys = format!("log_max_bytes = 4096\nlog_backups = 1000\nlog_compress = {compress}");
        let (numbers, said) = followed_while_stopped(&keys);
        let wrong = numbers.windows(2).find(|pair| pair[0] + 1 != pair[1]);
        assert_eq!(wrong, None, "compressed: {compress}");
        assert!(!said.contains("missing"), "{said}");
    }
}

#[test]
fn who_follows_is_told_once_what_was_removed_before_he_read_it() {
    let (numbers, said) = followed_while_stopped("log_max_bytes = 4096\nlog_backups = 2");
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    let jumps = numbers.windows(2).filter(|pair| pair[0] + 1 != pair[1]).count();
    assert_eq!(jumps, 1, "{numbers:?}");
    assert_eq!(said.matches("a.log: lines are missing here: ").count(), 1, "{said}");
}

/// It ended, and blamed its stdout.
#[test]
fn who_follows_waits_while_there_is_no_regular_file() {
    let stage = Stage::new();
    let path = stage.path("a.log");
    fs::write(&path, "first\n").unwrap();
    let config = format!(
        "[[service]]\nname = \"a\"\ncommand = \"true\"\nstdout = \"file:{path}\"\nstderr = \"null\"\n"
    );
    stage.write("services.toml", &config);
    let mut reader = follower(&stage);
    let mut lines = BufReader::new(reader.stdout.take().unwrap()).lines();
    let mut said = BufReader::new(reader.stderr.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "first");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let told =
        said.find(|line| line.as_ref().is_ok_and(|line| !line.contains(" goes nowhere"))).unwrap().unwrap();
    let right = "no regular file: it keeps nothing of what was written to it; waiting for another file there";
    assert_eq!(told, format!("bootstrap: {path}: {right}"));
    fs::remove_dir(&path).unwrap();
    fs::write(&path, "second\n").unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "second");
    reader.kill().unwrap();
    reader.wait().unwrap();
    assert_eq!(said.map_while(Result::ok).collect::<Vec<_>>(), Vec::<String>::new());
}

/// A container's limit of processes had the writer panic again and again, and services stalled.
#[test]
fn a_writer_that_gets_no_thread_writes_all_the_same_and_says_so_once() {
    // No address space has room for the stack of such a thread.
    let stage = Stage::new().env("RUST_MIN_STACK", &(1_u64 << 47).to_string());
    let keys = |name: &str| {
        format!(
            "stdout = \"file:%/{name}.log\"\nlog_timestamps = false\nlog_max_bytes = 65536\nlog_backups = 1000"
        )
    };
    let config = talk(&stage, "a", &["--lines", "5000"], &keys("a"))
        + &talk(&stage, "b", &["--lines", "5000"], &keys("late/b"));
    let supervised = stage.start(&config, &["a", "b"]);
    supervised.wait_for(
        "WARN bootstrap file:… the log writer gets no thread for it: Resource temporarily unavailable;",
    );
    // What fails is tried again though no thread does it.
    supervised.wait_for("late/b.log: No such file or directory; lines wait");
    fs::create_dir(supervised.stage.dir().join("late")).unwrap();
    for name in ["a", "late/b"] {
        let path = supervised.stage.dir().join(format!("{name}.log"));
        let service = &name[name.len() - 1..];
        eventually("all is written", || {
            parts(&path).concat().ends_with(&format!("{service} 4999 {}\n", "x".repeat(4999 % 97)))
        });
        let found = numbers(&parts(&path).concat(), false);
        all_said(&found, &[service], 5000);
        none_said_twice(&found);
    }
    assert_eq!(supervised.count("gets no thread"), 1, "{supervised}");
    assert_eq!(supervised.count("the log writer … ended"), 0, "{supervised}");
    supervised.stop();
}

/// One backup that a power cut had left half written hid all lines, and the file itself was blamed.
#[test]
fn logs_prints_what_can_be_read_and_names_what_is_damaged() {
    let stage = Stage::new();
    let path = stage.path("a.log");
    stage.write("a.log", "new\n");
    stage.write("a.log.1.gz", "no gzip at all");
    stage.write("a.log.2", "old\n");
    let service = |name: &str, file: &str| {
        format!(
            "[[service]]\nname = \"{name}\"\ncommand = \"true\"\nstdout = \"file:{file}\"\nstderr = \"null\"\n"
        )
    };
    let quiet = stage.path("quiet.log");
    stage.write("services.toml", &(service("a", &path) + &service("quiet", &quiet)));
    let output = stage.run(&["-c", "services.toml", "logs", "a"]);
    assert_eq!(
        (String::from_utf8_lossy(&output.stdout), output.status.code()),
        ("old\nnew\n".into(), Some(1))
    );
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&format!("bootstrap: {path}.1.gz: damaged: ")), "{said}");
    let output = stage.run(&["-c", "services.toml", "logs", "quiet"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.ends_with(&format!("bootstrap: {quiet}: nothing has been written there yet\n")), "{said}");
    assert_eq!((output.stdout.len(), output.status.code()), (0, Some(0)));
}

/// It said nothing more until the file was as long as before, and then left out what stood there first.
#[test]
fn who_follows_a_file_that_is_cut_short_goes_on_with_what_comes_then() {
    let stage = Stage::new();
    let path = stage.path("a.log");
    fs::write(&path, "first\n").unwrap();
    stage.write("services.toml", &one_that_writes_to("a", &path));
    let mut reader = follower(&stage);
    let mut lines = BufReader::new(reader.stdout.take().unwrap()).lines();
    let append = |text: &[u8]| File::options().append(true).open(&path).unwrap().write_all(text).unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "first");
    append(b"second\nto");
    assert_eq!(lines.next().unwrap().unwrap(), "second");
    // A writer takes back what was torn; that is no loss.
    File::options().write(true).open(&path).unwrap().set_len(13).unwrap();
    append(b"third\n");
    assert_eq!(lines.next().unwrap().unwrap(), "third");
    File::create(&path).unwrap();
    append(b"new\n");
    assert_eq!(lines.next().unwrap().unwrap(), "new");
    append(b"newer\n");
    assert_eq!(lines.next().unwrap().unwrap(), "newer");
    reader.kill().unwrap();
    let output = reader.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let told = format!("bootstrap: {path}: cut short by somebody; lines may be missing here\n");
    assert_eq!(said.matches(&told).count(), 1, "{said}");
    assert!(said.ends_with(&told), "{said}");
}

/// No file was followed then, and nothing said which was to blame.
#[test]
fn a_file_without_a_directory_is_no_reason_not_to_follow_another() {
    let stage = Stage::new();
    let (path, lost) = (stage.path("a.log"), stage.path("none/b.log"));
    fs::write(&path, "first\n").unwrap();
    stage.write("services.toml", &(one_that_writes_to("a", &path) + &one_that_writes_to("b", &lost)));
    let mut command = stage.command(&["-c", "services.toml", "logs", "--follow"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    #[expect(clippy::disallowed_methods, reason = "a reader that follows")]
    let mut reader = command.spawn().unwrap();
    let mut lines = BufReader::new(reader.stdout.take().unwrap()).lines();
    eventually("it has read", || lines.next().unwrap().unwrap() == "first");
    eventually("it goes on", || {
        File::options().append(true).open(&path).unwrap().write_all(b"second\n").unwrap();
        lines.next().unwrap().unwrap() == "second"
    });
    reader.kill().unwrap();
    let output = reader.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let wanted = format!("{lost}: not followed: there is no directory {}", stage.path("none"));
    assert!(said.contains(&wanted), "{said}");
    // Alone it cannot be waited for.
    let output = stage.run(&["-c", "services.toml", "logs", "--follow", "b"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

/// A service whose output goes to this file.
fn one_that_writes_to(name: &str, path: &str) -> String {
    format!(
        "[[service]]\nname = \"{name}\"\ncommand = \"true\"\nstdout = \"file:{path}\"\nstderr = \"null\"\n"
    )
}

/// `logs --follow` said nothing more, without a word.
#[test]
fn who_follows_a_file_is_told_when_its_directory_goes() {
    for renames in [true, false] {
        let stage = Stage::new().through(&["timeout", "30"]);
        fs::create_dir(stage.path("logs")).unwrap();
        let path = stage.path("logs/a.log");
        fs::write(&path, "first\n").unwrap();
        stage.write("services.toml", &one_that_writes_to("a", &path));
        let mut command = stage.command(&["-c", "services.toml", "logs", "--follow"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        #[expect(clippy::disallowed_methods, reason = "a reader that follows")]
        let mut reader = command.spawn().unwrap();
        let mut lines = BufReader::new(reader.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "first");
        File::options().append(true).open(&path).unwrap().write_all(b"second\n").unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), "second");
        if renames {
            fs::rename(stage.path("logs"), stage.path("old")).unwrap();
        } else {
            fs::remove_dir_all(stage.path("logs")).unwrap();
        }
        let output = reader.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.ends_with("logs: renamed or removed, with the files in it; follow it again\n"),
            "{said}"
        );
        assert_eq!(output.status.code(), Some(1));
    }
}

/// The kernel does not tell that a write which found no room goes on: services hung for ever, in silence, and `status` said
/// `up`.
#[test]
fn a_write_that_is_larger_than_its_pipe_comes_through_with_the_disk_in_whatever_state() {
    for disk_hangs in [false, true] {
        let stage = Stage::new();
        let path = stage.path("a.log");
        let line = "x".repeat(79) + "\n";
        stage.write("big", &line.repeat(40_000));
        // Writes of 600 KB, which end within a line, and one of all.
        let script = "dd if=big bs=600001 status=none; dd if=big bs=3200000 status=none; echo end; touch done; exec sleep 600";
        let config = format!(
            "[[service]]\nname = \"a\"\ncommand = [\"sh\", \"-c\", {script:?}]\nready = \"started\"\n\
             stdout = \"file:{path}\"\nlog_timestamps = false\nlog_max_bytes = \"unlimited\"\n"
        );
        // Who holds this lock is waited for, for a while, with each write.
        let lock = disk_hangs.then(|| {
            let file = File::create(&path).unwrap();
            Flock::lock(file, FlockArg::LockShared).map_err(|(_, errno)| errno).unwrap()
        });
        let supervised = stage.start(&config, &["a"]);
        eventually("the service has written all", || supervised.stage.dir().join("done").exists());
        drop(lock);
        eventually("all is in the file", || {
            fs::read_to_string(&path).is_ok_and(|text| text.ends_with("end\n"))
        });
        assert!(
            fs::read_to_string(&path).unwrap() == line.repeat(80_000) + "end\n",
            "another text is in the file"
        );
        supervised.stop();
    }
}

#[test]
fn the_journal_and_syslog_get_each_line_with_service_and_pid() {
    let stage = Stage::new();
    let run = stage.dir().join("host-run");
    fs::create_dir_all(run.join("systemd/journal")).unwrap();
    let journal = UnixDatagram::bind(run.join("systemd/journal/socket")).unwrap();
    let syslog = UnixDatagram::bind(run.join("syslog")).unwrap();
    // What is at these paths on this machine is none of the test's business.
    let script = format!(
        "mount --bind {run} /run && if [ -e /dev/log ]; then mount --bind {run}/syslog /dev/log; fi && exec \"$@\"",
        run = run.display()
    );
    let wrapper = ["unshare", "--mount", "sh", "-c", &script, "sh"];
    let tried = Command::new(wrapper[0]).args(&wrapper[1..]).arg("true").output().unwrap();
    if !tried.status.success() {
        eprintln!("skipped: nothing can be mounted here: {}", String::from_utf8_lossy(&tried.stderr));
        return;
    }
    let config = talk(&stage, "a", &["--lines", "1", "--both"], "stdout = \"journal\"\nstderr = \"syslog\"")
        + &talk(&stage, "b", &["--lines", "1", "--both"], "stdout = \"syslog\"\nstderr = \"journal\"");
    let supervised = stage.through(&wrapper).start(&config, &["a", "b"]);
    let pids = ["a", "b"].map(|name| supervised.pid_of(name, 1).0.to_string());
    let next = |socket: &UnixDatagram| {
        let mut buffer = vec![0; 65_536];
        socket.set_read_timeout(Some(support::LIMIT)).unwrap();
        let length = socket.recv(&mut buffer).unwrap();
        buffer.truncate(length);
        buffer
    };
    // Each field is NAME, a newline, its length in eight bytes, and the value.
    let has = |entry: &[u8], name: &str, value: &str| {
        let length = (value.len() as u64).to_le_bytes();
        let wanted = [name.as_bytes(), b"\n", &length, value.as_bytes(), b"\n"].concat();
        let short = format!("{name}={value}\n").into_bytes();
        entry.windows(wanted.len()).any(|window| window == wanted)
            || entry.windows(short.len()).any(|window| window == short)
    };
    let entries = [next(&journal), next(&journal)];
    for (message, priority, service, pid, stream) in
        [("a 0 ", "6", "a", &pids[0], "stdout"), ("b-err 0 ", "4", "b", &pids[1], "stderr")]
    {
        let entry = entries.iter().find(|entry| has(entry, "MESSAGE", message)).expect(message);
        for (name, value) in [
            ("PRIORITY", priority),
            ("SYSLOG_IDENTIFIER", service),
            ("SYSLOG_PID", pid),
            ("BOOTSTRAP_STREAM", stream),
        ] {
            assert!(has(entry, name, value), "{name}={value} is not in {:?}", String::from_utf8_lossy(entry));
        }
    }
    let lines = [next(&syslog), next(&syslog)].map(|line| String::from_utf8(line).unwrap());
    // 28 is a warning of a daemon, 30 is for information.
    for (severity, text) in
        [("<28>", format!(" a[{}]: a-err 0 ", pids[0])), ("<30>", format!(" b[{}]: b 0 ", pids[1]))]
    {
        let line = lines.iter().find(|line| line.contains(&text)).unwrap_or_else(|| panic!("{lines:?}"));
        assert!(line.starts_with(severity), "{line}");
    }
    supervised.stop();
}

#[test]
fn a_service_that_became_another_user_can_open_its_streams_by_name() {
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("skipped: only root gives users to services");
        return;
    }
    let stage = Stage::new();
    let keys =
        "user = \"nobody\"\nstdout = \"file:%/a.log\"\nstderr = \"file:%/a.log\"\nlog_timestamps = false";
    let keys = keys.replace('%', stage.dir().to_str().unwrap());
    let config = format!(
        "[[service]]\nname = \"a\"\ncommand = [\"sh\", \"-c\", \"echo one >/dev/stdout; echo two >/dev/stderr; exec sleep 600\"]\n{keys}\n"
    );
    let supervised = stage.start(&config, &["a"]);
    let path = supervised.stage.dir().join("a.log");
    eventually("both are written", || {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        lines == ["one", "two"]
    });
    supervised.stop();
}

/// The limit of its size (`RLIMIT_FSIZE`) is the writer's as well: it is told, kills nobody, and is over where the file is.
#[test]
fn a_log_file_at_the_limit_of_its_size_stops_nobody_and_the_next_one_takes_the_rest() {
    const LIMIT_BYTES: u64 = 400_000;
    let stage = Stage::new().through(&["prlimit", &format!("--fsize={LIMIT_BYTES}")]);
    let path = stage.dir().join("a.log");
    let done = stage.path("done");
    // About 3 MiB.
    let keys = "stdout = \"file:%/a.log\"\nlog_timestamps = false";
    let config = talk(&stage, "a", &["--lines", "55000", "--done", &done], keys);
    let supervised = stage.start(&config, &["a"]);
    let process = writer(&supervised);
    supervised.wait_for("ERROR bootstrap file:… File too large; lines wait, and services go on");
    wait_done(&supervised.stage, "done");
    // Each next one is as small.
    let mut text = String::new();
    while !text.contains("\na 54999 ") {
        let part = || fs::read_to_string(&path).unwrap_or_default();
        eventually("it is full, or the last", || {
            let part = part();
            part.len() as u64 + 200 > LIMIT_BYTES || part.contains("\na 54999 ")
        });
        eventually("a full file ends with a whole line", || part().ends_with('\n'));
        text += &part();
        fs::remove_file(&path).unwrap();
    }
    let found = numbers(&text, false);
    all_said(&found, &["a"], 55_000);
    none_said_twice(&found);
    assert_eq!(writer(&supervised), process, "nothing has killed it\n{supervised}");
    supervised.wait_for("takes lines again");
    supervised.stop();
}

/// What nobody makes room for is told at the end, as with a full disk.
#[test]
fn what_a_limit_of_size_leaves_unwritten_is_told_at_the_end() {
    let stage = Stage::new().through(&["prlimit", "--fsize=400000"]);
    let done = stage.path("done");
    let keys = "stdout = \"file:%/a.log\"\nlog_timestamps = false";
    let config = talk(&stage, "a", &["--lines", "55000", "--done", &done], keys);
    let mut supervised = stage.start(&config, &["a"]);
    wait_done(&supervised.stage, "done");
    supervised.wait_for("File too large; lines wait, and services go on");
    let process = writer(&supervised);
    supervised.signal(SIGTERM);
    assert_eq!(supervised.wait_exit(), 0, "{supervised}");
    assert!(supervised.said(&format!("the log writer pid={} goes on", process.0)), "{supervised}");
    supervised.wait_for("ERROR bootstrap the log writer ends; … bytes of lines or more are lost");
    eventually("the writer is gone", || !process.is_alive());
}

/// Is nothing in this pipe?
fn is_empty(pipe: &File) -> bool {
    poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO) == Ok(0)
}

/// A pipe with a name, open, so that whoever reads from it finds no end in it.
fn fifo(path: &Path) -> File {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    File::options().read(true).write(true).open(path).unwrap()
}

/// What asyncio writes to is looked at as well: bytes in a pipe that could be read from were the end of its reader to it, and it
/// wrote one line.
#[test]
fn one_that_looks_whether_its_reader_is_there_is_heard_to_the_end() {
    let stage = Stage::new();
    let path = stage.dir().join("a.log");
    let text = "import asyncio, sys\n\
                async def main():\n \
                loop = asyncio.get_running_loop()\n \
                out, _ = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, sys.stdout)\n \
                for line in range(300):\n  \
                out.write(b'line %d\\n' % line)\n  \
                await asyncio.sleep(0.001)\n\
                asyncio.run(main())\n";
    let keys = format!("stdout = \"file:{}\"\nlog_timestamps = false", path.display());
    let config = format!("[[service]]\nname = \"a\"\ncommand = [\"python3\", \"-c\", {text:?}]\n{keys}\n");
    let supervised = stage.start(&config, &["a"]);
    supervised.wait_for(" a generation=1 … ended with exit code 0");
    let wanted = (0..300).map(|line| format!("line {line}\n")).collect::<Vec<_>>().concat();
    eventually("all of it is written", || fs::read_to_string(&path).is_ok_and(|text| text == wanted));
    supervised.stop();
}

/// More pipes than a `select` has room for, and than a process may open by default.
#[test]
fn twelve_hundred_pipes_are_read_by_each_writer_and_over_an_upgrade() {
    const SERVICES: usize = 600;
    let stage = Stage::new().through(&["prlimit", "--nofile=1024:8192"]);
    let path = stage.dir().join("all.log");
    let mut starts: Vec<File> = (1..=3).map(|n| fifo(&stage.dir().join(format!("go{n}")))).collect();
    let script =
        format!("for n in 1 2 3; do echo $n out; echo $n err >&2; read -r go <{}$n; done", stage.path("go"));
    let keys = "stdout = \"file:%/all.log\"\nstderr = \"file:%/all.log\"";
    let keys = keys.replace('%', stage.dir().to_str().unwrap());
    let service = |n: usize| {
        format!("[[service]]\nname = \"s{n}\"\ncommand = [\"/bin/sh\", \"-c\", {script:?}]\n{keys}\n")
    };
    let config: String = (0..SERVICES).map(service).collect();
    let mut supervised = stage.launch(&config);
    // Each service says each number once on each of its streams.
    let said = |number: u32| {
        let text = whole_lines(&path);
        let mut found: BTreeMap<&str, u32> = BTreeMap::new();
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [_, service, _, n, stream] = &words[..] else { panic!("cut or mixed: {line:?}") };
            assert!(service.starts_with('s') && ["out", "err"].contains(stream), "{line:?}");
            *found.entry(service).or_default() += u32::from(*n == number.to_string());
        }
        found.len() == SERVICES && found.values().all(|count| *count >= 2)
    };
    eventually("all have begun", || said(1));
    let process = writer(&supervised);
    assert!(supervised.process().descriptors().len() > 2 * SERVICES, "{supervised}");
    assert!(process.descriptors().len() > 2 * SERVICES, "{supervised}");
    let limits = fs::read_to_string(format!("/proc/{}/limits", process.0)).unwrap();
    assert!(limits.contains(" 8192                 8192 "), "{limits}");
    process.signal(SIGKILL);
    supervised.wait_for("the log writer was ended by SIGKILL");
    starts[0].write_all(&[b'\n'; SERVICES]).unwrap();
    eventually("the next writer reads all of them", || said(2));
    supervised.forget();
    supervised.signal(SIGUSR2);
    supervised.wait_for(" bootstrap pid= … is now");
    let process = writer(&supervised);
    process.signal(SIGKILL);
    starts[1].write_all(&[b'\n'; SERVICES]).unwrap();
    eventually("and so after an upgrade", || said(3));
    assert!(writer(&supervised) != process, "{supervised}");
    assert!(!supervised.said("WARN s") && !supervised.said("ERROR"), "{supervised}");
    supervised.stop();
}

#[test]
fn a_writer_in_a_crash_loop_comes_back_after_longer_and_longer_pauses_and_loses_no_line() {
    let stage = Stage::new();
    let path = stage.dir().join("a.log");
    let go = stage.dir().join("go");
    let mut starts = fifo(&go);
    let script = format!("exec <{}; n=0; while read -r go; do n=$((n+1)); echo line $n; done", go.display());
    let keys = "stdout = \"file:%/a.log\"\nlog_timestamps = false";
    let keys = keys.replace('%', stage.dir().to_str().unwrap());
    let config = format!("[[service]]\nname = \"a\"\ncommand = [\"/bin/sh\", \"-c\", {script:?}]\n{keys}\n");
    let mut supervised = stage.start(&config, &["a"]);
    let written = || fs::read_to_string(&path).unwrap_or_default();
    let stdout = format!("/proc/{}/fd/1", supervised.pid_of("a", 1).0);
    let stdout = File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open(stdout).unwrap();
    let mut told = 0;
    for next in [
        "starting another",
        "starting another in 200ms",
        "starting another in 400ms",
        "starting another in 800ms",
    ] {
        // Who is killed between writing a line and taking it out of the pipe has it written twice.
        let is_written = || written().lines().count() == told && is_empty(&stdout);
        assert!(comes_true(is_written), "{told} lines: {:?}\n{supervised}", written());
        let process = writer(&supervised);
        supervised.forget();
        process.signal(SIGKILL);
        told += 1;
        // It is said while nobody reads.
        starts.write_all(b"\n").unwrap();
        let line = supervised.wait_for("WARN bootstrap the log writer was ended by SIGKILL");
        assert!(line.ends_with(&format!("still in the pipes; {next}")), "{line}");
        assert_eq!(supervised.count("the log writer was ended by SIGKILL"), told, "each once\n{supervised}");
    }
    let expected: Vec<String> = (1..=told).map(|n| format!("line {n}")).collect();
    let all_is_written = || written().lines().eq(expected.iter().map(String::as_str));
    assert!(comes_true(all_is_written), "written is {:?}\n{supervised}", written());
    assert_eq!(supervised.last_generation("a"), 1, "{supervised}");
    let process = writer(&supervised);
    assert!(process.is_alive());
    supervised.stop();
}

/// A named pipe has its own reader, who is to have all lines; and nobody waits at it.
#[test]
fn what_is_no_regular_file_is_not_read() {
    let stage = Stage::new();
    let pipe = stage.dir().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let config = talk(&stage, "a", &[], "stdout = \"file:%/pipe\"");
    stage.write("services.toml", &config);
    let output = stage.run(&["-c", "services.toml", "logs", "a"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("/pipe: no regular file"), "{said}");
}

/// Whoever may write to the directory of one log once kept all services from starting, and from being reloaded.
#[test]
fn what_is_in_the_way_of_a_log_file_stops_nobody_and_its_lines_come_when_it_is_gone() {
    let stage = Stage::new();
    let keys = |name: &str| format!("stdout = \"file:%/logs/{name}.log\"\nlog_timestamps = false");
    let config = talk(&stage, "a", &["--lines", "10"], &keys("a"))
        + &talk(&stage, "b", &["--lines", "10"], &keys("b"));
    let directory = stage.dir().join("logs");
    let supervised = stage.start(&config, &["a", "b"]);
    supervised.wait_for("/logs/a.log … lines wait, and services go on");
    fs::create_dir_all(directory.join("b.log")).unwrap();
    supervised.signal(SIGHUP);
    supervised.wait_for("reload: config applied: 0 added");
    fs::remove_dir(directory.join("b.log")).unwrap();
    for name in ["a", "b"] {
        let path = directory.join(format!("{name}.log"));
        let whole = |text: String| text.lines().count() == 10;
        eventually("its lines are there", || fs::read_to_string(&path).is_ok_and(whole));
    }
    supervised.stop();
}
