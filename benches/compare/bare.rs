//! The yardsticks: what the kernel takes for the same processes, with nobody who supervises them.

use crate::marks::Marks;
use crate::{LIMIT, REST, ROUNDS, median};
use nix::sys::signal::Signal::SIGTERM;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// One process, from the call that starts it (`vfork` and `execve`) to its `main`.
pub(crate) fn start(marks: &mut Marks) -> Duration {
    let times = (0..ROUNDS).map(|_| {
        sleep(REST);
        let begin = Instant::now();
        let mut child = marks.command().spawn().expect("it was just compiled");
        marks.wait(1, LIMIT).expect("it starts");
        let took = begin.elapsed();
        child.kill().expect("it is ours");
        child.wait().expect("it is ours");
        took
    });
    median(times.collect())
}

/// So many, started one after the other until `main` of all has begun; then ended by SIGTERM and reaped.
pub(crate) fn start_and_stop(marks: &mut Marks, count: usize) -> (Duration, Duration) {
    let begin = Instant::now();
    let children: Vec<_> =
        (0..count).map(|_| marks.command().spawn().expect("it was just compiled")).collect();
    marks.wait(count, LIMIT).expect("all start");
    let started = begin.elapsed();
    sleep(REST);
    let begin = Instant::now();
    for child in &children {
        kill(Pid::from_raw(i32::try_from(child.id()).expect("pids are small")), SIGTERM).expect("it is ours");
    }
    for mut child in children {
        child.wait().expect("it is ours");
    }
    (started, begin.elapsed())
}
