//! A server of the simulated world: what it will do, decided when it is started.

use crate::rng::Rng;
use bootstrap::core::ExitStatus;
use bootstrap::plan::Ready;
use bootstrap::protocol::Word;
use std::time::Duration;

/// Everything a server will do, whatever comes.
#[derive(Clone, Debug)]
pub(crate) struct Temper {
    /// When its signal handler is there.
    pub(crate) listens_after: Duration,
    /// When it accepts.
    pub(crate) accepts_after: Duration,
    /// Whether it then says so.
    pub(crate) says_ready: bool,
    /// When it ends by itself, and how.
    pub(crate) dies: Option<(Duration, ExitStatus)>,
    /// When it says `success` or `failed ` without being asked.
    pub(crate) speaks_unasked: Option<(Duration, Word)>,
    /// What it answers, and how long that takes.
    pub(crate) answer: Option<(Duration, Answer)>,
    /// How long it drains; for ever, if there is none.
    pub(crate) drains: Option<Duration>,
    /// How long it lives after SIGTERM; it ignores it, if there is none.
    pub(crate) obeys_term: Option<Duration>,
    /// How long the kernel takes to end it after SIGKILL.
    pub(crate) killed_after: Duration,
    /// What a look at it shows while it accepts.
    pub(crate) shows: Shows,
    /// How long it accepts after it was asked to leave, where it cannot speak.
    pub(crate) accepts_on: Duration,
    /// Whether it has its sockets open until it ends, although it accepts no more.
    pub(crate) keeps_sockets: bool,
    /// How long it takes to answer when it is asked whether it serves; it does not, if there is none.
    pub(crate) answers_after: Option<Duration>,
    /// From when to when after its start it is sick.
    pub(crate) sick: Option<(Duration, Duration)>,
    /// How long after its start it feeds its watchdog.
    pub(crate) feeds_for: Option<Duration>,
    /// How long a process of its group outlives it.
    pub(crate) child_outlives: Option<Duration>,
}

/// What can be seen from outside of a server that accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shows {
    /// That it waits for the next client.
    Waits,
    /// The clients that it has: it is busy from its first one on.
    Clients,
    /// Nothing.
    Nothing,
}

/// What a server writes to its pipe when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Word(Word),
    Twice,
    Gibberish,
    Close,
}

impl Temper {
    /// Can nobody see whether it accepts?
    pub(crate) fn is_hidden(&self) -> bool {
        self.shows == Shows::Nothing
    }

    /// As the handshake wants it.
    pub(crate) fn good(rng: &mut Rng) -> Self {
        Self {
            listens_after: rng.ms(0..5),
            accepts_after: rng.ms(5..400),
            says_ready: true,
            dies: None,
            speaks_unasked: None,
            answer: Some((rng.ms(0..5), Answer::Word(Word::Success))),
            drains: Some(rng.ms(0..8)),
            obeys_term: Some(rng.ms(0..1)),
            killed_after: Duration::ZERO,
            shows: Shows::Waits,
            accepts_on: Duration::from_millis(5),
            keeps_sockets: false,
            answers_after: Some(Duration::ZERO),
            sick: None,
            feeds_for: None,
            child_outlives: None,
        }
    }

    /// Anything that was ever seen.
    pub(crate) fn any(rng: &mut Rng, ready: &Ready) -> Self {
        let mut temper = Self::good(rng);
        if rng.chance(50) {
            return temper;
        }
        temper.listens_after = rng.ms_of(&[(0, 1), (0, 100), (0, 20_000)]);
        temper.accepts_after = temper.listens_after + rng.ms(0..2_000);
        temper.says_ready = rng.chance(if *ready == Ready::Word { 85 } else { 50 });
        temper.dies = rng.chance(30).then(|| {
            let after = rng.ms_of(&[(0, 20), (0, 3_000), (0, 1_200_000)]);
            (after, status(rng))
        });
        temper.speaks_unasked =
            rng.chance(5).then(|| (rng.ms(0..60_000), rng.pick(&[Word::Success, Word::Failed])));
        temper.answer = rng.chance(85).then(|| (rng.ms_of(&[(0, 20), (0, 15_000)]), answer(rng)));
        temper.drains = rng.chance(80).then(|| rng.ms_of(&[(0, 20), (0, 100_000)]));
        temper.obeys_term = rng.chance(70).then(|| rng.ms(0..6_000));
        temper.killed_after = rng.ms_of(&[(0, 1), (0, 10), (0, 9_000)]);
        temper.shows = match rng.below(10) {
            0 => Shows::Nothing,
            1 => Shows::Clients,
            _ => Shows::Waits,
        };
        temper.accepts_on = rng.ms_of(&[(5, 6), (5, 4_000)]);
        temper.keeps_sockets = rng.chance(30);
        temper.answers_after = rng.chance(90).then(|| rng.ms_of(&[(0, 20), (0, 4_000)]));
        temper.sick = rng.chance(30).then(|| {
            let from = rng.ms_of(&[(0, 2_000), (0, 600_000)]);
            (from, from + rng.ms_of(&[(0, 5_000), (0, 900_000)]))
        });
        temper.feeds_for = rng.chance(30).then(|| rng.ms(0..600_000));
        temper.child_outlives = rng.chance(20).then(|| rng.ms_of(&[(0, 50), (0, 90_000)]));
        temper
    }
}

fn answer(rng: &mut Rng) -> Answer {
    rng.pick(&[
        Answer::Word(Word::Success),
        Answer::Word(Word::Success),
        Answer::Word(Word::Failed),
        Answer::Twice,
        Answer::Gibberish,
        Answer::Close,
    ])
}

fn status(rng: &mut Rng) -> ExitStatus {
    rng.pick(&[
        ExitStatus::Code(0),
        ExitStatus::Code(1),
        ExitStatus::Code(127),
        ExitStatus::Signal { signal: libc::SIGSEGV, core_dumped: true },
        ExitStatus::Signal { signal: libc::SIGKILL, core_dumped: false },
    ])
}
